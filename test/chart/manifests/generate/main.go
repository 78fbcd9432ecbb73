// Command generate writes the generated manifests. Run it in test/chart: make manifests.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/chart/manifests"
)

func main() {
	files, err := manifests.Generate()
	if err != nil {
		log.Fatal(err)
	}
	for path, content := range files {
		path = filepath.Join(manifests.Root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
