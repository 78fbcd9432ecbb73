package notation

import (
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation/revocation"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// TestOutcomeEndsWithRevocation has responders whose word changes, or ends. Without the outcome, the next check would find the same.
func TestOutcomeEndsWithRevocation(t *testing.T) {
	image := imageOf("image")
	tests := map[string]struct {
		with  func(*signing.Responder) func(*x509.Certificate)
		life  time.Duration // of what the responder says; 0: an hour
		after time.Duration
		down  bool
		want  string // remembered, refused, undetermined
	}{
		"OCSP, while the answer is not asked for again": {withOCSP, 0, 5*time.Minute - time.Second, false, "remembered"},
		"OCSP, asked again":                             {withOCSP, 0, 5 * time.Minute, false, "refused"},
		"OCSP, the end of the answer":                   {withOCSP, 3 * time.Minute, 3*time.Minute + time.Second, true, "undetermined"},
		"list, while it is not renewed":                 {withCRL, 0, 10*time.Minute - time.Second, false, "remembered"},
		"list, the end":                                 {withCRL, 20 * time.Minute, 20*time.Minute + time.Second, true, "undetermined"},
		"list, the end, and there is a new one":         {withCRL, 20 * time.Minute, 20*time.Minute + time.Second, false, "refused"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t, "root")
			s := newResponder(t, root)
			if tt.life != 0 {
				s.SetLife(tt.life)
			}
			leaf := issue(t, root, "leaf", newKey(t), tt.with(s))
			v, clock := newClockedVerifier(t, level("strict"), providers{"roots": {root.cert}})
			store := newStore(image, sign(t, leaf, image, cose.MediaTypeEnvelope))
			judge(t, v, store, true, true)
			judge(t, v, store, true, false)
			second := newStore(imageOf("second"), sign(t, leaf, imageOf("second"), cose.MediaTypeEnvelope))
			judge(t, v, second, true, true)
			if asked := s.Asked(); asked != 1 {
				t.Errorf("the responder was asked %d times for two images of a signer", asked)
			}
			s.Revoke(leaf.cert)
			s.SetLife(24 * time.Hour)
			if tt.down {
				s.SetFault(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
			}
			clock.Advance(tt.after)
			switch tt.want {
			case "remembered":
				judge(t, v, store, true, false)
				judge(t, v, second, true, false)
			case "refused":
				expectRefused(t, v, store, "revocation", "is revoked")
				expectRefused(t, v, second, "revocation", "is revoked")
			default:
				if result, err := verify(t.Context(), v, store); err == nil || result.IsSuccess {
					t.Errorf("Verify() = %+v, %v; want an error", result, err)
				}
			}
		})
	}
	t.Run("a renewed answer serves all images of the signer", func(t *testing.T) {
		root := newRoot(t, "root")
		leaf := issue(t, root, "leaf", newKey(t), withOCSP(newResponder(t, root)))
		v, clock := newClockedVerifier(t, level("strict"), providers{"roots": {root.cert}})
		first, second := newStore(image, sign(t, leaf, image, cose.MediaTypeEnvelope)), newStore(imageOf("b"), sign(t, leaf, imageOf("b"), cose.MediaTypeEnvelope))
		judge(t, v, first, true, true)
		judge(t, v, second, true, true)
		clock.Advance(5 * time.Minute)
		judge(t, v, first, true, true)
		judge(t, v, second, true, false)
	})
}

// TestOutcomeOfTimestamp remembers the signature of a certificate that has expired since, until the timestamping authority is revoked.
func TestOutcomeOfTimestamp(t *testing.T) {
	root, tsaRoot := newRoot(t, "root"), newRoot(t, "tsa root")
	s := newResponder(t, tsaRoot)
	tsa := issue(t, tsaRoot, "tsa", newKey(t), asTSA, withOCSP(s))
	yesterday := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	expired := issue(t, root, "expired", newKey(t), valid(yesterday.Add(-time.Hour), yesterday.Add(time.Hour)))
	image, pool := imageOf("image"), x509.NewCertPool()
	pool.AddCert(tsaRoot.cert)
	store := newStore(image, signRequest(t, expired, image, cose.MediaTypeEnvelope, func(r *signature.SignRequest) {
		r.SigningTime, r.Timestamper, r.TSARootCAs = yesterday, timestamper(t, tsa, yesterday), pool
	}))
	v, clock := newClockedVerifier(t, `{"name":"n","artifactTypes":"*","verificationCertStores":{"ca":{"certs":["roots"]},"tsa":{"certs":["tsa"]}},
		"trustPolicyDoc":{"version":"1.0","trustPolicies":[{"name":"p","registryScopes":["*"],"trustStores":["ca:certs","tsa:certs"],
		"trustedIdentities":["*"],"signatureVerification":{"level":"strict"}}]}}`, providers{"roots": {root.cert}, "tsa": {tsaRoot.cert}})
	judge(t, v, store, true, true)
	judge(t, v, store, true, false)
	s.Revoke(tsa.cert)
	clock.Advance(5 * time.Minute)
	expectRefused(t, v, store, "authenticTimestamp", "is revoked")
}

// newClockedVerifier returns a verifier whose clock for revocation the test moves.
func newClockedVerifier(t *testing.T, parameters string, material providers) (*Verifier, *testclock.Clock) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	clock := testclock.At(time.Now())
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	checker, err := revocation.New(revocation.Options{HTTPClient: &http.Client{Transport: transport}, Now: clock.Now, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(t.Context(), parse(t, parameters), Options{KeyMaterial: material, Revocation: checker, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return v, clock
}
