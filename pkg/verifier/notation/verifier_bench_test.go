package notation

import (
	"context"
	"crypto/x509"
	"log/slog"
	"testing"

	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
)

// What a signature of a chain of three costs, of an image that is new and of one that has been verified before, and what notation-go's own
// verification costs.
func BenchmarkVerify(b *testing.B) {
	ca := newRoot(b, "root")
	leaf := issue(b, issue(b, ca, "issuing", newKey(b), asCA), "leaf", newKey(b))
	image := imageOf("image")
	for name, mediaType := range map[string]string{"JWS": jws.MediaTypeEnvelope, "COSE": cose.MediaTypeEnvelope} {
		envelope := sign(b, leaf, image, mediaType)
		for _, known := range []bool{false, true} {
			b.Run(name+map[bool]string{false: "/new", true: "/known"}[known], func(b *testing.B) {
				v, store := newVerifier(b, level("strict"), ca.cert), newStore(image, envelope)
				v.log = slog.New(slog.DiscardHandler) // debug logging is off, as it is in a cluster
				b.ReportAllocs()
				for b.Loop() {
					if !known {
						v.outcomes.kept.Purge()
					}
					if result, err := verify(b.Context(), v, store); err != nil || !result.IsSuccess {
						b.Fatal(result, err)
					}
				}
			})
		}
		b.Run(name+"/notation-go", func(b *testing.B) {
			v, err := verifier.New(&trustpolicy.Document{Version: "1.0", TrustPolicies: []trustpolicy.TrustPolicy{{
				Name: "default", RegistryScopes: []string{"*"}, SignatureVerification: trustpolicy.SignatureVerification{VerificationLevel: "strict"},
				TrustStores: []string{"ca:certs"}, TrustedIdentities: []string{"*"},
			}}}, inMemory{ca.cert}, nil)
			if err != nil {
				b.Fatal(err)
			}
			o := notation.VerifierVerifyOptions{ArtifactReference: repository + "@" + image.Digest.String(), SignatureMediaType: mediaType}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), image, envelope, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// inMemory is a trust store of notation-go.
type inMemory []*x509.Certificate

// GetCertificates implements truststore.X509TrustStore.
func (m inMemory) GetCertificates(context.Context, truststore.Type, string) ([]*x509.Certificate, error) {
	return m, nil
}
