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
	"maps"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry/remote"
)

// The annotations of a layer that make it a signature of cosign
// (https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md).
const (
	CosignSignatureAnnotation   = "dev.cosignproject.cosign/signature"
	CosignCertificateAnnotation = "dev.sigstore.cosign/certificate"
	CosignChainAnnotation       = "dev.sigstore.cosign/chain"
	CosignBundleAnnotation      = "dev.sigstore.cosign/bundle"
)

// CosignKey is a key that signs as the cosign command does with --key or, when Fulcio issued it a certificate, without.
type CosignKey struct {
	key crypto.Signer

	// Certificate and Chain are in PEM; empty without a certificate.
	Certificate, Chain string
}

// NewCosignKey returns a new key.
func NewCosignKey() (CosignKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return CosignKey{key: key}, err
}

// CosignKeyOf returns a key that is there already.
func CosignKeyOf(key crypto.Signer) CosignKey { return CosignKey{key: key} }

// Public returns the public key.
func (k CosignKey) Public() crypto.PublicKey { return k.key.Public() }

// PEM returns the public key.
func (k CosignKey) PEM() (string, error) { return publicPEM(k.key.Public()) }

// CosignSignature is a layer of cosign's manifests: one signature.
type CosignSignature struct {
	Payload     []byte
	Annotations map[string]string
	signer      CosignKey
}

// Signature signs an image of a repository, which is "host/name", with SHA-256.
func (k CosignKey) Signature(repository string, image ocispec.Descriptor) (CosignSignature, error) {
	payload, err := json.Marshal(map[string]any{
		"critical": map[string]any{
			"identity": map[string]any{"docker-reference": repository},
			"image":    map[string]any{"docker-manifest-digest": image.Digest},
			"type":     "cosign container image signature",
		},
		"optional": nil,
	})
	if err != nil {
		return CosignSignature{}, err
	}
	return k.SignPayload(payload)
}

// SignPayload signs anything, with SHA-256.
func (k CosignKey) SignPayload(payload []byte) (CosignSignature, error) {
	hash := sha256.Sum256(payload)
	signature, err := k.key.Sign(rand.Reader, hash[:], crypto.SHA256)
	if err != nil {
		return CosignSignature{}, err
	}
	s := CosignSignature{payload, map[string]string{CosignSignatureAnnotation: base64.StdEncoding.EncodeToString(signature)}, k}
	if k.Certificate != "" {
		s.Annotations[CosignCertificateAnnotation], s.Annotations[CosignChainAnnotation] = k.Certificate, k.Chain
	}
	return s, nil
}

// With returns the signature with one annotation changed.
func (s CosignSignature) With(annotation, value string) CosignSignature {
	s.Annotations = maps.Clone(s.Annotations)
	s.Annotations[annotation] = value
	return s
}

// Sign signs an image and pushes the signature under cosign's tag.
func (k CosignKey) Sign(ctx context.Context, repo *remote.Repository, image ocispec.Descriptor) error {
	signature, err := k.Signature(repo.Reference.Registry+"/"+repo.Reference.Repository, image)
	if err != nil {
		return err
	}
	return PushCosign(ctx, repo, image, signature)
}

// PushCosign pushes signatures in one manifest under cosign's tag, whatever is in them.
func PushCosign(ctx context.Context, repo *remote.Repository, image ocispec.Descriptor, signatures ...CosignSignature) error {
	config, err := oras.PushBytes(ctx, repo, ocispec.MediaTypeImageConfig, []byte("{}"))
	if err != nil {
		return err
	}
	var layers []ocispec.Descriptor
	for _, s := range signatures {
		layer, err := oras.PushBytes(ctx, repo, "application/vnd.dev.cosign.simplesigning.v1+json", s.Payload)
		if err != nil {
			return err
		}
		layer.Annotations = s.Annotations
		layers = append(layers, layer)
	}
	manifest, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, "", oras.PackManifestOptions{ConfigDescriptor: &config, Layers: layers})
	if err != nil {
		return err
	}
	return repo.Tag(ctx, manifest, strings.Replace(image.Digest.String(), ":", "-", 1)+".sig")
}

func publicPEM(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}
