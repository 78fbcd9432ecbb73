package notation

import (
	"strings"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
)

func TestPolicies(t *testing.T) {
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	stranger := issue(t, newRoot(t, "strange root"), "stranger", newKey(t))
	image := imageOf("image")
	yesterday := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	good := sign(t, leaf, image, cose.MediaTypeEnvelope)
	strange := sign(t, stranger, image, cose.MediaTypeEnvelope)
	expired := signRequest(t, leaf, image, cose.MediaTypeEnvelope, func(r *signature.SignRequest) {
		r.SigningTime, r.Expiry = yesterday, yesterday.Add(time.Hour)
	})
	identity := func(dn string) string {
		return withPolicy(`"registryScopes":["*"],"signatureVerification":{"level":"strict"},"trustStores":["ca:certs"],"trustedIdentities":["x509.subject:` + dn + `"]`)
	}
	scope := func(scopes string) string {
		return withPolicy(`"registryScopes":[` + scopes + `],"signatureVerification":{"level":"strict"},"trustStores":["ca:certs"],"trustedIdentities":["*"]`)
	}
	override := func(base, check, action string) string {
		return withPolicy(`"registryScopes":["*"],"signatureVerification":{"level":"` + base + `","override":{"` + check + `":"` + action + `"}},
			"trustStores":["ca:certs"],"trustedIdentities":["*"]`)
	}
	authority := signRequest(t, leaf, image, cose.MediaTypeEnvelope, func(r *signature.SignRequest) {
		r.SigningScheme = signature.SigningSchemeX509SigningAuthority
	})
	authorities := stores(`{"ca":{"a":["roots"]},"signingAuthority":{"b":["roots"]}}`, `"signingAuthority:b"`)
	skip := withPolicy(`"registryScopes":["*"],"signatureVerification":{"level":"skip"}`)

	tests := []struct {
		name       string
		parameters string
		envelope   []byte
		success    bool
		words      string // of the message or the reason
	}{
		{"strict, good", level("strict"), good, true, "signed by CN=leaf"},
		{"strict, expired", level("strict"), expired, false, "expired on"},
		{"strict, stranger", level("strict"), strange, false, "no trust store holds"},
		{"permissive, good", level("permissive"), good, true, "signed by CN=leaf"},
		{"permissive, expired", level("permissive"), expired, true, "expiry: the signature expired on"},
		{"permissive, stranger", level("permissive"), strange, false, "no trust store holds"},
		{"audit, expired", level("audit"), expired, true, "expiry: the signature expired on"},
		{"audit, stranger", level("audit"), strange, true, "authenticity: no trust store holds"},
		{"audit, other image", level("audit"), sign(t, leaf, imageOf("x"), jws.MediaTypeEnvelope), false, "not for this image"},
		{"audit, damaged", level("audit"), good[:len(good)-9], false, "damaged"},
		{"skip, damaged", skip, []byte("x"), true, "nothing was verified"},
		{"strict but expiry logged", override("strict", "expiry", "log"), expired, true, "expiry: the signature expired on"},
		{"audit but expiry enforced", override("audit", "expiry", "enforce"), expired, false, "expired on"},
		{"audit but authenticity enforced", override("audit", "authenticity", "enforce"), strange, false, "no trust store holds"},
		{"identity", identity("C=CN, ST=ZJ, O=Example"), good, true, "signed by CN=leaf"},
		{"other identity", identity("C=CN, ST=ZJ, O=Other"), good, false, "none of the trusted identities of trust policy \"default\": x509.subject:C=CN, ST=ZJ, O=Other"},
		{"signing authority", authorities, authority, true, "signed by CN=leaf"},
		{"of a CA, where a signing authority is trusted", authorities, good, false, "no trust store of type ca"},
		{"scope", scope(`"` + repository + `"`), good, true, "signed by CN=leaf"},
		{"other scope", scope(`"` + repository + `2","registry.example.com/team"`), good, false, "no trust policy of the verifier covers the repository " + repository},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := newVerifier(t, tt.parameters, root.cert)
			result, err := verify(t.Context(), v, newStore(image, tt.envelope))
			if err != nil || result.IsSuccess != tt.success {
				t.Fatalf("Verify() = %+v, %v; want success %t", result, err, tt.success)
			}
			if !strings.Contains(result.Message, tt.words) {
				t.Errorf("message %q does not say %q", result.Message, tt.words)
			}
			warned := result.Extensions.(map[string]string)[factWarnings] != ""
			if want := tt.success && strings.Contains(tt.words, ": "); warned != want {
				t.Errorf("extensions %v; want warnings: %t", result.Extensions, want)
			}
		})
	}

	t.Run("skip reads nothing", func(t *testing.T) {
		store := newStore(image)
		if result, err := verify(t.Context(), newVerifier(t, skip, root.cert), store); err != nil || !result.IsSuccess || store.reads != 0 {
			t.Errorf("Verify() = %+v, %v after %d reads", result, err, store.reads)
		}
	})
	t.Run("the exact scope wins", func(t *testing.T) {
		v := newVerifier(t, `{"name":"n","artifactTypes":"*","verificationCertStores":{"certs":["roots"]},"trustPolicyDoc":{"version":"1.0","trustPolicies":[
			{"name":"all","registryScopes":["*"],"signatureVerification":{"level":"skip"}},
			{"name":"one","registryScopes":["`+repository+`"],"signatureVerification":{"level":"strict"},"trustStores":["ca:certs"],"trustedIdentities":["*"]}]}}`, root.cert)
		store := newStore(image, strange)
		if result, err := verify(t.Context(), v, store); err != nil || result.IsSuccess {
			t.Errorf("Verify() = %+v, %v; want a refusal by policy one", result, err)
		}
		if result, err := verifyIn(t.Context(), v, store, repository+"/x"); err != nil || !result.IsSuccess {
			t.Errorf("Verify() = %+v, %v; want it skipped by policy all", result, err)
		}
	})
}
