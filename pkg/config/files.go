package config

import (
	"strings"

	"github.com/ratify-project/ratify/pkg/utils"
)

// files returns the files and directories whose content belongs to the configuration: CAs of registries, a Rego policy, the
// certificates of Notation verifiers, and the keys of cosign's.
func (c *Config) files() []string {
	var files []string
	for _, store := range c.Store.Stores {
		for _, block := range append(blocks(store["registries"]), store) {
			if bundle, ok := block["caBundle"].(string); ok && !strings.Contains(bundle, "-----BEGIN") { // else it is the certificates
				files = append(files, strings.TrimSpace(bundle))
			}
		}
	}
	if path, ok := c.Policy.PolicyPlugin["policyPath"].(string); ok {
		files = append(files, path)
	}
	for _, verifier := range c.Verifier.Verifiers {
		paths, _ := verifier["verificationCerts"].([]any)
		paths = append(paths, verifier["key"])
		for _, policy := range blocks(verifier["trustPolicies"]) {
			for _, key := range blocks(policy["keys"]) {
				paths = append(paths, key["file"])
			}
		}
		for _, path := range paths {
			if path, ok := path.(string); ok {
				files = append(files, utils.ReplaceHomeShortcut(path))
			}
		}
	}
	return files
}

// blocks returns the blocks of a list.
func blocks(value any) []map[string]any {
	list, _ := value.([]any)
	var blocks []map[string]any
	for _, entry := range list {
		if block, ok := entry.(map[string]any); ok {
			blocks = append(blocks, block)
		}
	}
	return blocks
}
