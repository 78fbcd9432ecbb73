package main

import (
	"fmt"
	"maps"
	"strings"

	"sigs.k8s.io/yaml"
)

// manifest is a resource of config.ratify.deislabs.io, as far as Ratify's documents use it.
type manifest struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Name          string         `json:"name"`
		Type          string         `json:"type"`
		ArtifactTypes string         `json:"artifactTypes"`
		Parameters    map[string]any `json:"parameters"`
	} `json:"spec"`
}

// fromManifests returns config.json with what Kubernetes manifests, separated by ---, configure. Stores, verifiers and key
// management providers become plugins with their parameters.
func (e *environment) fromManifests(text string) ([]byte, error) {
	var stores, providers, verifiers []any
	for document := range strings.SplitSeq(text, "\n---\n") {
		var m manifest
		if err := yaml.Unmarshal([]byte(document), &m); err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
		plugin := maps.Clone(m.Spec.Parameters)
		switch m.Kind {
		case "Store":
			plugin["name"] = m.Spec.Name
			stores = append(stores, plugin)
		case "Verifier":
			plugin["name"], plugin["artifactTypes"] = m.Spec.Name, m.Spec.ArtifactTypes
			verifiers = append(verifiers, plugin)
		case "KeyManagementProvider":
			plugin["name"], plugin["type"] = m.Metadata.Name, m.Spec.Type
			providers = append(providers, plugin)
		default:
			return nil, fmt.Errorf("manifest of kind %q", m.Kind)
		}
	}
	return e.world.Config(func(config map[string]any) {
		for section, plugins := range map[string][]any{"store": stores, "keyManagementProvider": providers, "verifier": verifiers} {
			if plugins != nil {
				config[section].(map[string]any)["plugins"] = plugins
			}
		}
	}), nil
}

// indent indents each line of a block for a manifest.
func indent(block, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(block), "\n", "\n"+by)
}
