package signing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry/remote"
)

// CosignKey is a key that signs as the cosign command does with --key.
type CosignKey struct{ key *ecdsa.PrivateKey }

// NewCosignKey returns a new key.
func NewCosignKey() (CosignKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return CosignKey{key}, err
}

// PEM returns the public key.
func (k CosignKey) PEM() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(k.key.Public())
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// Sign signs an image and pushes the signature under cosign's tag
// (https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md).
func (k CosignKey) Sign(ctx context.Context, repo *remote.Repository, image ocispec.Descriptor) error {
	payload, err := json.Marshal(map[string]any{
		"critical": map[string]any{
			"identity": map[string]any{"docker-reference": repo.Reference.Registry + "/" + repo.Reference.Repository},
			"image":    map[string]any{"docker-manifest-digest": image.Digest},
			"type":     "cosign container image signature",
		},
		"optional": nil,
	})
	if err != nil {
		return err
	}
	hash := sha256.Sum256(payload)
	signature, err := k.key.Sign(rand.Reader, hash[:], crypto.SHA256)
	if err != nil {
		return err
	}
	config, err := oras.PushBytes(ctx, repo, ocispec.MediaTypeImageConfig, []byte("{}"))
	if err != nil {
		return err
	}
	layer, err := oras.PushBytes(ctx, repo, "application/vnd.dev.cosign.simplesigning.v1+json", payload)
	if err != nil {
		return err
	}
	layer.Annotations = map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signature)}
	manifest, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, "", oras.PackManifestOptions{
		ConfigDescriptor: &config, Layers: []ocispec.Descriptor{layer},
	})
	if err != nil {
		return err
	}
	return repo.Tag(ctx, manifest, strings.Replace(image.Digest.String(), ":", "-", 1)+".sig")
}
