package cosign

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/utils"
	"github.com/ratify-project/ratify/pkg/verifier"
	"github.com/ratify-project/ratify/pkg/verifier/config"
	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

const (
	repository   = "registry.example.com/team/app"
	artifactType = "application/vnd.dev.cosign.artifact.sig.v1+json"
	identity     = "https://ci.example.com/team/app/build"
	issuer       = "https://oidc.example.com"
)

func TestMain(m *testing.M) {
	// No test may reach Sigstore, or take trust from the machine.
	for _, name := range []string{envRootFile, envRekorKey, envCTLogKey, envTUFMirror, envTUFRoot, envTUFCache} {
		os.Unsetenv(name)
	}
	os.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	goleak.VerifyTestMain(m)
}

// must returns v or ends the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// imageOf returns the descriptor of an image with this content.
func imageOf(content string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(content), Size: int64(len(content))}
}

var image = imageOf("image")

func newKey(t testing.TB) signing.CosignKey {
	t.Helper()
	return must(signing.NewCosignKey())(t)
}

func sign(t testing.TB, key signing.CosignKey) signing.CosignSignature {
	t.Helper()
	return must(key.Signature(repository, image))(t)
}

// logged returns a signature with the bundle of a log that took it in at a time.
func logged(t testing.TB, log signing.CosignLog, s signing.CosignSignature, at time.Time) signing.CosignSignature {
	t.Helper()
	return s.With(signing.CosignBundleAnnotation, must(log.Bundle(s, at))(t))
}

// writeFile returns the path of a new file.
func writeFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// memoryStore holds one image and one manifest of signatures of it.
type memoryStore struct {
	referrerstore.ReferrerStore // nil: what is not implemented must not be called
	subject                     ocispec.Descriptor
	manifest                    ocispecs.ReferenceManifest
	blobs                       map[digest.Digest][]byte

	failSubject, failManifest error
	failBlob                  map[digest.Digest]error
	blobReads                 int
}

func newStore(signatures ...signing.CosignSignature) *memoryStore {
	s := &memoryStore{
		subject: image, blobs: make(map[digest.Digest][]byte), failBlob: make(map[digest.Digest]error),
		manifest: ocispecs.ReferenceManifest{MediaType: ocispec.MediaTypeImageManifest},
	}
	for _, signature := range signatures {
		layer := imageOf(string(signature.Payload))
		layer.Annotations = signature.Annotations
		s.blobs[layer.Digest] = signature.Payload
		s.manifest.Blobs = append(s.manifest.Blobs, layer)
	}
	return s
}

func (s *memoryStore) Name() string                        { return "memory" }
func (s *memoryStore) GetConfig() *storeconfig.StoreConfig { return &storeconfig.StoreConfig{} }

func (s *memoryStore) GetSubjectDescriptor(context.Context, common.Reference) (*ocispecs.SubjectDescriptor, error) {
	return &ocispecs.SubjectDescriptor{Descriptor: s.subject}, s.failSubject
}

func (s *memoryStore) GetReferenceManifest(context.Context, common.Reference, ocispecs.ReferenceDescriptor) (ocispecs.ReferenceManifest, error) {
	return s.manifest, s.failManifest
}

func (s *memoryStore) GetBlobContent(_ context.Context, _ common.Reference, d digest.Digest) ([]byte, error) {
	s.blobReads++
	if err := s.failBlob[d]; err != nil {
		return nil, err
	}
	blob, ok := s.blobs[d]
	if !ok {
		return nil, fmt.Errorf("blob %s not found", d)
	}
	return blob, nil
}

type keyMap = map[keymanagementprovider.KMPMapKey]keymanagementprovider.PublicKey

// providers are the key management providers of tests.
type providers map[string]keyMap

func (p providers) keys(_ context.Context, provider string) (keyMap, error) {
	keys, ok := p[provider]
	if !ok {
		return nil, errors.New("does not exist")
	}
	return keys, nil
}

// holding returns a provider of these keys, named key-0 and so on, of version 1.
func holding(keys ...crypto.PublicKey) keyMap {
	held := make(keyMap)
	for i, key := range keys {
		held[keymanagementprovider.KMPMapKey{Name: fmt.Sprintf("key-%d", i), Version: "1"}] = keymanagementprovider.PublicKey{Key: key,
			ProviderType: "inline"}
	}
	return held
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

// withPolicy returns parameters with one trust policy of these members after its name and scopes.
func withPolicy(members string) string {
	return `{"name":"verifier-cosign","type":"cosign","artifactTypes":"` + artifactType + `",
		"trustPolicies":[{"name":"default","scopes":["*"],` + members + `}]}`
}

const (
	withKeys    = `"keys":[{"provider":"keys"}]`
	withoutLog  = `,"tLogVerify":false`
	withKeyless = `"keyless":{"certificateIdentity":"` + identity + `","certificateOIDCIssuer":"` + issuer + `"}`
)

// newVerifier returns a verifier with the provider "keys" of the keys. What it asks over the network fails unless the URL is in its parameters.
func newVerifier(t testing.TB, parameters string, keys ...signing.CosignKey) *Verifier {
	t.Helper()
	var publics []crypto.PublicKey
	for _, key := range keys {
		publics = append(publics, key.Public())
	}
	return must(New(t.Context(), parse(t, parameters), Options{Keys: providers{"keys": holding(publics...)}.keys, Transport: loopback(t),
		Log: quiet()}))(t)
}

// quiet returns a logger that formats everything and keeps nothing.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// verify asks v about the signatures in store.
func verify(ctx context.Context, v *Verifier, store *memoryStore) (verifier.VerifierResult, error) {
	return verifyAs(ctx, v, store, repository+":v1")
}

// verifyAs verifies the image under a name, with a tag or a digest.
func verifyAs(ctx context.Context, v *Verifier, store *memoryStore, name string) (verifier.VerifierResult, error) {
	subject, err := utils.ParseSubjectReference(name)
	if err != nil {
		return verifier.VerifierResult{}, err
	}
	subject.Digest = image.Digest
	return v.Verify(ctx, subject, ocispecs.ReferenceDescriptor{ArtifactType: artifactType, Descriptor: imageOf("the manifest")}, store)
}

// outcome is that of a verification: verified, refused or undetermined, with its reason.
func outcome(result verifier.VerifierResult, err error) (string, string) {
	switch {
	case err != nil:
		return "undetermined", err.Error()
	case result.IsSuccess:
		return "verified", result.Message
	}
	return "refused", result.ErrorReason
}
