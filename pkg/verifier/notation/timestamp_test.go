package notation

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/tspclient-go"
	gocose "github.com/veraison/go-cose"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// asTSA makes a certificate one of a timestamping authority (RFC 3161, 2.3: the extended key usage is critical and alone).
func asTSA(c *x509.Certificate) {
	c.ExtKeyUsage = nil
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		panic(err)
	}
	c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}
}

// timestamper returns a client of a timestamping authority whose clock shows at.
func timestamper(t *testing.T, tsa *identity, at time.Time) tspclient.Timestamper {
	t.Helper()
	server, err := signing.NewTSA(signing.Identity{Key: tsa.key, Chain: tsa.chain}, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	client, err := server.Timestamper()
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// withTimestampOf returns a COSE envelope with the timestamp of another; no signature covers it there.
func withTimestampOf(t *testing.T, envelope, other []byte) []byte {
	t.Helper()
	const label = "io.cncf.notary.timestampSignature"
	var message, source gocose.Sign1Message
	if err := errors.Join(message.UnmarshalCBOR(envelope), source.UnmarshalCBOR(other)); err != nil {
		t.Fatal(err)
	}
	message.Headers.RawUnprotected = nil
	message.Headers.Unprotected[label] = source.Headers.Unprotected[label]
	mixed, err := message.MarshalCBOR()
	if err != nil {
		t.Fatal(err)
	}
	return mixed
}

func TestTimestamp(t *testing.T) {
	root, tsaRoot := newRoot(t, "root"), newRoot(t, "tsa root")
	tsa := issue(t, tsaRoot, "tsa", newKey(t), asTSA)
	s := newResponder(t, tsaRoot)
	revocableTSA := issue(t, tsaRoot, "revocable tsa", newKey(t), asTSA, withOCSP(s))
	image := imageOf("image")
	yesterday := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	leaf := issue(t, root, "leaf", newKey(t))
	expired := issue(t, root, "expired", newKey(t), valid(yesterday.Add(-time.Hour), yesterday.Add(time.Hour)))

	signed := func(signer, tsa *identity, at time.Time) []byte {
		return signRequest(t, signer, image, cose.MediaTypeEnvelope, func(r *signature.SignRequest) {
			r.SigningTime = yesterday
			if tsa != nil {
				r.Timestamper, r.TSARootCAs = timestamper(t, tsa, at), x509.NewCertPool()
				r.TSARootCAs.AddCert(tsaRoot.cert)
			}
		})
	}
	policy := func(verifyTimestamp string) string {
		return `{"name":"n","artifactTypes":"*","verificationCertStores":{"ca":{"certs":["roots"]},"tsa":{"certs":["tsa"]}},
			"trustPolicyDoc":{"version":"1.0","trustPolicies":[{"name":"p","registryScopes":["*"],"trustStores":["ca:certs","tsa:certs"],
			"trustedIdentities":["*"],"signatureVerification":{"level":"strict"` + verifyTimestamp + `}}]}}`
	}
	always, afterExpiry := policy(""), policy(`,"verifyTimestamp":"afterCertExpiry"`)
	permissive := strings.Replace(policy(`,"verifyTimestamp":"always"`), "strict", "permissive", 1)

	tests := []struct {
		name       string
		parameters string
		envelope   []byte
		tsaRoot    *identity
		responder  string // what it says about the authority
		want       string // verified, refused, undetermined
		words      string
	}{
		{"expired since", always, signed(expired, tsa, yesterday), tsaRoot, "", "verified", "CN=expired"},
		{"stamped after it expired", always, signed(expired, tsa, yesterday.Add(2*time.Hour)), tsaRoot, "", "refused", "does not show that the signature was made"},
		{"none", always, signed(leaf, nil, time.Time{}), tsaRoot, "", "refused", "no timestamp countersignature"},
		{"none and not needed", afterExpiry, signed(leaf, nil, time.Time{}), tsaRoot, "", "verified", "CN=leaf"},
		{"none although needed", afterExpiry, signed(expired, nil, time.Time{}), tsaRoot, "", "refused", "no timestamp countersignature"},
		{"of a stranger", always, signed(expired, tsa, yesterday), root, "", "refused", "does not show that the signature was made"},
		{"without a trust store", level("strict"), signed(expired, tsa, yesterday), tsaRoot, "", "refused", "no trust store of type tsa"},
		{"expired since, with a timestamp only then", afterExpiry, signed(expired, tsa, yesterday), tsaRoot, "", "verified", "CN=expired"},
		{"not expired", always, signed(leaf, tsa, yesterday), tsaRoot, "", "verified", "CN=leaf"},
		{"stamped before its life", always, signed(expired, tsa, yesterday.Add(-2*time.Hour)), tsaRoot, "", "refused", "does not show that the signature was made"},
		{"of another signature", always, withTimestampOf(t, signed(leaf, nil, time.Time{}), signed(leaf, tsa, yesterday)), tsaRoot, "", "refused",
			"does not show that the signature was made"},
		{"of a stranger, but not looked at", afterExpiry, signed(leaf, tsa, yesterday), root, "", "verified", "CN=leaf"},
		{"permissive, after it expired", permissive, signed(expired, tsa, yesterday.Add(2*time.Hour)), tsaRoot, "", "verified", "lets failed checks pass: authenticTimestamp"},
		{"permissive, authority revoked", permissive, signed(expired, revocableTSA, yesterday), tsaRoot, "revoked", "verified", "is revoked"},
		{"permissive, authority's responder down", permissive, signed(expired, revocableTSA, yesterday), tsaRoot, "down", "verified", "502"},
		{"authority good", always, signed(expired, revocableTSA, yesterday), tsaRoot, "good", "verified", "CN=expired"},
		{"authority revoked", always, signed(expired, revocableTSA, yesterday), tsaRoot, "revoked", "refused", "is revoked"},
		{"authority's responder down", always, signed(expired, revocableTSA, yesterday), tsaRoot, "down", "undetermined", "CN=revocable tsa"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.Forgive()
			s.SetFault(nil)
			switch tt.responder {
			case "revoked":
				s.Revoke(revocableTSA.cert)
			case "down":
				s.SetFault(func(w http.ResponseWriter, _ *http.Request) bool {
					w.WriteHeader(http.StatusBadGateway)
					return true
				})
			}
			t.Setenv("HOME", t.TempDir())
			v, err := New(t.Context(), parse(t, tt.parameters), Options{KeyMaterial: providers{"roots": {root.cert}, "tsa": {tt.tsaRoot.cert}}, Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			result, err := verify(t.Context(), v, newStore(image, tt.envelope))
			got := map[bool]string{true: "verified", false: "refused"}[result.IsSuccess]
			text := result.Message
			if err != nil {
				got, text = "undetermined", err.Error()
			}
			if got != tt.want || !strings.Contains(text, tt.words) {
				t.Errorf("%s: %q; want %s with %q", got, text, tt.want, tt.words)
			}
		})
	}
}
