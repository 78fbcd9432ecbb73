package notation

import (
	"context"
	"crypto/x509"
	"testing"

	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
)

// What a signature of a chain of three costs, and what of that is notation-go's own verification.
func BenchmarkVerify(b *testing.B) {
	ca := newRoot(b, "root")
	leaf := issue(b, issue(b, ca, "issuing", newKey(b), asCA), "leaf", newKey(b))
	image := imageOf("image")
	for name, mediaType := range map[string]string{"JWS": jws.MediaTypeEnvelope, "COSE": cose.MediaTypeEnvelope} {
		envelope := sign(b, leaf, image, mediaType)
		b.Run(name, func(b *testing.B) {
			v, store := newVerifier(b, level("strict"), ca.cert), newStore(image, envelope)
			b.ReportAllocs()
			for b.Loop() {
				if result, err := verify(b.Context(), v, store); err != nil || !result.IsSuccess {
					b.Fatal(result, err)
				}
			}
		})
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
