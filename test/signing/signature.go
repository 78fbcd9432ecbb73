package signing

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	"github.com/notaryproject/tspclient-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
)

// The media types of signature envelopes.
const (
	JWS  = jws.MediaTypeEnvelope
	COSE = cose.MediaTypeEnvelope
)

// payloadType is the media type of what a signature is about (Notary Project signature specification, "Payload").
const payloadType = "application/vnd.cncf.notary.payload.v1+json"

// Sign signs an image and attaches the signature, as the notation command does.
func (i Identity) Sign(ctx context.Context, repo *remote.Repository, image ocispec.Descriptor, mediaType string) error {
	s, err := signer.NewGenericSigner(i.Key, i.Chain)
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	_, err = notation.Sign(ctx, s, registry.NewRepository(repo), notation.SignOptions{
		ArtifactReference: image.Digest.String(),
		SignerSignOptions: notation.SignerSignOptions{SignatureMediaType: mediaType},
	})
	return err
}

// Envelope returns a signature of an image that claims to have been made at a time, as notation would not make it.
func (i Identity) Envelope(image ocispec.Descriptor, mediaType string, at time.Time) ([]byte, error) {
	return i.envelope(image, mediaType, at, nil, nil)
}

func (i Identity) envelope(image ocispec.Descriptor, mediaType string, at time.Time, tsa tspclient.Timestamper, tsaRoots *x509.CertPool) ([]byte, error) {
	s, err := signature.NewLocalSigner(i.Chain, i.Key)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(map[string]any{"targetArtifact": ocispec.Descriptor{MediaType: image.MediaType, Digest: image.Digest, Size: image.Size}})
	if err != nil {
		return nil, err
	}
	envelope, err := signature.NewEnvelope(mediaType)
	if err != nil {
		return nil, err
	}
	return envelope.Sign(&signature.SignRequest{
		Payload: signature.Payload{ContentType: payloadType, Content: payload}, Signer: s,
		SigningTime: at, SigningScheme: signature.SigningSchemeX509, SigningAgent: "test",
		Timestamper: tsa, TSARootCAs: tsaRoots,
	})
}

// Attach attaches an envelope to an image as its signature, whatever is in it.
func (i Identity) Attach(ctx context.Context, repo *remote.Repository, image ocispec.Descriptor, mediaType string, envelope []byte) error {
	thumbprint := sha256.Sum256(i.Chain[0].Raw)
	annotations := map[string]string{"io.cncf.notary.x509chain.thumbprint#S256": `["` + hex.EncodeToString(thumbprint[:]) + `"]`}
	_, _, err := registry.NewRepository(repo).PushSignature(ctx, mediaType, envelope, image, annotations)
	return err
}

// Tamper changes one letter of the signature in a JWS envelope, and nothing else.
func Tamper(envelope []byte) []byte {
	var fields map[string]any
	if err := json.Unmarshal(envelope, &fields); err != nil {
		panic(err) // it was just made
	}
	signature := []byte(fields["signature"].(string))
	if signature[0]++; signature[0] > 'Z' {
		signature[0] = 'A'
	}
	fields["signature"] = string(signature)
	tampered, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return tampered
}
