package revocation

import (
	"context"
	"crypto/x509"
	"slices"

	"github.com/notaryproject/notation-core-go/revocation"
	"github.com/notaryproject/notation-core-go/revocation/result"
)

type chainKey struct{}

// withChain notes the chain, leaf first, whose certificates are asked about: what is fetched for it is checked against its authorities.
func withChain(ctx context.Context, chain []*x509.Certificate) context.Context {
	return context.WithValue(ctx, chainKey{}, chain)
}

func chainOf(ctx context.Context) []*x509.Certificate {
	chain, _ := ctx.Value(chainKey{}).([]*x509.Certificate)
	return chain
}

// issuersOf returns the authorities, of the chain of ctx, that issued certificates which name the revocation list at url.
func issuersOf(ctx context.Context, url string) []*x509.Certificate {
	chain := chainOf(ctx)
	var issuers []*x509.Certificate
	for i, cert := range chain {
		if slices.Contains(cert.CRLDistributionPoints, url) {
			issuers = append(issuers, chain[min(i+1, len(chain)-1)])
		}
	}
	return issuers
}

// validator is notation-core-go's, whose questions know of the chain that they are about.
type validator struct{ inner revocation.Validator }

func (v validator) ValidateContext(ctx context.Context, o revocation.ValidateContextOptions) ([]*result.CertRevocationResult, error) {
	return v.inner.ValidateContext(withChain(ctx, o.CertChain), o)
}
