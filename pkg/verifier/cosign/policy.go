package cosign

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"

	"github.com/ratify-project/ratify/pkg/utils"
	"github.com/sigstore/cosign/v2/pkg/cosign"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
)

const (
	// policyVersion is the only version of trust policies.
	policyVersion = "1.0.0"
	// defaultRekorURL is the public good instance.
	defaultRekorURL = "https://rekor.sigstore.dev"
)

// trustPolicy says whose signatures count for the images in its scopes. It has keys or, when keyless, identities.
type trustPolicy struct {
	field  string // path of the parameter
	name   string
	scopes []scope

	keys       []namedKey
	keyless    bool
	identities []cosign.Identity // none: any identity
	ctLog      bool              // certificates must have been told to a certificate transparency log

	log   *transparencyLog // nil: signatures need not be in one
	given material         // what the environment gives instead of Sigstore's trust root
}

// String names the policy in messages.
func (p *trustPolicy) String() string {
	if p.name == "" {
		return "the verifier"
	}
	return fmt.Sprintf("trust policy %q", p.name)
}

// parsePolicies reads the trust policies of p, and the keys that they name.
func parsePolicies(ctx context.Context, p *parameters, o Options) ([]*trustPolicy, error) {
	if len(p.TrustPolicies) == 0 {
		policy, err := legacyPolicy(p, o)
		return []*trustPolicy{policy}, err
	}
	var policies []*trustPolicy
	fieldOf := make(map[string]string)
	for i, raw := range p.TrustPolicies {
		field := indexed("trustPolicies", i)
		policy, err := parsePolicy(ctx, field, raw, o)
		if err != nil {
			return nil, err
		}
		if other, ok := fieldOf[policy.name]; ok {
			return nil, parameter.Errorf(field+".name", "%q is already the name of %s", policy.name, other)
		}
		fieldOf[policy.name] = field
		for i, s := range policy.scopes {
			if s.neverMatches() {
				o.Log.Warn("this scope covers no image, because references have a tag or a digest; write the repository with * behind it",
					slog.String("verifier", p.Name), slog.String("parameter", indexed(field+".scopes", i)), slog.String("scope", string(s)))
			}
		}
		policies = append(policies, policy)
	}
	return policies, checkScopes(policies)
}

func parsePolicy(ctx context.Context, field string, raw json.RawMessage, o Options) (*trustPolicy, error) {
	var in policyParameters
	if err := parameter.Decode(field, raw, &in); err != nil {
		return nil, err
	}
	var keyless keylessParameters
	if len(in.Keyless) > 0 {
		if err := parameter.Decode(field+".keyless", in.Keyless, &keyless); err != nil {
			return nil, err
		}
	}
	p := &trustPolicy{field: field, name: in.Name, keyless: keyless != keylessParameters{}, ctLog: true}
	for _, s := range in.Scopes {
		p.scopes = append(p.scopes, scope(s))
	}
	switch {
	case in.Version != "" && in.Version != policyVersion:
		return nil, parameter.Errorf(field+".version", "%q is unknown; the only version is %s", in.Version, policyVersion)
	case in.Name == "":
		return nil, parameter.Errorf(field+".name", "is missing")
	case len(in.Scopes) == 0:
		return nil, parameter.Errorf(field+".scopes", "is missing; * covers all images")
	case len(in.Keys) == 0 && !p.keyless:
		return nil, parameter.Errorf(field, "has neither keys nor keyless; one of them says whose signatures count")
	case len(in.Keys) > 0 && p.keyless:
		return nil, parameter.Errorf(field, "has both keys and keyless; make two trust policies of it")
	}
	var err error
	if p.keyless {
		if keyless.CTLogVerify != nil {
			p.ctLog = *keyless.CTLogVerify
		}
		if p.identities, err = parseIdentity(field+".keyless", keyless); err != nil {
			return nil, err
		}
	} else if p.keys, err = readKeys(ctx, field+".keys", in.Keys, o); err != nil {
		return nil, err
	}
	// Even if nothing asks the log, a bad URL is a mistake.
	log, err := newTransparencyLog(field+".rekorURL", in.RekorURL, o)
	if err != nil {
		return nil, err
	}
	if in.TLogVerify == nil || *in.TLogVerify {
		p.log = log
	}
	p.given, err = environment(p)
	return p, err
}

// legacyPolicy returns the trust policy that the form without trustPolicies stands for: the key in a file, or any identity that Fulcio knows.
// There the transparency log is asked for if rekorURL is given.
func legacyPolicy(p *parameters, o Options) (*trustPolicy, error) {
	policy := &trustPolicy{field: "parameters", scopes: []scope{everything}, keyless: p.Key == "", ctLog: p.RekorURL != ""}
	var err error
	if p.RekorURL != "" {
		if policy.log, err = newTransparencyLog("rekorURL", p.RekorURL, o); err != nil {
			return nil, err
		}
	}
	if p.Key != "" {
		if policy.keys, err = readKeyFile("key", utils.ReplaceHomeShortcut(p.Key)); err != nil {
			return nil, err
		}
	} else {
		o.Log.Warn("signatures of anybody with a certificate of Fulcio are accepted; say whose with trustPolicies, keyless",
			slog.String("verifier", p.Name))
	}
	policy.given, err = environment(policy)
	return policy, err
}

// parseIdentity returns whose certificates k trusts.
func parseIdentity(field string, k keylessParameters) ([]cosign.Identity, error) {
	for _, either := range []struct{ name, text, pattern string }{
		{"certificateIdentity", k.CertificateIdentity, k.CertificateIdentityRegExp},
		{"certificateOIDCIssuer", k.CertificateOIDCIssuer, k.CertificateOIDCIssuerRegExp},
	} {
		switch {
		case either.text == "" && either.pattern == "":
			return nil, parameter.Errorf(field+"."+either.name, "is missing; give it or %sRegExp", either.name)
		case either.text != "" && either.pattern != "":
			return nil, parameter.Errorf(field+"."+either.name, "cannot be used together with %sRegExp", either.name)
		}
		if _, err := regexp.Compile(either.pattern); err != nil {
			return nil, parameter.Errorf(field+"."+either.name+"RegExp", "%w", err)
		}
	}
	return []cosign.Identity{{
		Subject: k.CertificateIdentity, SubjectRegExp: k.CertificateIdentityRegExp,
		Issuer: k.CertificateOIDCIssuer, IssuerRegExp: k.CertificateOIDCIssuerRegExp,
	}}, nil
}

// parseURL reads the address of a service.
func parseURL(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	return u, err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// indexed returns the path of an entry of a list.
func indexed(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
