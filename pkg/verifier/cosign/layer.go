package cosign

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci/static"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
)

const (
	// maxSignatures limits the layers of a signature manifest. Each signing of an image adds one; each costs a request and verifications.
	maxSignatures = 200

	// maxPayloadBytes limits what a signature signs: a digest, a name and annotations, some hundred bytes.
	maxPayloadBytes = 128 << 10

	// maxAnnotationBytes limits each part of a signature in a layer's annotations. A bundle has about 6 KiB, a certificate 4 KiB.
	maxAnnotationBytes = 64 << 10

	// maxChainLength limits the certificates of a chain. Chains have two to four.
	maxChainLength = 16

	// maxRSABits limits the keys of these certificates, as crypto/tls does. Verifying takes time that grows with the square of the length, cannot
	// be cancelled, and is done before it is known whose key it is.
	maxRSABits = 8192
)

const again = "sign the image again with cosign; delete this artifact if it is no signature"

// signedLayer is one signature of a manifest, read but not yet judged.
type signedLayer struct {
	payload   []byte
	signature []byte
	chain     []*x509.Certificate // leaf first; none if a key signed
	bundle    *bundle.RekorBundle // nil if it has none
}

// readManifest returns the layers of a signature manifest. See "Storage" in the signature specification.
func readManifest(ctx context.Context, subject common.Reference, desc ocispecs.ReferenceDescriptor,
	store referrerstore.ReferrerStore) ([]ocispec.Descriptor, error) {
	manifest, err := store.GetReferenceManifest(ctx, subject, desc)
	if err != nil {
		return nil, fmt.Errorf("read the signature's manifest: %w", err)
	}
	if manifest.MediaType != ocispec.MediaTypeImageManifest {
		return nil, refuse(fmt.Sprintf("the signature's manifest is of the media type %q; only %s holds signatures",
			manifest.MediaType, ocispec.MediaTypeImageManifest), again)
	}
	switch n := len(manifest.Blobs); {
	case n == 0:
		return nil, refuse("the signature's manifest holds no signature", again)
	case n > maxSignatures:
		return nil, refuse(fmt.Sprintf("the signature's manifest holds %d signatures; more than %d are not accepted", n, maxSignatures),
			"delete the artifact, and sign the image again")
	}
	return manifest.Blobs, nil
}

// layerReader reads the layers of one manifest. Signatures of one image mostly sign the same payload, which is fetched once.
type layerReader struct {
	subject  common.Reference
	store    referrerstore.ReferrerStore
	payloads map[digest.Digest][]byte
}

// read returns the signature in a layer, a refusal if that is none, or another error if it could not be fetched.
func (r *layerReader) read(ctx context.Context, layer ocispec.Descriptor) (*signedLayer, error) {
	s, err := parseAnnotations(layer.Annotations)
	if err != nil {
		return nil, refuse(err.Error(), again)
	}
	if layer.Size > maxPayloadBytes {
		return nil, refuse(fmt.Sprintf("the payload has %d bytes; more than %d are not accepted", layer.Size, maxPayloadBytes), again)
	}
	if err := layer.Digest.Validate(); err != nil {
		return nil, refuse(fmt.Sprintf("the manifest names the payload %q: %v", layer.Digest, err), again)
	}
	payload, ok := r.payloads[layer.Digest]
	if !ok {
		if payload, err = r.store.GetBlobContent(ctx, r.subject, layer.Digest); err != nil {
			return nil, fmt.Errorf("read the payload: %w", err)
		}
	}
	if got := layer.Digest.Algorithm().FromBytes(payload); got != layer.Digest { // a fault of the delivery, not of the signature
		return nil, fmt.Errorf("read the payload: the store delivered content of digest %s instead of %s", got, layer.Digest)
	}
	if int64(len(payload)) != layer.Size {
		return nil, refuse(fmt.Sprintf("the payload has %d bytes, and the manifest says %d", len(payload), layer.Size), again)
	}
	r.payloads[layer.Digest] = payload
	s.payload = payload
	return s, nil
}

// parseAnnotations returns the parts of a signature that the annotations of a layer hold.
func parseAnnotations(annotations map[string]string) (*signedLayer, error) {
	for _, key := range []string{static.SignatureAnnotationKey, static.CertificateAnnotationKey, static.ChainAnnotationKey, static.BundleAnnotationKey} {
		if n := len(annotations[key]); n > maxAnnotationBytes {
			return nil, fmt.Errorf("the annotation %s has %d bytes; more than %d are not accepted", key, n, maxAnnotationBytes)
		}
	}
	encoded := annotations[static.SignatureAnnotationKey]
	if encoded == "" {
		return nil, fmt.Errorf("the layer has no annotation %s", static.SignatureAnnotationKey)
	}
	s := &signedLayer{}
	var err error
	if s.signature, err = base64.StdEncoding.DecodeString(encoded); err != nil {
		return nil, fmt.Errorf("the annotation %s: %w", static.SignatureAnnotationKey, err)
	}
	if s.chain, err = parseChain(annotations); err != nil {
		return nil, err
	}
	if text := annotations[static.BundleAnnotationKey]; text != "" {
		if err := json.Unmarshal([]byte(text), &s.bundle); err != nil {
			return nil, fmt.Errorf("the annotation %s: %w", static.BundleAnnotationKey, err)
		}
	}
	return s, nil
}

// parseChain returns the certificate that signed and the chain behind it, none if there is no certificate.
func parseChain(annotations map[string]string) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for _, key := range []string{static.CertificateAnnotationKey, static.ChainAnnotationKey} {
		text := annotations[key]
		if text == "" {
			if key == static.CertificateAnnotationKey {
				return nil, nil
			}
			continue
		}
		certs, err := pemfile.Certificates([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("the annotation %s: %w", key, err)
		}
		if key == static.CertificateAnnotationKey {
			certs = certs[:1]
		}
		chain = append(chain, certs...)
	}
	if len(chain) > maxChainLength {
		return nil, fmt.Errorf("it comes with %d certificates; more than %d are not accepted", len(chain), maxChainLength)
	}
	for i, cert := range chain {
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
			return nil, fmt.Errorf("certificate %d has an RSA key of %d bits; more than %d are not accepted", i+1, key.N.BitLen(), maxRSABits)
		}
	}
	return chain, nil
}
