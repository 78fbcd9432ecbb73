package signing

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	"github.com/notaryproject/tspclient-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
)

// TSA is a timestamping authority (RFC 3161) on loopback.
type TSA struct {
	identity Identity
	clock    func() time.Time
	server   *httptest.Server
}

// NewTSA starts the timestamping authority that an identity issued with Options.Timestamping is. Its timestamps show the time of clock; nil
// means time.Now. What trusts it needs the PEM of the root that issued the identity.
func NewTSA(identity Identity, clock func() time.Time) (*TSA, error) {
	if len(identity.Chain) < 2 {
		return nil, errors.New("a timestamping authority's certificate is issued by a root")
	}
	if clock == nil {
		clock = time.Now
	}
	a := &TSA{identity: identity, clock: clock}
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	return a, nil
}

// URL returns where it answers.
func (a *TSA) URL() string { return a.server.URL }

// Close ends it.
func (a *TSA) Close() { a.server.Close() }

// Timestamper returns a client of it.
func (a *TSA) Timestamper() (tspclient.Timestamper, error) {
	return tspclient.NewHTTPTimestamper(a.server.Client(), a.server.URL)
}

// Roots returns the root that issued it.
func (a *TSA) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.identity.Chain[len(a.identity.Chain)-1])
	return pool
}

func (a *TSA) serve(w http.ResponseWriter, r *http.Request) {
	response, err := a.answer(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", tspclient.MediaTypeTimestampReply)
	_, _ = w.Write(response)
}

func (a *TSA) answer(body io.Reader) ([]byte, error) {
	question, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	request, err := timestamp.ParseRequest(question)
	if err != nil {
		return nil, err
	}
	return (&timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Nonce: request.Nonce,
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 4146, 2, 3}, Time: a.clock(), Accuracy: time.Second,
		Certificates: a.identity.Chain[1:], AddTSACertificate: true,
	}).CreateResponseWithOpts(a.identity.Certificate(), a.identity.Key, crypto.SHA256)
}

// SignTimestamped signs an image with a timestamp of tsa and attaches the signature, as the notation command does with --timestamp-url.
func (i Identity) SignTimestamped(ctx context.Context, repo *remote.Repository, image ocispec.Descriptor, mediaType string, tsa *TSA) error {
	s, err := signer.NewGenericSigner(i.Key, i.Chain)
	if err != nil {
		return err
	}
	client, err := tsa.Timestamper()
	if err != nil {
		return err
	}
	_, err = notation.Sign(ctx, s, registry.NewRepository(repo), notation.SignOptions{
		ArtifactReference: image.Digest.String(),
		SignerSignOptions: notation.SignerSignOptions{SignatureMediaType: mediaType, Timestamper: client, TSARootCAs: tsa.Roots()},
	})
	return err
}

// TimestampedEnvelope is Envelope with a timestamp of tsa, whose clock is independent of at.
func (i Identity) TimestampedEnvelope(image ocispec.Descriptor, mediaType string, at time.Time, tsa *TSA) ([]byte, error) {
	client, err := tsa.Timestamper()
	if err != nil {
		return nil, err
	}
	return i.envelope(image, mediaType, at, client, tsa.Roots())
}
