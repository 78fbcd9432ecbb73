package manifests

import (
	"fmt"
	"path"
)

// Generate returns the files by their paths in the repository. The current folder has to be the root of this module, test/chart.
func Generate() (map[string][]byte, error) {
	files := make(map[string][]byte)
	definitions, err := crds()
	if err != nil {
		return nil, fmt.Errorf("CRDs: %w", err)
	}
	for name, content := range definitions {
		files[path.Join("config/crd", name)] = content
		files[path.Join("charts/ratify/crds", name)] = content
	}
	roles, err := rbac(path.Join(Root, "charts/ratify"))
	if err != nil {
		return nil, fmt.Errorf("RBAC: %w", err)
	}
	for name, content := range roles {
		files[path.Join("config/rbac", name)] = content
	}
	return files, nil
}

// Root is the root of the repository, seen from that of this module.
const Root = "../.."
