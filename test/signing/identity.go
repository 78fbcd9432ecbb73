package signing

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"time"
)

// Identity is a key and its certificate chain, leaf first. It signs if it is a leaf, and issues if it is an authority.
type Identity struct {
	Key   crypto.Signer
	Chain []*x509.Certificate
}

// Validity is the life of a leaf; the zero value is from a day ago for a year. Authorities live from ten years ago for twenty.
type Validity struct{ From, To time.Time }

// Root returns an authority that nobody issued.
func Root(name string) (Identity, error) {
	return New(name, Options{Authority: true})
}

// Intermediate returns an authority issued by i.
func (i Identity) Intermediate(name string) (Identity, error) {
	return i.Issue(name, Options{Authority: true})
}

// Leaf returns a signing identity issued by i.
func (i Identity) Leaf(name string, v Validity) (Identity, error) {
	return i.Issue(name, Options{Validity: v})
}

// SelfSigned returns a signing identity that nobody issued, as the KMS plugin makes it.
func SelfSigned(name string) (Identity, error) {
	return New(name, Options{})
}

// Certificate returns that of i itself.
func (i Identity) Certificate() *x509.Certificate { return i.Chain[0] }

// PEM returns the certificate of i alone: a trust anchor if i is a root or self-signed.
func (i Identity) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Chain[0].Raw}))
}

// ChainPEM returns the certificates of i and of who issued it, up to the root.
func (i Identity) ChainPEM() string {
	var text []byte
	for _, cert := range i.Chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return string(text)
}
