package cosign

import (
	"encoding/json"
	"strings"

	"github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
)

// ConfigError says which parameter of the verifier cannot be used, and why. Only a change of the configuration, or of the key material that
// it names, helps.
type ConfigError = parameter.Error

// parameters are those of one verifier as the user wrote them.
type parameters struct {
	Name                string            `json:"name"`
	Type                string            `json:"type"`
	ArtifactTypes       string            `json:"artifactTypes"`
	NestedArtifactTypes []string          `json:"nestedArtifactTypes"`
	TrustPolicies       []json.RawMessage `json:"trustPolicies"`

	// Key, a path, and RekorURL are the form from before there were trust policies.
	Key      string `json:"key"`
	RekorURL string `json:"rekorURL"`

	// What follows is read by whoever creates verifiers, or by none.
	Version          any `json:"version"`
	Source           any `json:"source"`
	NestedReferences any `json:"nestedReferences"`

	artifactTypes []string
}

// policyParameters are those of one trust policy.
type policyParameters struct {
	Version    string            `json:"version"`
	Name       string            `json:"name"`
	Scopes     []string          `json:"scopes"`
	Keys       []json.RawMessage `json:"keys"`
	Keyless    json.RawMessage   `json:"keyless"`
	TLogVerify *bool             `json:"tLogVerify"`
	RekorURL   string            `json:"rekorURL"`
}

// keyParameters name one key of a provider, all of its keys, or the keys in a file.
type keyParameters struct {
	Provider string `json:"provider"`
	Name     string `json:"name"`
	Version  string `json:"version"`
	File     string `json:"file"`
}

// keylessParameters say whose certificates are trusted.
type keylessParameters struct {
	CTLogVerify                 *bool  `json:"ctLogVerify"`
	CertificateIdentity         string `json:"certificateIdentity"`
	CertificateIdentityRegExp   string `json:"certificateIdentityRegExp"`
	CertificateOIDCIssuer       string `json:"certificateOIDCIssuer"`
	CertificateOIDCIssuerRegExp string `json:"certificateOIDCIssuerRegExp"`
}

// parseParameters reads cfg as Ratify does, which means through JSON and without regard to the case of keys, but takes no key that it does
// not know: a misspelt one would silently verify something else.
func parseParameters(cfg config.VerifierConfig) (*parameters, error) {
	raw, err := json.Marshal(cfg)
	if err != nil {
		return nil, parameter.Errorf("parameters", "%w", err)
	}
	p := &parameters{}
	if err := parameter.Decode("", raw, p); err != nil {
		return nil, err
	}
	if p.Name == "" {
		return nil, parameter.Errorf("name", "is missing")
	}
	if p.Type == "" {
		p.Type = p.Name // in configuration files the name is the type
	}
	for kind := range strings.SplitSeq(p.ArtifactTypes, ",") {
		if kind = strings.TrimSpace(kind); kind != "" {
			p.artifactTypes = append(p.artifactTypes, kind)
		}
	}
	if len(p.artifactTypes) == 0 {
		return nil, parameter.Errorf("artifactTypes", "is missing; signatures of cosign have the type application/vnd.dev.cosign.artifact.sig.v1+json")
	}
	if len(p.TrustPolicies) > 0 {
		const together = "cannot be used together with trustPolicies; move it into a trust policy"
		if p.Key != "" {
			return nil, parameter.Errorf("key", together)
		}
		if p.RekorURL != "" {
			return nil, parameter.Errorf("rekorURL", together)
		}
	}
	return p, nil
}
