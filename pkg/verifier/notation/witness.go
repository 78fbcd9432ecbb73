package notation

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation/revocation"
)

// witness keeps, for one verification, why something could not be found out, and what it asked others. notation-go reports such failures with the
// words of a refusal; the parts of it that talk to others tell the witness, so that the difference is not lost.
type witness struct {
	revocation   error // the status of a certificate of the signer is unknown
	timestamping error // that of a certificate of the timestamping authority is
	plugin       error // a plugin did not run to its end

	processed []any // the attributes of the signature that a plugin has processed

	questions []revocation.Question // what was asked about revocation
	chains    [][]*x509.Certificate // about which chains
}

func (w *witness) err() error { return errors.Join(w.revocation, w.timestamping, w.plugin) }

type witnessKey struct{}

func withWitness(ctx context.Context) (context.Context, *witness) {
	w := &witness{}
	return context.WithValue(ctx, witnessKey{}, w), w
}

// witnessOf returns the witness of the verification that ctx belongs to, and one that nobody asks if there is none.
func witnessOf(ctx context.Context) *witness {
	if w, ok := ctx.Value(witnessKey{}).(*witness); ok {
		return w
	}
	return &witness{}
}
