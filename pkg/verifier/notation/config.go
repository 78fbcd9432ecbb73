package notation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
	"github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
)

// ConfigError says which parameter of the verifier cannot be used, and why. Only a change of the configuration, or of the key material that
// it names, helps.
type ConfigError = parameter.Error

// parameters are those of one verifier, read but not yet resolved.
type parameters struct {
	name, kind    string
	artifactTypes []string
	certPaths     []string
	certStores    map[truststore.Type]map[string][]string // store type → store name → key management providers
	policies      *trustpolicy.Document
	filesRead     bool // for trust stores that certStores does not have
}

// parseParameters reads cfg as Ratify does, which means through JSON and without regard to the case of keys, but takes no key that it does
// not know: a misspelt one would silently verify something else.
func parseParameters(cfg config.VerifierConfig) (*parameters, error) {
	p := &parameters{}
	var artifactTypes string
	var stores map[string]json.RawMessage
	known := map[string]any{
		"name": &p.name, "type": &p.kind, "artifactTypes": &artifactTypes,
		"verificationCerts": &p.certPaths, "verificationCertStores": &stores, "trustPolicyDoc": nil,
		"version": nil, "source": nil, "nestedReferences": nil, // read by whoever creates verifiers, or by none
	}
	var policyDoc []byte
	for _, key := range slices.Sorted(maps.Keys(cfg)) {
		raw, err := json.Marshal(cfg[key])
		if err != nil {
			return nil, parameter.Errorf(key, "%w", err)
		}
		canonical, target, err := lookup(known, key)
		if err != nil {
			return nil, err
		}
		if canonical == "trustPolicyDoc" {
			policyDoc = raw
		}
		if target == nil {
			continue
		}
		if err := parameter.Decode(canonical, raw, target); err != nil {
			return nil, err
		}
	}
	if p.name == "" {
		return nil, parameter.Errorf("name", "is missing")
	}
	if p.kind == "" {
		p.kind = p.name // in configuration files the name is the type
	}
	for kind := range strings.SplitSeq(artifactTypes, ",") {
		if kind = strings.TrimSpace(kind); kind != "" {
			p.artifactTypes = append(p.artifactTypes, kind)
		}
	}
	if len(p.artifactTypes) == 0 {
		return nil, parameter.Errorf("artifactTypes", "is missing; signatures of notation have the type application/vnd.cncf.notary.signature")
	}
	var err error
	if p.certStores, err = parseCertStores(stores); err != nil {
		return nil, err
	}
	if p.policies, err = parsePolicies(policyDoc); err != nil {
		return nil, err
	}
	return p, nil
}

func lookup(known map[string]any, key string) (canonical string, target any, err error) {
	for name, target := range known {
		if strings.EqualFold(name, key) {
			return name, target, nil
		}
	}
	return "", nil, parameter.Errorf(cmp.Or(key, `""`), "is unknown; the verifier takes %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
}

// parseCertStores reads both forms: by type (ca, signingAuthority, tsa) and then name, and the legacy one by name, whose stores are of type ca.
func parseCertStores(raw map[string]json.RawMessage) (map[truststore.Type]map[string][]string, error) {
	const field = "verificationCertStores"
	stores := make(map[truststore.Type]map[string][]string)
	var typed, legacy []string
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		kind := truststore.Type(key)
		if slices.Contains(truststore.Types, kind) {
			typed = append(typed, key)
			var byName map[string]json.RawMessage
			if err := parameter.Decode(field+"."+key, raw[key], &byName); err != nil {
				return nil, err
			}
			stores[kind] = make(map[string][]string, len(byName))
			for _, name := range slices.Sorted(maps.Keys(byName)) {
				var providers []string
				if err := parameter.Decode(field+"."+key+"."+name, byName[name], &providers); err != nil {
					return nil, err
				}
				stores[kind][name] = providers
			}
			continue
		}
		legacy = append(legacy, key)
		var providers []string
		if err := parameter.Decode(field+"."+key, raw[key], &providers); err != nil {
			return nil, fmt.Errorf("%w (or, if %q is meant as a trust store type: those are ca, signingAuthority and tsa)", err, key)
		}
		if stores[truststore.TypeCA] == nil {
			stores[truststore.TypeCA] = make(map[string][]string)
		}
		stores[truststore.TypeCA][key] = providers
	}
	if len(typed) > 0 && len(legacy) > 0 {
		return nil, parameter.Errorf(field, "mixes stores by type (%s) with stores without (%s); put the latter under ca",
			strings.Join(typed, ", "), strings.Join(legacy, ", "))
	}
	return stores, nil
}
