// Command generate writes the CRDs to config/crd and to the chart. Run it in test/chart: make manifests.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/chart/crds"
)

func main() {
	files, err := crds.Generate()
	if err != nil {
		log.Fatal(err)
	}
	for name, content := range files {
		for _, folder := range crds.Folders {
			if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
				log.Fatal(err)
			}
		}
	}
}
