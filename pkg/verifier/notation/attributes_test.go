package notation

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	notationverifier "github.com/notaryproject/notation-go/verifier"
)

// TestCriticalAttributes has signatures with attributes that a verifier must understand, and others that it need not.
func TestCriticalAttributes(t *testing.T) {
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	image := imageOf("image")
	plugin := signature.Attribute{Key: notationverifier.HeaderVerificationPlugin, Critical: true, Value: "check"}
	critical := signature.Attribute{Key: "com.example.only-on-mondays", Critical: true, Value: "x"}
	optional := signature.Attribute{Key: "com.example.comment", Value: "x"}
	const identity, revoked = "TRUSTED_IDENTITY", "REVOCATION_CHECK"
	says := func(capability string, processed ...string) string {
		return fmt.Sprintf(script, capability, strings.Replace(strings.ReplaceAll(answer("true"), identity, capability), "[]", `["`+strings.Join(processed, `","`)+`"]`, 1))
	}
	skipped := withPolicy(`"registryScopes":["*"],"signatureVerification":{"level":"strict","override":{"revocation":"skip"}},
		"trustStores":["ca:certs"],"trustedIdentities":["*"]`)
	tests := map[string]struct {
		mediaType, parameters, script string
		attributes                    []signature.Attribute
		words                         string // of the refusal; empty: it verifies
	}{
		"unknown, JWS":                     {jws.MediaTypeEnvelope, level("strict"), "", []signature.Attribute{critical}, "only-on-mondays"},
		"unknown, COSE":                    {cose.MediaTypeEnvelope, level("strict"), "", []signature.Attribute{critical}, "only-on-mondays"},
		"unknown number, COSE":             {cose.MediaTypeEnvelope, level("strict"), "", []signature.Attribute{{Key: int64(-70001), Critical: true, Value: "x"}}, "-70001"},
		"unknown, audit":                   {cose.MediaTypeEnvelope, level("audit"), "", []signature.Attribute{critical}, "only-on-mondays"},
		"not critical":                     {jws.MediaTypeEnvelope, level("strict"), "", []signature.Attribute{optional}, ""},
		"processed by the plugin":          {jws.MediaTypeEnvelope, level("strict"), says(identity, critical.Key.(string)), []signature.Attribute{plugin, critical}, ""},
		"not processed by the plugin":      {jws.MediaTypeEnvelope, level("strict"), says(identity, "other"), []signature.Attribute{plugin, critical}, "only-on-mondays"},
		"the plugin has nothing to verify": {jws.MediaTypeEnvelope, skipped, says(revoked, critical.Key.(string)), []signature.Attribute{plugin, critical}, "only-on-mondays"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			plugins := t.TempDir()
			if tt.script != "" {
				if err := os.WriteFile(filepath.Join(plugins, "notation-check"), []byte(tt.script), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("HOME", t.TempDir())
			v, err := New(t.Context(), parse(t, tt.parameters), Options{KeyMaterial: providers{"roots": {root.cert}}, PluginDirectory: plugins, Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			store := newStore(image, signRequest(t, leaf, image, tt.mediaType, func(r *signature.SignRequest) { r.ExtendedSignedAttributes = tt.attributes }))
			for range 2 { // a refusal is no outcome that is remembered
				result, err := verify(t.Context(), v, store)
				if err != nil || result.IsSuccess != (tt.words == "") || !strings.Contains(result.ErrorReason, tt.words) {
					t.Fatalf("Verify() = %+v, %v; want success %t, %q", result, err, tt.words == "", tt.words)
				}
			}
		})
	}
}
