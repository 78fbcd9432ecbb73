package plugin

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/ratify-project/ratify/pkg/verifier/config"
	"github.com/ratify-project/ratify/pkg/verifier/types"
)

// parameters are those that all external verifiers have. A program has more, which are not looked at.
type parameters struct {
	name             string
	kind             string // of the verifier, and the program's name
	version          string // of the protocol
	artifactTypes    []string
	nestedReferences []string
}

// parse reads the parameters. An error names the one that cannot be used.
func parse(cfg config.VerifierConfig, version string) (parameters, error) {
	p := parameters{version: version, artifactTypes: []string{"*"}}
	var artifactTypes, nestedReferences string
	for _, field := range []struct {
		name   string
		target *string
	}{
		{types.Name, &p.name},
		{types.Type, &p.kind},
		{types.Version, &p.version},
		{types.ArtifactTypes, &artifactTypes},
		{types.NestedReferences, &nestedReferences},
	} {
		value, ok := cfg[field.name]
		if !ok {
			continue
		}
		text, ok := value.(string)
		if !ok || strings.Trim(text, ", ") == "" {
			return p, fmt.Errorf("%s: %v is not a text that says something; write one, or leave it out", field.name, value)
		}
		*field.target = text
	}
	if p.name == "" {
		return p, fmt.Errorf("%s is missing", types.Name)
	}
	p.kind = cmp.Or(p.kind, p.name)
	if artifactTypes != "" {
		p.artifactTypes = list(artifactTypes)
	}
	p.nestedReferences = list(nestedReferences)
	return p, nil
}

// list takes apart a list of artifact types with commas between them.
func list(text string) []string {
	var all []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			all = append(all, item)
		}
	}
	return all
}
