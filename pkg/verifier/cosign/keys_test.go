package cosign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func TestKeys(t *testing.T) {
	ours, other, stranger := newKey(t), newKey(t), newKey(t)
	otherImage := must(ours.Signature(repository, imageOf("another image")))(t)
	good, bad := sign(t, ours), sign(t, stranger)
	tests := []struct {
		name       string
		signatures []signing.CosignSignature
		want       string
		reason     string
	}{
		{"signed", []signing.CosignSignature{good}, "verified",
			"signature 1 of 1 verified: the signature was made with the key keys/key-0/1; the signature is for this image"},
		{"signed with the other key", []signing.CosignSignature{sign(t, other)}, "verified", "keys/key-1/1"},
		{"stranger", []signing.CosignSignature{bad}, "refused", "signature 1 of 1: it was not made with the key keys/key-0/1"},
		{"the last of several is a stranger's", []signing.CosignSignature{good, bad}, "verified", "signature 1 of 2"},
		{"the first of several is a stranger's", []signing.CosignSignature{bad, good}, "verified", "signature 2 of 2"},
		{"signature of another image", []signing.CosignSignature{otherImage}, "refused", "not for this image"},
		{"payload of this image under another signature", []signing.CosignSignature{{Payload: good.Payload, Annotations: otherImage.Annotations}},
			"refused", "not made with"},
		{"payload is no JSON", []signing.CosignSignature{must(ours.SignPayload([]byte("text")))(t)}, "refused", "cannot be read"},
		{"payload without a digest", []signing.CosignSignature{must(ours.SignPayload([]byte("{}")))(t)}, "refused", `it is for ""`},
		{"no signature", []signing.CosignSignature{good.With(signing.CosignSignatureAnnotation, "")}, "refused",
			"has no annotation dev.cosignproject.cosign/signature"},
		{"not base64", []signing.CosignSignature{good.With(signing.CosignSignatureAnnotation, "%")}, "refused",
			"dev.cosignproject.cosign/signature: illegal base64"},
		{"annotation too long", []signing.CosignSignature{good.With(signing.CosignBundleAnnotation, strings.Repeat(" ", maxAnnotationBytes+1))},
			"refused", "bytes; more than"},
		{"damaged certificate", []signing.CosignSignature{good.With(signing.CosignCertificateAnnotation, "x")}, "refused",
			"dev.sigstore.cosign/certificate"},
		{"one unreadable, one good", []signing.CosignSignature{good.With(signing.CosignBundleAnnotation, "["), good}, "verified", "signature 2 of 2"},
		{"none", nil, "refused", "holds no signature"},
		{"too many", make([]signing.CosignSignature, maxSignatures+1), "refused", "201 signatures"},
	}
	v := newVerifier(t, withPolicy(withKeys+withoutLog), ours, other)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, reason := outcome(verify(t.Context(), v, newStore(tt.signatures...)))
			if got != tt.want || !strings.Contains(reason, tt.reason) {
				t.Errorf("%s: %s; want %s: %s", got, reason, tt.want, tt.reason)
			}
		})
	}
}

// All signatures that sign the same content cost one request.
func TestPayloadsAreReadOnce(t *testing.T) {
	ours := newKey(t)
	store := newStore(sign(t, newKey(t)), sign(t, newKey(t)), sign(t, ours))
	v := newVerifier(t, withPolicy(withKeys+withoutLog), ours)
	if got, reason := outcome(verify(t.Context(), v, store)); got != "verified" || store.blobReads != 1 {
		t.Errorf("%s: %s after %d reads", got, reason, store.blobReads)
	}
}

func TestStoreFails(t *testing.T) {
	ours := newKey(t)
	down := errors.New("the registry is down")
	otherContent := must(ours.SignPayload([]byte("{}")))(t) // a blob of its own
	tests := []struct {
		name   string
		change func(*memoryStore)
		want   string
		reason string
	}{
		{"subject", func(s *memoryStore) { s.failSubject = down }, "undetermined", "read the subject: the registry is down"},
		{"another subject", func(s *memoryStore) { s.subject = imageOf("another") }, "undetermined", "describes another one"},
		{"manifest", func(s *memoryStore) { s.failManifest = down }, "undetermined", "down"},
		{"malformed manifest", func(s *memoryStore) { s.failManifest = artifact.ErrMalformed }, "refused", "malformed"},
		{"manifest beyond limits", func(s *memoryStore) { s.failManifest = artifact.ErrLimit }, "refused", "exceeds a limit"},
		{"index", func(s *memoryStore) { s.manifest.MediaType = ocispec.MediaTypeImageIndex }, "refused", "media type"},
		{"payload", func(s *memoryStore) { s.failBlob[s.manifest.Blobs[0].Digest] = down }, "undetermined",
			"signature 1 of 1: read the payload: the registry is down"},
		{"payload beyond limits", func(s *memoryStore) { s.failBlob[s.manifest.Blobs[0].Digest] = artifact.ErrLimit }, "refused", "exceeds a limit"},
		{"long payload", func(s *memoryStore) { s.manifest.Blobs[0].Size = maxPayloadBytes + 1 }, "refused", "the payload has"},
		{"other size", func(s *memoryStore) { s.manifest.Blobs[0].Size++ }, "refused", "and the manifest says"},
		{"other content", func(s *memoryStore) {
			d := s.manifest.Blobs[0].Digest
			s.blobs[d] = []byte(strings.ToUpper(string(s.blobs[d])))
		}, "undetermined", "instead of"},
		{"bad digest", func(s *memoryStore) { s.manifest.Blobs[0].Digest = "sha256:x" }, "refused", "names the payload"},
		{"one payload of two", func(s *memoryStore) {
			more := newStore(otherContent)
			s.manifest.Blobs = append(s.manifest.Blobs, more.manifest.Blobs...) // its blob is not found
		}, "verified", ""},
		{"one payload of two, and the other is a stranger's", func(s *memoryStore) {
			*s = *newStore(sign(t, newKey(t)), otherContent)
			delete(s.blobs, digest.FromString("{}"))
		}, "undetermined", "signature 2 of 2: read the payload"},
	}
	v := newVerifier(t, withPolicy(withKeys+withoutLog), ours)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := newStore(sign(t, ours))
			tt.change(store)
			result, err := verify(t.Context(), v, store)
			if got, reason := outcome(result, err); got != tt.want || !strings.Contains(reason, tt.reason) {
				t.Errorf("%s: %s; want %s: %s", got, reason, tt.want, tt.reason)
			}
			if err != nil && result.IsSuccess {
				t.Error("an undetermined result is a success")
			}
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verify(ended, v, newStore(sign(t, ours))); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
}

// Keys of other kinds than cosign makes verify, too.
func TestKindsOfKeys(t *testing.T) {
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	for name, key := range map[string]crypto.Signer{"P-384": p384, "RSA": rsaKey} {
		k := signing.CosignKeyOf(key)
		if got, reason := outcome(verify(t.Context(), newVerifier(t, withPolicy(withKeys+withoutLog), k), newStore(sign(t, k)))); got != "verified" {
			t.Errorf("%s: %s: %s", name, got, reason)
		}
	}
}

// Azure Key Vault signs with a hash as long as the key, and RSA signatures come as two numbers.
func TestAzureKeys(t *testing.T) {
	payload := sign(t, newKey(t)).Payload
	rsaKey := must(rsa.GenerateKey(rand.Reader, 3072))(t)
	p521 := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))(t)
	raw := func(key crypto.Signer, hash crypto.Hash) []byte {
		h := hash.New()
		h.Write(payload)
		return must(key.Sign(rand.Reader, h.Sum(nil), hash))(t)
	}
	halved := func(raw []byte) []byte {
		var n struct{ R, S *big.Int }
		n.R, n.S = new(big.Int).SetBytes(raw[:len(raw)/2]), new(big.Int).SetBytes(raw[len(raw)/2:])
		return must(asn1.Marshal(n))(t)
	}
	// One whose second half begins with zero: about each 256th does.
	short := raw(rsaKey, crypto.SHA384)
	short[len(short)/2] = 0
	if got := joinHalves(halved(short), len(short)); string(got) != string(short) {
		t.Errorf("halves with leading zeros: %d bytes, want %d", len(got), len(short))
	}
	for name, tt := range map[string]struct {
		key  crypto.Signer
		raw  []byte
		want string
	}{
		"RSA":             {rsaKey, raw(rsaKey, crypto.SHA384), "verified"},
		"RSA in halves":   {rsaKey, halved(raw(rsaKey, crypto.SHA384)), "verified"},
		"RSA with SHA256": {rsaKey, raw(rsaKey, crypto.SHA256), "refused"},
		"P-521":           {p521, raw(p521, crypto.SHA512), "verified"},
	} {
		held := keyMap{{Name: "k", Version: "v"}: {Key: tt.key.Public(), ProviderType: azureKeyVault}}
		v := must(New(t.Context(), parse(t, withPolicy(withKeys+withoutLog)), Options{Keys: providers{"keys": held}.keys}))(t)
		s := signing.CosignSignature{Payload: payload, Annotations: map[string]string{
			signing.CosignSignatureAnnotation: base64.StdEncoding.EncodeToString(tt.raw),
		}}
		if got, reason := outcome(verify(t.Context(), v, newStore(s))); got != tt.want {
			t.Errorf("%s: %s: %s, want %s", name, got, reason, tt.want)
		}
	}
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))(t)
	if _, err := namedKeyOf(Key{}, keymanagementprovider.PublicKey{Key: p224.Public(), ProviderType: azureKeyVault}); err == nil {
		t.Error("a key that Azure Key Vault does not have is accepted")
	}
}

// A name alone means all of the key's versions, and whether a provider says that a key is enabled does not matter: what is not is not there.
func TestKeysOfAProvider(t *testing.T) {
	held := keyMap{}
	for _, at := range []keymanagementprovider.KMPMapKey{
		{Name: "a", Version: "1"}, {Name: "a", Version: "2", Enabled: true}, {Name: "b", Version: "1"}, {Name: "c"},
	} {
		held[at] = keymanagementprovider.PublicKey{Key: newKey(t).Public(), ProviderType: "inline"}
	}
	for _, tt := range []struct {
		name, version string
		want          []string
	}{
		{"", "", []string{"a 1", "a 2", "b 1", "c "}},
		{"a", "", []string{"a 1", "a 2"}},
		{"a", "2", []string{"a 2"}},
		{"a", "3", nil},
		{"b", "1", []string{"b 1"}},
		{"c", "", []string{"c "}},
	} {
		keys, err := keysOf(t.Context(), "keys[0]", keyParameters{Provider: "p", Name: tt.name, Version: tt.version}, Options{Keys: providers{"p": held}.keys})
		var got []string
		for _, key := range keys {
			got = append(got, key.Name+" "+key.Version)
		}
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
			t.Errorf("name %q, version %q: %v, %v; want %v", tt.name, tt.version, got, err, tt.want)
		}
	}
}
