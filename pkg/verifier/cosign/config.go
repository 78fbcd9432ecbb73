package cosign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/spelling"
)

// ConfigError says which parameter of the verifier cannot be used, and why. Only a change of the configuration, or of the key material that
// it names, helps.
type ConfigError struct {
	Field string // path of the parameter, such as trustPolicies[0].keys[1].provider
	Err   error
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("cosign verifier: parameter %s: %v", e.Field, e.Err)
}

func (e *ConfigError) Unwrap() error { return e.Err }

func configErrorf(field, format string, args ...any) error {
	return &ConfigError{Field: field, Err: fmt.Errorf(format, args...)}
}

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
		return nil, configErrorf("parameters", "%w", err)
	}
	p := &parameters{}
	if err := decodeStrict("", raw, p); err != nil {
		return nil, err
	}
	if p.Name == "" {
		return nil, configErrorf("name", "is missing")
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
		return nil, configErrorf("artifactTypes", "is missing; signatures of cosign have the type application/vnd.dev.cosign.artifact.sig.v1+json")
	}
	if len(p.TrustPolicies) > 0 {
		const together = "cannot be used together with trustPolicies; move it into a trust policy"
		if p.Key != "" {
			return nil, configErrorf("key", together)
		}
		if p.RekorURL != "" {
			return nil, configErrorf("rekorURL", together)
		}
	}
	return p, nil
}

// decodeStrict decodes raw, the value of field, into target, and names the field of a mistake inside. The empty field stands for all parameters.
func decodeStrict(field string, raw []byte, target any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(target)
	if err == nil {
		return nil
	}
	if mistake, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return configErrorf(within(field, mistake.Field), "is a JSON %s where %s is expected", mistake.Value, describeType(mistake.Type))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		return configErrorf(within(field, name), "is unknown%s", suggest(name, target))
	}
	return configErrorf(within(field, ""), "%w", err)
}

// within returns the path of a field of another one.
func within(field, inner string) string {
	switch {
	case field == "" && inner == "":
		return "parameters"
	case field == "":
		return inner
	case inner == "":
		return field
	}
	return field + "." + inner
}

// suggest words which field of target, a pointer to a struct, an unknown one may mean.
func suggest(name string, target any) string {
	var known []string
	for field := range reflect.TypeOf(target).Elem().Fields() {
		if tag := field.Tag.Get("json"); tag != "" {
			known = append(known, tag)
		}
	}
	if nearest := spelling.Nearest(name, known); nearest != "" {
		return fmt.Sprintf("; did you mean %s?", nearest)
	}
	return "; known are " + strings.Join(known, ", ")
}

// describeType puts the Go types of the configuration into words.
func describeType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "an object"
	case reflect.Bool:
		return "true or false"
	}
	return "a string"
}
