package certificate

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
)

// ErrLeaf is wrapped by the error of Order if several certificates could be that of the signing key.
var ErrLeaf = errors.New("several certificates could be the signing key's")

// Order returns the certificates from that of the key, or, if that is nil, the one that issued no other, to the root, whatever their order
// was. Others are left out.
func Order(certs []*x509.Certificate, key crypto.PublicKey, now time.Time) ([]*x509.Certificate, error) {
	leaf, err := findLeaf(certs, key, now)
	if err != nil {
		return nil, err
	}
	chain := []*x509.Certificate{leaf}
	for cert := leaf; !selfIssued(cert); cert = chain[len(chain)-1] {
		issuer, err := findIssuer(certs, cert, now)
		if err != nil {
			return nil, err
		}
		if len(chain) == len(certs) {
			return nil, fmt.Errorf("the certificates issued each other in a circle that %q is in", printable.Line(cert.Subject.String()))
		}
		chain = append(chain, issuer)
	}
	return chain, nil
}

func findLeaf(certs []*x509.Certificate, key crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	var leafs []*x509.Certificate
	for _, cert := range certs {
		if key != nil && SameKey(cert.PublicKey, key) || key == nil && !cert.IsCA && !issued(cert, certs) {
			leafs = append(leafs, cert)
		}
	}
	if key != nil && len(leafs) > 1 { // certificates of the same key, such as a renewed one and the one before it
		leafs = []*x509.Certificate{slices.MaxFunc(leafs, func(a, b *x509.Certificate) int { return better(a, b, now) })}
	}
	switch {
	case len(leafs) == 1:
		return leafs[0], nil
	case len(leafs) > 1:
		return nil, fmt.Errorf("%w: %s", ErrLeaf, subjects(leafs))
	case key != nil:
		return nil, fmt.Errorf("none of the certificates is for the KMS key; they are for other keys: %s", subjects(certs))
	}
	return nil, fmt.Errorf("no certificate of a signing key: %s can only issue others; the file must begin with what the authority issued for the KMS key",
		subjects(certs))
}

// findIssuer returns the certificate that proves, with a signature, to have issued cert.
func findIssuer(certs []*x509.Certificate, cert *x509.Certificate, now time.Time) (*x509.Certificate, error) {
	var best *x509.Certificate
	var failed error
	for _, candidate := range certs {
		if !bytes.Equal(candidate.RawSubject, cert.RawIssuer) {
			continue
		}
		if err := cert.CheckSignatureFrom(candidate); err != nil {
			failed = fmt.Errorf("%q names %q as its issuer, and that did not issue it: %w", printable.Line(cert.Subject.String()),
				printable.Line(candidate.Subject.String()), err)
			continue
		}
		if best == nil || betterIssuer(candidate, best, now) > 0 {
			best = candidate
		}
	}
	switch {
	case best != nil:
		return best, nil
	case failed != nil:
		return nil, failed
	}
	return nil, fmt.Errorf("the certificate of %q, which issued %q, is missing: chains must go up to the root, so append it", printable.Line(cert.Issuer.String()),
		printable.Line(cert.Subject.String()))
}

// better compares certificates of the same key: one that is valid now is better, then one that is valid for longer.
func better(a, b *x509.Certificate, now time.Time) int {
	return cmp.Or(truth(valid(a, now) == nil)-truth(valid(b, now) == nil), a.NotAfter.Compare(b.NotAfter))
}

// betterIssuer compares certificates of the same authority: a root ends the chain, where a cross-certificate needs yet another issuer.
func betterIssuer(a, b *x509.Certificate, now time.Time) int {
	return cmp.Or(truth(valid(a, now) == nil)-truth(valid(b, now) == nil), truth(selfIssued(a))-truth(selfIssued(b)), better(a, b, now))
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func selfIssued(cert *x509.Certificate) bool { return bytes.Equal(cert.RawSubject, cert.RawIssuer) }

func issued(issuer *x509.Certificate, certs []*x509.Certificate) bool {
	for _, cert := range certs {
		if cert != issuer && bytes.Equal(cert.RawIssuer, issuer.RawSubject) && cert.CheckSignatureFrom(issuer) == nil {
			return true
		}
	}
	return false
}

// SameKey tells whether two public keys are equal.
func SameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

func subjects(certs []*x509.Certificate) string {
	var names []string
	for _, cert := range certs {
		names = append(names, fmt.Sprintf("%q", printable.Line(cert.Subject.String())))
	}
	return strings.Join(names, ", ")
}
