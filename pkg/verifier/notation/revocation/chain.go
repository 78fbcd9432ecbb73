package revocation

import (
	"context"
	"crypto/x509"
	"slices"
	"sync"

	"github.com/notaryproject/notation-core-go/revocation"
	"github.com/notaryproject/notation-core-go/revocation/purpose"
	"github.com/notaryproject/notation-core-go/revocation/result"
)

// inquiry is one check of a chain, leaf first. What is fetched for it is checked against its authorities.
type inquiry struct {
	chain []*x509.Certificate

	mu      sync.Mutex
	asked   int      // how often a responder was to answer, or a list was needed
	grounds []ground // the answers and lists that are held, so that they can be gone by again
}

type inquiryKey struct{}

func withInquiry(ctx context.Context, i *inquiry) context.Context {
	return context.WithValue(ctx, inquiryKey{}, i)
}

// inquiryOf returns the inquiry that ctx belongs to, and one about no certificates if there is none.
func inquiryOf(ctx context.Context) *inquiry {
	if i, ok := ctx.Value(inquiryKey{}).(*inquiry); ok {
		return i
	}
	return &inquiry{}
}

// ask counts an answer or list that the inquiry depends on.
func (i *inquiry) ask() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
}

// rely notes on what one of those rests.
func (i *inquiry) rely(on ground) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.grounds = append(i.grounds, on)
}

// restsOn returns everything that the inquiry depended on, and whether all of that is held.
func (i *inquiry) restsOn() ([]ground, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.grounds, len(i.grounds) == i.asked
}

// issuersOf returns the authorities, of the chain of ctx, that issued certificates which name the revocation list at url.
func issuersOf(ctx context.Context, url string) []*x509.Certificate {
	chain := inquiryOf(ctx).chain
	var issuers []*x509.Certificate
	for i, cert := range chain {
		if slices.Contains(cert.CRLDistributionPoints, url) {
			issuers = append(issuers, chain[min(i+1, len(chain)-1)])
		}
	}
	return issuers
}

// validator is notation-core-go's, whose questions know of the chain that they are about, and are not put again while the answer is known.
type validator struct {
	inner    revocation.Validator
	purpose  purpose.Purpose
	findings *findings
}

func (v validator) ValidateContext(ctx context.Context, o revocation.ValidateContextOptions) ([]*result.CertRevocationResult, error) {
	question := QuestionOf(v.purpose, o)
	if results := v.findings.get(ctx, question); results != nil {
		return results, nil
	}
	i := &inquiry{chain: o.CertChain}
	results, err := v.inner.ValidateContext(withInquiry(ctx, i), o)
	if err == nil {
		v.findings.put(question, i, results)
	}
	return results, err
}
