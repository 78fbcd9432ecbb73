package notation

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/signer"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	"github.com/ratify-project/ratify/pkg/verifier/config"
	"go.uber.org/goleak"
)

const (
	repository   = "registry.example.com/team/app"
	artifactType = "application/vnd.cncf.notary.signature"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// identity is a certificate with its key and the chain up to its root.
type identity struct {
	cert  *x509.Certificate
	key   crypto.Signer
	chain []*x509.Certificate
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue returns a certificate issued by issuer, self-signed when that is nil, valid from three days ago until tomorrow.
func issue(t testing.TB, issuer *identity, name string, key crypto.Signer, change ...func(*x509.Certificate)) *identity {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Example"}, Country: []string{"CN"}, Province: []string{"ZJ"}},
		NotBefore:    time.Now().Add(-72 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	for _, c := range change {
		c(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	id := &identity{cert, key, []*x509.Certificate{cert}}
	if issuer != nil {
		id.chain = append(id.chain, issuer.chain...)
	}
	return id
}

func asCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
}

func valid(from, until time.Time) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, until }
}

func newRoot(t testing.TB, name string) *identity {
	t.Helper()
	return issue(t, nil, name, newKey(t), asCA)
}

// imageOf returns the descriptor of an image with this content.
func imageOf(content string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(content), Size: int64(len(content))}
}

// sign signs image with notation-go's signer, as the notation command does.
func sign(t testing.TB, id *identity, image ocispec.Descriptor, mediaType string) []byte {
	t.Helper()
	s, err := signer.NewGenericSigner(id.key, id.chain)
	if err != nil {
		t.Fatal(err)
	}
	envelope, _, err := s.Sign(t.Context(), image, notation.SignerSignOptions{SignatureMediaType: mediaType})
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

// signRequest signs image as change asks, which may be at another time than now.
func signRequest(t testing.TB, id *identity, image ocispec.Descriptor, mediaType string, change func(*signature.SignRequest)) []byte {
	t.Helper()
	payload, err := json.Marshal(map[string]any{"targetArtifact": image})
	if err != nil {
		t.Fatal(err)
	}
	local, err := signature.NewLocalSigner(id.chain, id.key)
	if err != nil {
		t.Fatal(err)
	}
	request := &signature.SignRequest{
		Payload:       signature.Payload{ContentType: "application/vnd.cncf.notary.payload.v1+json", Content: payload},
		Signer:        local,
		SigningTime:   time.Now().Truncate(time.Second),
		SigningScheme: signature.SigningSchemeX509,
	}
	change(request)
	envelope, err := signature.NewEnvelope(mediaType)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := envelope.Sign(request)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// memoryStore holds one image and one signature of it.
type memoryStore struct {
	referrerstore.ReferrerStore // nil: what is not implemented must not be called
	subject                     ocispec.Descriptor
	manifest                    ocispecs.ReferenceManifest
	blobs                       map[digest.Digest][]byte

	failSubject, failManifest, failBlob error
	reads                               int // of subjects
	manifestReads                       int
}

func newStore(image ocispec.Descriptor, envelopes ...[]byte) *memoryStore {
	s := &memoryStore{subject: image, blobs: make(map[digest.Digest][]byte)}
	for _, e := range envelopes {
		mediaType := cose.MediaTypeEnvelope
		if len(e) > 0 && e[0] == '{' {
			mediaType = jws.MediaTypeEnvelope
		}
		s.add(mediaType, e)
	}
	return s
}

func (s *memoryStore) add(mediaType string, envelope []byte) *memoryStore {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(envelope), Size: int64(len(envelope))}
	s.blobs[desc.Digest] = envelope
	s.manifest.Blobs = append(s.manifest.Blobs, desc)
	return s
}

func (s *memoryStore) Name() string                        { return "memory" }
func (s *memoryStore) GetConfig() *storeconfig.StoreConfig { return &storeconfig.StoreConfig{} }

func (s *memoryStore) GetSubjectDescriptor(context.Context, common.Reference) (*ocispecs.SubjectDescriptor, error) {
	s.reads++
	return &ocispecs.SubjectDescriptor{Descriptor: s.subject}, s.failSubject
}

func (s *memoryStore) GetReferenceManifest(context.Context, common.Reference, ocispecs.ReferenceDescriptor) (ocispecs.ReferenceManifest, error) {
	s.manifestReads++
	return s.manifest, s.failManifest
}

func (s *memoryStore) GetBlobContent(_ context.Context, _ common.Reference, d digest.Digest) ([]byte, error) {
	if s.failBlob != nil {
		return nil, s.failBlob
	}
	blob, ok := s.blobs[d]
	if !ok {
		return nil, fmt.Errorf("blob %s not found", d)
	}
	return blob, nil
}

// providers is the key material of tests: certificates by provider.
type providers map[string][]*x509.Certificate

func (p providers) Certificates(_ context.Context, provider string) ([]*x509.Certificate, error) {
	certs, ok := p[provider]
	if !ok {
		return nil, errors.New("does not exist")
	}
	return certs, nil
}

// parse returns the parameters in a JSON text.
func parse(t testing.TB, text string) config.VerifierConfig {
	t.Helper()
	var cfg config.VerifierConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return cfg
}

// withPolicy returns parameters with the trust store ca:certs of the provider "roots" and this policy, a JSON text of its members after name.
func withPolicy(members string) string {
	return `{"name":"verifier-notation","type":"notation","artifactTypes":"` + artifactType + `",
		"verificationCertStores":{"ca":{"certs":["roots"]}},
		"trustPolicyDoc":{"version":"1.0","trustPolicies":[{"name":"default",` + members + `}]}}`
}

func level(level string) string {
	return withPolicy(`"registryScopes":["*"],"signatureVerification":{"level":"` + level + `"},"trustStores":["ca:certs"],"trustedIdentities":["*"]`)
}

func newVerifier(t testing.TB, parameters string, roots ...*x509.Certificate) *Verifier {
	t.Helper()
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	t.Setenv("HOME", t.TempDir())
	v, err := New(t.Context(), parse(t, parameters), Options{KeyMaterial: providers{"roots": roots}, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// quiet returns a logger that formats everything and keeps nothing.
func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(discard{}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// verify asks v about the signature in store.
func verify(ctx context.Context, v *Verifier, store *memoryStore) (verifier.VerifierResult, error) {
	return verifyIn(ctx, v, store, repository)
}

func verifyIn(ctx context.Context, v *Verifier, store *memoryStore, path string) (verifier.VerifierResult, error) {
	subject := common.Reference{Path: path, Digest: store.subject.Digest, Original: path + "@" + store.subject.Digest.String()}
	desc := ocispecs.ReferenceDescriptor{ArtifactType: artifactType, Descriptor: imageOf(fmt.Sprint("the signature's manifest ", store.manifest.Blobs))}
	return v.Verify(ctx, subject, desc, store)
}

func toPEM(certs ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}
