package cosign

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func TestConfigErrors(t *testing.T) {
	key := newKey(t)
	file := writeFile(t, must(key.PEM())(t))
	fulcio := newFulcio(t)
	tests := []struct {
		name       string
		parameters string
		field      string
		says       string
		later      bool // it may work when key material changes
	}{
		{"name", `{}`, "name", "is missing", false},
		{"artifact types", `{"name":"cosign"}`, "artifactTypes", "is missing", false},
		{"unknown", `{"name":"cosign","artifactTypes":"*","trustpolicy":[]}`, "trustpolicy", "did you mean trustPolicies?", false},
		{"wrong type", `{"name":"cosign","artifactTypes":["*"]}`, "artifactTypes", "is a JSON array where a string is expected", false},
		{"legacy and new", `{"name":"cosign","artifactTypes":"*","key":"x","trustPolicies":[{}]}`, "key",
			"cannot be used together with trustPolicies", false},
		{"legacy key", `{"name":"cosign","artifactTypes":"*","key":"/does/not/exist"}`, "key", "/does/not/exist", false},
		{"legacy URL", `{"name":"cosign","artifactTypes":"*","key":"` + file + `","rekorURL":"rekor"}`, "rekorURL", "is not a URL", false},
		{"policy's version", withPolicy(`"version":"2.0.0",` + withKeys), "trustPolicies[0].version",
			`"2.0.0" is unknown; the only version is 1.0.0`, false},
		{"policy's unknown", withPolicy(withKeys + `,"tlogVerified":true`), "trustPolicies[0].tlogVerified", "did you mean tLogVerify?", false},
		{"policy's wrong type", withPolicy(withKeys + `,"tLogVerify":"no"`), "trustPolicies[0].tLogVerify",
			"is a JSON string where true or false is expected", false},
		{"policy is no object", `{"name":"cosign","artifactTypes":"*","trustPolicies":["x"]}`, "trustPolicies[0]",
			"is a JSON string where an object is expected", false},
		{"no keys", withPolicy(`"keys":[]`), "trustPolicies[0]", "neither keys nor keyless", false},
		{"empty keyless", withPolicy(`"keyless":{}`), "trustPolicies[0]", "neither keys nor keyless", false},
		{"keys and keyless", withPolicy(withKeys + "," + withKeyless), "trustPolicies[0]", "both keys and keyless", false},
		{"policy's URL", withPolicy(withKeys + `,"rekorURL":"https://me:secret@rekor.example.com"`), "trustPolicies[0].rekorURL",
			"without a user name", false},
		{"key without a source", withPolicy(`"keys":[{"provider":"keys"},{"name":"x"}]`), "trustPolicies[0].keys[1].provider", "is missing", false},
		{"key of two sources", withPolicy(`"keys":[{"provider":"keys","file":"x"}]`), "trustPolicies[0].keys[0].file", "cannot be used together",
			false},
		{"version of nothing", withPolicy(`"keys":[{"provider":"keys","version":"1"}]`), "trustPolicies[0].keys[0].version", "needs a name", false},
		{"key's unknown", withPolicy(`"keys":[{"provdier":"keys"}]`), "trustPolicies[0].keys[0].provdier", "did you mean provider?", false},
		{"no such file", withPolicy(`"keys":[{"file":"/does/not/exist"}]`), "trustPolicies[0].keys[0].file", "/does/not/exist", false},
		{"folder", withPolicy(`"keys":[{"file":"/"}]`), "trustPolicies[0].keys[0].file", "not a regular file", false},
		{"file of a certificate", withPolicy(`"keys":[{"file":"` + writeFile(t, fulcio.PEM()) + `"}]`), "trustPolicies[0].keys[0].file",
			"CERTIFICATE where a public key is wanted", false},
		{"no such provider", withPolicy(`"keys":[{"provider":"keys"},{"provider":"other"}]`), "trustPolicies[0].keys[1].provider",
			`key management provider "other": does not exist`, true},
		{"no such key", withPolicy(`"keys":[{"provider":"keys","name":"key-7"}]`), "trustPolicies[0].keys[0].name",
			`has no key "key-7" of version ""; it has: key-0 1`, true},
		{"provider without keys", withPolicy(`"keys":[{"provider":"empty"}]`), "trustPolicies[0].keys[0].provider", "holds no keys", true},
		{"provider with another kind of key", withPolicy(`"keys":[{"provider":"odd"}]`), "trustPolicies[0].keys[0].provider",
			"unsupported public key type", true},
		{"other namespace", withPolicy(`"keys":[{"provider":"theirs/keys"}]`), "trustPolicies[0].keys[0].provider",
			"another namespace than the verifier (ours)", false},
		{"no identity", withPolicy(`"keyless":{"certificateOIDCIssuer":"x"}`), "trustPolicies[0].keyless.certificateIdentity", "is missing", false},
		{"two identities", withPolicy(`"keyless":{"certificateOIDCIssuer":"x","certificateIdentity":"x","certificateIdentityRegExp":"x"}`),
			"trustPolicies[0].keyless.certificateIdentity", "cannot be used together", false},
		{"no issuer", withPolicy(`"keyless":{"certificateIdentity":"x"}`), "trustPolicies[0].keyless.certificateOIDCIssuer", "is missing", false},
		{"bad pattern", withPolicy(`"keyless":{"certificateIdentityRegExp":"(","certificateOIDCIssuer":"x"}`),
			"trustPolicies[0].keyless.certificateIdentityRegExp", "missing closing )", false},
		{"two of a name", `{"name":"cosign","artifactTypes":"*","trustPolicies":[` +
			`{"name":"a","scopes":["x"],` + withKeys + `},{"name":"a","scopes":["y"],` + withKeys + `}]}`,
			"trustPolicies[1].name", "already the name of trustPolicies[0]", false},
		{"no name", `{"name":"cosign","artifactTypes":"*","trustPolicies":[{"scopes":["*"],` + withKeys + `}]}`, "trustPolicies[0].name",
			"is missing", false},
		{"no scopes", `{"name":"cosign","artifactTypes":"*","trustPolicies":[{"name":"a",` + withKeys + `}]}`, "trustPolicies[0].scopes",
			"is missing", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			held := providers{"keys": holding(key.Public()), "empty": {}, "odd": holding("text")}
			_, err := New(t.Context(), parse(t, tt.parameters), Options{Namespace: "ours", Keys: held.keys, Log: quiet()})
			mistake, ok := errors.AsType[*ConfigError](err)
			if !ok || mistake.Field != tt.field || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("error %v, want one of %s: %s", err, tt.field, tt.says)
			}
			if errors.Is(err, ErrKeyMaterial) != tt.later {
				t.Errorf("is about key material: %t, want %t", !tt.later, tt.later)
			}
		})
	}
	if _, err := New(t.Context(), parse(t, withPolicy(withKeys)), Options{}); !errors.Is(err, ErrKeyMaterial) {
		t.Errorf("without providers: %v", err)
	}
}

func TestScopeErrors(t *testing.T) {
	for scopes, says := range map[string]string{
		`["*"]|["*"]`:                "trustPolicies[1].scopes[0]: * is already the scope of trustPolicies[0]",
		`["*","a/b:c"]`:              "trustPolicies[0].scopes[0]: * cannot be used with other scopes",
		`[""]`:                       "trustPolicies[0].scopes[0]: is empty",
		`["a b"]`:                    "not an image reference",
		`["a*b"]`:                    "not an image reference",
		`["a/*"]|["a/b:c"]`:          `trustPolicies[1].scopes[0]: "a/b:c" overlaps with trustPolicies[0].scopes[0], "a/*"`,
		`["a/b:c"]|["a/*"]`:          "overlaps",
		`["a/*","a/b/*"]`:            "trustPolicies[0].scopes[1]",
		`["a/b:c","a/b:c"]`:          "overlaps",
		`["a/b:c"]|["a/b:d"]`:        "",
		`["a/b:c"]|["a/b:c*"]|["*"]`: "overlaps",
		`["a/*"]|["b/*"]|["*"]`:      "",
		`["a_b/C:D-1.2@x*"]`:         "",
	} {
		var policies []string
		for i, list := range strings.Split(scopes, "|") {
			policies = append(policies, `{"name":"p`+string(rune('0'+i))+`","scopes":`+list+`,`+withKeys+`}`)
		}
		text := `{"name":"cosign","artifactTypes":"*","trustPolicies":[` + strings.Join(policies, ",") + `]}`
		_, err := New(t.Context(), parse(t, text), Options{Keys: providers{"keys": holding(newKey(t).Public())}.keys, Log: quiet()})
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: error %v, want %q", scopes, err, says)
		}
	}
}

// The trust policy whose scope covers the image is the one that judges.
func TestScopes(t *testing.T) {
	team, app, rest := newKey(t), newKey(t), newKey(t)
	held := providers{"team": holding(team.Public()), "app": holding(app.Public()), "rest": holding(rest.Public())}
	policy := func(name, scope string) string {
		return `{"name":"` + name + `","scopes":["` + scope + `"],"tLogVerify":false,"keys":[{"provider":"` + name + `"}]}`
	}
	cfg := func(policies ...string) string {
		return `{"name":"cosign","artifactTypes":"*","trustPolicies":[` + strings.Join(policies, ",") + `]}`
	}
	all := cfg(policy("rest", "*"), policy("app", repository+":v1"), policy("team", "registry.example.com/others/*"))
	for _, tt := range []struct {
		parameters, original string
		signer               signing.CosignKey
		want                 string
	}{
		{all, repository + ":v1", app, "verified"},
		{all, repository + ":v1", rest, "refused"},
		{all, repository + ":v11", rest, "verified"},
		{all, repository + "@" + image.Digest.String(), rest, "verified"},
		{all, "registry.example.com/others/app:v1", team, "verified"},
		{all, "registry.example.com/other:v1", team, "refused"},
		{cfg(policy("team", "registry.example.com/others/*")), repository + ":v1", team, "refused"},
	} {
		v := must(New(t.Context(), parse(t, tt.parameters), Options{Keys: held.keys, Log: quiet()}))(t)
		if got, reason := outcome(verifyAs(t.Context(), v, newStore(sign(t, tt.signer)), tt.original)); got != tt.want {
			t.Errorf("%s: %s: %s, want %s", tt.original, got, reason, tt.want)
		}
	}
}

// A scope that covers no image is told of when the configuration is loaded.
func TestScopesThatNeverMatch(t *testing.T) {
	for scope, want := range map[string]bool{
		"*": false, "registry.example.com*": false, "localhost:5000*": false, "localhost:5000/*": false, "registry.example.com/team/*": false,
		"registry.example.com/app*": false, "registry.example.com/app@*": false, repository + "@" + image.Digest.String(): false,
		repository + ":v1": false, repository + ":*": false, repository: true, repository + ":v1@" + image.Digest.String(): true,
		"localhost:5000/app": true, "registry.example.com": true,
	} {
		var told bytes.Buffer
		text := strings.Replace(withPolicy(withKeys+withoutLog), `"*"`, `"`+scope+`"`, 1)
		v := must(New(t.Context(), parse(t, text), Options{Keys: providers{"keys": holding(newKey(t).Public())}.keys,
			Log: slog.New(slog.NewTextHandler(&told, nil))}))(t)
		if got := strings.Contains(told.String(), "this scope covers no image"); got != want {
			t.Errorf("%s: told %t, want %t: %s", scope, got, want, &told)
		}
		for _, reference := range []string{repository + "@" + image.Digest.String(), repository + ":v1"} {
			if want && policyFor(v.policies, reference) != nil {
				t.Errorf("%s covers %s", scope, reference)
			}
		}
	}
}

// Ratify's own forms of configuration load.
func TestForms(t *testing.T) {
	key, other := newKey(t), newKey(t)
	file := writeFile(t, must(key.PEM())(t)+must(other.PEM())(t))
	held := providers{"keys": holding(other.Public(), key.Public()), "ours/keys": holding(key.Public())}
	for name, text := range map[string]string{
		"legacy key":        `{"name":"cosign","artifactTypes":"*","key":"` + file + `"}`,
		"file":              withPolicy(`"keys":[{"file":"` + file + `"}],"tLogVerify":false`),
		"all of a provider": withPolicy(withKeys + withoutLog),
		"one of a provider": withPolicy(`"keys":[{"provider":"keys","name":"key-1","version":"1"}],"tLogVerify":false`),
		"of our namespace":  withPolicy(`"keys":[{"provider":"ours/keys"}],"tLogVerify":false,"version":"1.0.0"`),
		"in other letters": strings.NewReplacer("trustPolicies", "TrustPolicies", "tLogVerify",
			"tlogverify").Replace(withPolicy(withKeys + withoutLog)),
		"with all the rest":   `{"version":"1.0.0","source":{},"nestedReferences":"x","nestedArtifactTypes":["y"],` + withPolicy(withKeys + withoutLog)[1:],
		"many artifact kinds": strings.Replace(withPolicy(withKeys+withoutLog), artifactType, "a, "+artifactType, 1),
	} {
		v, err := New(t.Context(), parse(t, text), Options{Namespace: "ours", Keys: held.keys, Log: quiet()})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, reason := outcome(verify(t.Context(), v, newStore(sign(t, key)))); got != "verified" {
			t.Errorf("%s: %s: %s", name, got, reason)
		}
		if !v.CanVerify(t.Context(), ocispecs.ReferenceDescriptor{ArtifactType: artifactType}) {
			t.Errorf("%s: it cannot verify %s", name, artifactType)
		}
		if want := map[bool]int{true: 1}[name == "with all the rest"]; len(v.GetNestedReferences()) != want {
			t.Errorf("%s: nested %v", name, v.GetNestedReferences())
		}
	}
	v := newVerifier(t, withPolicy(withKeys+withoutLog), key)
	if v.Name() != "verifier-cosign" || v.Type() != "cosign" || v.CanVerify(t.Context(), ocispecs.ReferenceDescriptor{ArtifactType: "sbom"}) {
		t.Errorf("%s %s", v.Name(), v.Type())
	}
}

// What the environment names is read with the configuration, if a policy needs it.
func TestEnvironmentErrors(t *testing.T) {
	key := newKey(t)
	ed25519Key := "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
	leaf := must(newFulcio(t).Issue(identity, issuer, time.Now()))(t).Certificate
	for _, tt := range []struct{ variable, content, members, says string }{
		{envRekorKey, "text", withKeys, "SIGSTORE_REKOR_PUBLIC_KEY"},
		{envRekorKey, ed25519Key, withKeys, "transparency logs sign with ECDSA"},
		{envRekorKey, "text", withKeys + withoutLog, ""},
		{envRootFile, "text", withKeyless, "SIGSTORE_ROOT_FILE"},
		{envRootFile, leaf, withKeyless, "none of its certificates is a root's"},
		{envRootFile, "text", withKeys + withoutLog, ""},
		{envCTLogKey, "text", withKeyless, "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE"},
		{envCTLogKey, "text", withKeys, ""},
		{envTUFMirror, "", withKeys, "TUF_MIRROR"},
		{envTUFMirror, "", withKeys + withoutLog, ""},
	} {
		t.Run(tt.variable, func(t *testing.T) {
			value := "https://mirror.example.com"
			if tt.content != "" {
				value = writeFile(t, tt.content)
			}
			t.Setenv(tt.variable, value)
			_, err := New(t.Context(), parse(t, withPolicy(tt.members)), Options{Keys: providers{"keys": holding(key.Public())}.keys, Log: quiet()})
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(),
				tt.says) || !strings.Contains(err.Error(), "trustPolicies[0]")) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
		})
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(withPolicy(withKeys + withoutLog)))
	f.Add([]byte(withPolicy(withKeyless)))
	f.Add([]byte(`{"name":"cosign","artifactTypes":"*","key":"x","rekorURL":"https://x"}`))
	held := providers{"keys": {keymanagementprovider.KMPMapKey{}: keymanagementprovider.PublicKey{Key: newKey(f).Public()}}}
	f.Fuzz(func(t *testing.T, text []byte) {
		var cfg config.VerifierConfig
		if json.Unmarshal(text, &cfg) != nil {
			return
		}
		v, err := New(t.Context(), cfg, Options{Keys: held.keys, Log: quiet()})
		if (v == nil) != (err != nil) {
			t.Errorf("%v, %v", v, err)
		}
	})
}
