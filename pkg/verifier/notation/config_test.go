package notation

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/notaryproject/notation-core-go/signature/jws"
)

// with returns valid parameters in which these members, a JSON text, come last and so win.
func with(members string) string {
	base := strings.TrimSuffix(strings.TrimSpace(level("strict")), "}")
	return base + "," + members + "}"
}

// stores returns parameters with these verificationCertStores and a policy that uses these trust stores.
func stores(definition, used string) string {
	return `{"name":"n","artifactTypes":"*","verificationCertStores":` + definition + `,"trustPolicyDoc":{"version":"1.0","trustPolicies":[
		{"name":"p","registryScopes":["*"],"signatureVerification":{"level":"strict"},"trustStores":[` + used + `],"trustedIdentities":["*"]}]}}`
}

func TestNewRefuses(t *testing.T) {
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	material := providers{"roots": {root.cert}, "leaves": {leaf.cert}, "none": nil, "team-a/kmp": {root.cert}}
	policy := func(members string) string { return withPolicy(members) }
	tests := []struct {
		name, parameters string
		field            string
		words            string
		keyMaterial      bool
	}{
		{"nothing", `{}`, "name", "is missing", false},
		{"no artifact types", `{"name":"n"}`, "artifactTypes", "is missing", false},
		{"empty artifact types", `{"name":"n","artifactTypes":" , "}`, "artifactTypes", "is missing", false},
		{"no policies", `{"name":"n","artifactTypes":"*"}`, "trustPolicyDoc", "is missing", false},
		{"unknown key", with(`"verificationCert":["x"]`), "verificationCert", "is unknown; the verifier takes artifactTypes, name", false},
		{"name", with(`"name":7`), "name", "JSON number where a string", false},
		{"artifact types", with(`"artifactTypes":["a"]`), "artifactTypes", "JSON array where a string", false},
		{"cert paths", with(`"verificationCerts":"x"`), "verificationCerts", "JSON string where a list", false},
		{"stores", with(`"verificationCertStores":["x"]`), "verificationCertStores", "JSON array where an object", false},
		{"typed stores", stores(`{"ca":["x"]}`, `"ca:x"`), "verificationCertStores.ca", "JSON array where an object", false},
		{"typed store", stores(`{"ca":{"x":"y"}}`, `"ca:x"`), "verificationCertStores.ca.x", "JSON string where a list", false},
		{"legacy store", stores(`{"x":"y"}`, `"ca:x"`), "verificationCertStores.x", "JSON string where a list", false},
		{"type misspelt", stores(`{"signingauthority":{"x":["roots"]}}`, `"ca:x"`), "verificationCertStores.signingauthority", "signingAuthority and tsa", false},
		{"both forms", stores(`{"ca":{"x":["roots"]},"y":["roots"]}`, `"ca:x"`), "verificationCertStores", "mixes stores by type (ca) with stores without (y)", false},
		{"document", with(`"trustPolicyDoc":"x"`), "trustPolicyDoc", "JSON string where an object", false},
		{"document key", with(`"trustPolicyDoc":{"versions":"1.0"}`), "trustPolicyDoc.versions", "is unknown", false},
		{"version", with(`"trustPolicyDoc":{"version":"2.0","trustPolicies":[]}`), "trustPolicyDoc", `unsupported version "2.0"`, false},
		{"no statements", with(`"trustPolicyDoc":{"version":"1.0"}`), "trustPolicyDoc", "zero trust policy statements", false},
		{"policy key", policy(`"scopes":[]`), "trustPolicyDoc.trustPolicies[0].scopes", "is unknown", false},
		{"policy type", policy(`"registryScopes":"*"`), "trustPolicyDoc.trustPolicies[0].registryScopes", "JSON string where a list", false},
		{"nested type", policy(`"signatureVerification":{"level":1}`), "trustPolicyDoc.trustPolicies[0].signatureVerification.level", "JSON number where a string", false},
		{"nested object", policy(`"signatureVerification":"strict"`), "trustPolicyDoc.trustPolicies[0].signatureVerification", "JSON string where an object", false},
		{"level", level("stern"), "trustPolicyDoc.trustPolicies[0].signatureVerification", `invalid signature verification level "stern"`, false},
		{"chart's misspelt level", policy(`"signatureVerification":{"verificatonLevel":"strict"}`), "trustPolicyDoc.trustPolicies[0].verificatonLevel", "is unknown", false},
		{"identity", policy(`"registryScopes":["*"],"signatureVerification":{"level":"strict"},"trustStores":["ca:certs"],"trustedIdentities":["x509.subject:CN"]`),
			"trustPolicyDoc.trustPolicies[0].trustedIdentities[0]", "trusted identity", false},
		{"same name twice", with(`"trustPolicyDoc":{"version":"1.0","trustPolicies":[
			{"name":"a","registryScopes":["*"],"signatureVerification":{"level":"skip"}},
			{"name":"a","registryScopes":["a/b"],"signatureVerification":{"level":"skip"}}]}`), "trustPolicyDoc", `same name "a"`, false},

		{"unknown store", stores(`{"ca":{"x":["roots"]},"tsa":{"y":["roots"]}}`, `"ca:x","ca:y"`), "trustPolicyDoc.trustPolicies[0].trustStores[1]",
			"trust store ca:y, which does not exist or has no certificates: verificationCertStores defines ca:x, tsa:y", false},
		{"no timestamping store", stores(`{"ca":{"x":["roots"]}}`, `"ca:x","tsa:x"`), "trustPolicyDoc.trustPolicies[0].trustStores[1]", "tsa:x", false},
		{"no providers", stores(`{"x":[]}`, `"ca:x"`), "trustPolicyDoc.trustPolicies[0].trustStores[0]", "has no certificates", false},
		{"null, as the chart renders it", stores(`{"x":null}`, `"ca:x"`), "trustPolicyDoc.trustPolicies[0].trustStores[0]", "has no certificates", false},
		{"provider missing", stores(`{"ca":{"x":["roots","gatekeeper-system/gone"]}}`, `"ca:x"`), "verificationCertStores.ca.x[1]",
			`key management provider "gatekeeper-system/gone": does not exist`, true},
		{"provider empty", stores(`{"x":["none"]}`, `"ca:x"`), "verificationCertStores.ca.x", "there is no certificate at all", true},
		{"no anchor", stores(`{"x":["leaves"]}`, `"ca:x"`), "verificationCertStores.ca.x", "CN=leaf,O=Example,ST=ZJ,C=CN is neither a CA's nor self-signed, its issuer is CN=root", true},
		{"other namespace", stores(`{"x":["team-a/kmp"]}`, `"ca:x"`), "verificationCertStores.ca.x[0]", "in another namespace than the verifier (team-b)", false},
		{"files missing", `{"name":"n","artifactTypes":"*","verificationCerts":["/does/not/exist"],` + strings.TrimPrefix(level("strict"), `{"name":"verifier-notation","type":"notation","artifactTypes":"`+artifactType+`",
		"verificationCertStores":{"ca":{"certs":["roots"]}},`), "verificationCerts[0]", "/does/not/exist", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("HOME", t.TempDir())
			v, err := New(t.Context(), parse(t, tt.parameters), Options{KeyMaterial: material, Namespace: "team-b", Log: quiet()})
			if tt.name == "provider missing" { // of another namespace than the test's
				v, err = New(t.Context(), parse(t, tt.parameters), Options{KeyMaterial: material, Log: quiet()})
			}
			var mistake *ConfigError
			if v != nil || !errors.As(err, &mistake) {
				t.Fatalf("New() = %v, %v; want a ConfigError", v, err)
			}
			if mistake.Field != tt.field || !strings.Contains(err.Error(), tt.words) || !strings.Contains(err.Error(), tt.field) {
				t.Errorf("field %q, error %q;\nwant field %q and %q", mistake.Field, err, tt.field, tt.words)
			}
			if errors.Is(err, ErrKeyMaterial) != tt.keyMaterial {
				t.Errorf("error %q is ErrKeyMaterial: %t, want %t", err, !tt.keyMaterial, tt.keyMaterial)
			}
		})
	}

	t.Run("no providers outside a cluster", func(t *testing.T) {
		t.Setenv("HOME", t.TempDir())
		_, err := New(t.Context(), parse(t, level("strict")), Options{})
		if !errors.Is(err, ErrKeyMaterial) || !strings.Contains(err.Error(), "verificationCerts") {
			t.Errorf("New() = %v", err)
		}
	})
	t.Run("a value that is not JSON", func(t *testing.T) {
		if _, err := New(t.Context(), map[string]any{"name": func() {}}, Options{}); err == nil || !strings.Contains(err.Error(), "parameter name") {
			t.Errorf("New() = %v", err)
		}
	})
}

// TestNewAccepts checks forms of parameters by the signature that they let pass: that of leaf, whose root some provider or file holds.
func TestNewAccepts(t *testing.T) {
	root, other := newRoot(t, "root"), newRoot(t, "other")
	leaf := issue(t, root, "leaf", newKey(t))
	image := imageOf("image")
	envelope := sign(t, leaf, image, jws.MediaTypeEnvelope)
	material := providers{"roots": {root.cert, root.cert, leaf.cert}, "other": {other.cert}, "gatekeeper-system/roots": {root.cert}}

	dir := t.TempDir()
	write := func(path string, certs ...*x509.Certificate) string {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, toPEM(certs...), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	single := write("single.pem", root.cert)
	write("dir/a/root.crt", root.cert)
	write("dir/b.pem", other.cert, leaf.cert)
	write("other/other.pem", other.cert)
	home := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(write("home/.ratify/ratify-certs/notation/truststore/ca.pem", root.cert))))))
	write("home/certs/ca.pem", root.cert)
	conf := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(write("conf/ratify-certs/notation/truststore/ca.pem", root.cert)))))
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	// As a mounted Secret looks: ca.crt → ..data/ca.crt, ..data → ..2026.
	write("volume/..2026/ca.crt", root.cert)
	for link, target := range map[string]string{"volume/..data": "..2026", "volume/ca.crt": "..data/ca.crt", "link": "volume"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	files := func(paths string) string {
		return strings.Replace(stores(`{}`, `"ca:any"`), `"artifactTypes"`, `"verificationCerts":[`+paths+`],"artifactTypes"`, 1)
	}
	quote := func(path ...string) string { return `"` + filepath.Join(append([]string{dir}, path...)...) + `"` }

	tests := []struct {
		name, parameters string
		home, config     string
		success          bool
	}{
		{"typed", stores(`{"ca":{"x":["roots"]}}`, `"ca:x"`), empty, "", true},
		{"legacy", stores(`{"x":["roots"]}`, `"ca:x"`), empty, "", true},
		{"namespaced provider", stores(`{"ca":{"x":["gatekeeper-system/roots"]}}`, `"ca:x"`), empty, "", true},
		{"several providers", stores(`{"x":["other","roots"]}`, `"ca:x"`), empty, "", true},
		{"several stores", stores(`{"x":["other"],"y":["roots"]}`, `"ca:x","ca:y"`), empty, "", true},
		{"the other store", stores(`{"x":["other"],"y":["roots"]}`, `"ca:x"`), empty, "", false},
		{"a store of no policy may be wrong", stores(`{"x":["roots"],"y":["gone"]}`, `"ca:x"`), empty, "", true},
		{"other type", stores(`{"signingAuthority":{"x":["roots"]},"ca":{"x":["other"]}}`, `"ca:x","signingAuthority:x"`), empty, "", false},
		{"all keys that Ratify passes", with(`"version":"1.0.0","source":{"artifact":"x"},"nestedReferences":"y"`), empty, "", true},
		{"keys in another case", strings.Replace(level("strict"), "verificationCertStores", "VerificationCertStores", 1), empty, "", true},
		{"file", files(quote("single.pem")), empty, "", true},
		{"directory", files(quote("dir")), empty, "", true},
		{"other directory", files(quote("other")), empty, "", false},
		{"several paths", files(quote("other") + "," + quote("single.pem") + "," + quote("single.pem")), empty, "", true},
		{"mounted volume", files(quote("volume")), empty, "", true},
		{"link to a directory", files(quote("link")), empty, "", true},
		{"home", files(`"~/certs"`), home, "", true},
		{"default directory", files(""), home, "", true},
		{"default directory below RATIFY_CONFIG", files(""), empty, conf, true},
		{"default directory without the parameter", stores(`{}`, `"ca:any"`), home, "", true},
		{"named stores win over files", strings.Replace(stores(`{"x":["other"]}`, `"ca:x"`), `"artifactTypes"`, `"verificationCerts":["`+single+`"],"artifactTypes"`, 1), home, "", false},
		{"files for a store without a name", strings.Replace(stores(`{"x":["other"]}`, `"ca:x","ca:y"`), `"artifactTypes"`, `"verificationCerts":["`+single+`"],"artifactTypes"`, 1), empty, "", true},
		{"files are not read when not needed", strings.Replace(stores(`{"x":["roots"]}`, `"ca:x"`), `"artifactTypes"`, `"verificationCerts":["/does/not/exist"],"artifactTypes"`, 1), empty, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("HOME", tt.home)
			t.Setenv("RATIFY_CONFIG", tt.config)
			v, err := New(t.Context(), parse(t, tt.parameters), Options{KeyMaterial: material, Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			result, err := verify(t.Context(), v, newStore(image, envelope))
			if err != nil || result.IsSuccess != tt.success {
				t.Errorf("Verify() = %+v, %v; want success %t", result, err, tt.success)
			}
		})
	}
}

func TestReadCertPathRefuses(t *testing.T) {
	root := newRoot(t, "root")
	tests := map[string]struct {
		make  func(dir string) error
		words string
	}{
		"not a certificate": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "README"), []byte("roots"), 0o600) }, "README"},
		"damaged":           {func(dir string) error { return os.WriteFile(filepath.Join(dir, "a.pem"), toPEM(root.cert)[:99], 0o600) }, "a.pem: PEM block 1"},
		"broken link":       {func(dir string) error { return os.Symlink("gone", filepath.Join(dir, "ca.pem")) }, "gone"},
		"too many": {func(dir string) error {
			for i := range maxCertFiles + 1 {
				if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i%26))+strings.Repeat("x", i/26)), toPEM(root.cert), 0o600); err != nil {
					return err
				}
			}
			return nil
		}, "more than 1000 certificate files"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := tt.make(dir); err != nil {
				t.Fatal(err)
			}
			certs, err := readCertPath(dir, new(int))
			if err == nil || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%d certificates, %v; want an error with %q", len(certs), err, tt.words)
			}
		})
	}
}

// TestTrustStoresAreReadOnce takes away what the trust stores were made of: a verifier keeps what New read.
func TestTrustStoresAreReadOnce(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	provided, filed := newRoot(t, "provided"), newRoot(t, "filed")
	material := providers{"roots": {provided.cert}}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, toPEM(filed.cert), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := New(t.Context(), parse(t, strings.Replace(stores(`{"x":["roots"]}`, `"ca:x","ca:y"`), `"artifactTypes"`, `"verificationCerts":["`+file+`"],"artifactTypes"`, 1)),
		Options{KeyMaterial: material, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	clear(material)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	image := imageOf("image")
	for _, root := range []*identity{provided, filed} {
		store := newStore(image, sign(t, issue(t, root, "leaf", newKey(t)), image, jws.MediaTypeEnvelope))
		if result, err := verify(t.Context(), v, store); err != nil || !result.IsSuccess {
			t.Errorf("%s: Verify() = %+v, %v", root.cert.Subject, result, err)
		}
	}
}

// TestIntermediateIsTrustAnchor trusts one authority below a root, and so not the other.
func TestIntermediateIsTrustAnchor(t *testing.T) {
	root := newRoot(t, "root")
	trusted, other := issue(t, root, "trusted", newKey(t), asCA), issue(t, root, "other", newKey(t), asCA)
	v := newVerifier(t, level("strict"), trusted.cert)
	image := imageOf("image")
	for issuer, want := range map[*identity]bool{trusted: true, other: false} {
		result, err := verify(t.Context(), v, newStore(image, sign(t, issue(t, issuer, "leaf", newKey(t)), image, jws.MediaTypeEnvelope)))
		if err != nil || result.IsSuccess != want {
			t.Errorf("%s: Verify() = %+v, %v; want success %t", issuer.cert.Subject, result, err, want)
		}
	}
}
