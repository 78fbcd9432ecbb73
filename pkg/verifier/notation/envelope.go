package notation

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/tspclient-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	gocose "github.com/veraison/go-cose"
)

const (
	// maxEnvelopeBytes limits a signature envelope. One with a long chain and a timestamp has about 25 KiB.
	maxEnvelopeBytes = 256 << 10

	// maxChainLength limits the certificates in an envelope, and those in its timestamp. Chains have two to four.
	maxChainLength = 16

	// maxRSABits limits the keys of these certificates, and those of trust anchors, as crypto/tls does. Verifying takes time that grows with the
	// square of the length (a key of 64 KiB: 11 s), cannot be cancelled, and is done before it is known whose key it is. The specification allows
	// up to 4096 for signing.
	maxRSABits = 8192

	// maxLight bounds the certificates that are known to have reasonable keys; they take 150 bytes each. Signers have two to four.
	maxLight = 4096
)

// effort finds out whether verifying an envelope could take unreasonably long. It remembers the digests of certificates that passed, which all
// signatures of a signer have in common: the same bytes pass again, and need not be parsed for it.
type effort struct {
	light *lru.Cache[[sha256.Size]byte, struct{}]
}

func newEffort() (*effort, error) {
	light, err := lru.New[[sha256.Size]byte, struct{}](maxLight)
	return &effort{light}, err
}

// readEnvelope returns the only blob of a signature manifest, and its media type. See "Signature Manifest" in the signature specification.
func (v *Verifier) readEnvelope(ctx context.Context, subject common.Reference, desc ocispecs.ReferenceDescriptor,
	store referrerstore.ReferrerStore) (envelope []byte, mediaType string, err error) {
	const remedy = "sign the image again with notation; delete this artifact if it is no signature"
	manifest, err := store.GetReferenceManifest(ctx, subject, desc)
	if err != nil {
		return nil, "", fmt.Errorf("read the signature's manifest: %w", err)
	}
	if n := len(manifest.Blobs); n != 1 {
		return nil, "", refuse(checkFormat, fmt.Sprintf("the signature's manifest has %d blobs where exactly one, the envelope, is required", n), remedy)
	}
	blob := manifest.Blobs[0]
	if blob.MediaType != jws.MediaTypeEnvelope && blob.MediaType != cose.MediaTypeEnvelope {
		return nil, "", refuse(checkFormat, fmt.Sprintf("the signature's envelope has the media type %q; only %s (JWS) and %s (COSE) are signatures",
			blob.MediaType, jws.MediaTypeEnvelope, cose.MediaTypeEnvelope), remedy)
	}
	if blob.Size > maxEnvelopeBytes {
		return nil, "", refuse(checkFormat, fmt.Sprintf("the signature's envelope has %d bytes; more than %d are not accepted", blob.Size, maxEnvelopeBytes), remedy)
	}
	if err := blob.Digest.Validate(); err != nil {
		return nil, "", refuse(checkFormat, fmt.Sprintf("the signature's manifest names its envelope %q: %v", blob.Digest, err), remedy)
	}
	envelope, err = store.GetBlobContent(ctx, subject, blob.Digest)
	if err != nil {
		return nil, "", fmt.Errorf("read the signature's envelope: %w", err)
	}
	if err := sameContent(blob, envelope); err != nil {
		return nil, "", fmt.Errorf("read the signature's envelope: %w", err)
	}
	if err := v.effort.check(envelope, blob.MediaType); err != nil {
		return nil, "", refuse(checkFormat, "the signature's envelope: "+err.Error(), remedy)
	}
	return envelope, blob.MediaType, nil
}

// sameContent returns an error unless content is what desc describes. That is a fault of the delivery, not of the signature.
func sameContent(desc ocispec.Descriptor, content []byte) error {
	if int64(len(content)) != desc.Size {
		return fmt.Errorf("the store delivered %d bytes instead of %d for %s", len(content), desc.Size, desc.Digest)
	}
	if got := desc.Digest.Algorithm().FromBytes(content); got != desc.Digest {
		return fmt.Errorf("the store delivered content of digest %s instead of %s", got, desc.Digest)
	}
	return nil
}

// check returns an error when verifying the envelope could take unreasonably long. What it cannot parse, notation-go refuses.
func (e *effort) check(envelope []byte, mediaType string) error {
	chain, timestamp := unsignedParts(envelope, mediaType)
	if err := checkLength(len(chain)); err != nil {
		return err
	}
	for i, der := range chain {
		if err := e.checkCertificate(der); err != nil {
			return fmt.Errorf("certificate %d has %w", i+1, err)
		}
	}
	if len(timestamp) == 0 {
		return nil
	}
	token, err := tspclient.ParseSignedToken(timestamp)
	if err != nil {
		return nil
	}
	if err := checkLength(len(token.Certificates)); err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	for i, cert := range token.Certificates {
		if err := checkKey(cert); err != nil {
			return fmt.Errorf("timestamp: certificate %d has %w", i+1, err)
		}
	}
	return nil
}

func checkLength(certificates int) error {
	if certificates > maxChainLength {
		return fmt.Errorf("it has %d certificates; more than %d are not accepted", certificates, maxChainLength)
	}
	return nil
}

func (e *effort) checkCertificate(der []byte) error {
	digest := sha256.Sum256(der)
	if _, ok := e.light.Get(digest); ok {
		return nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	if err := checkKey(cert); err != nil {
		return err
	}
	e.light.Add(digest, struct{}{})
	return nil
}

func checkKey(cert *x509.Certificate) error {
	if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
		return fmt.Errorf("an RSA key of %d bits; more than %d are not accepted", key.N.BitLen(), maxRSABits)
	}
	return nil
}

// unsignedParts returns the certificates and the timestamp token of an envelope in DER, found as notation-core-go finds them: in the members of
// the unprotected header, x5c in JWS and 33 (x5chain) in COSE.
func unsignedParts(envelope []byte, mediaType string) (chain [][]byte, timestamp []byte) {
	if mediaType == jws.MediaTypeEnvelope {
		var parsed struct {
			Header struct {
				Chain     [][]byte `json:"x5c"`
				Timestamp []byte   `json:"io.cncf.notary.timestampSignature"`
			} `json:"header"`
		}
		if json.Unmarshal(envelope, &parsed) != nil {
			return nil, nil
		}
		return parsed.Header.Chain, parsed.Header.Timestamp
	}
	var message gocose.Sign1Message
	if message.UnmarshalCBOR(envelope) != nil {
		return nil, nil
	}
	values, _ := message.Headers.Unprotected[gocose.HeaderLabelX5Chain].([]any)
	for _, value := range values {
		if der, ok := value.([]byte); ok {
			chain = append(chain, der)
		}
	}
	timestamp, _ = message.Headers.Unprotected["io.cncf.notary.timestampSignature"].([]byte)
	return chain, timestamp
}
