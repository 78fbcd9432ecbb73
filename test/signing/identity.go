package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
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
	return issue(nil, name, true, Validity{})
}

// Intermediate returns an authority issued by i.
func (i Identity) Intermediate(name string) (Identity, error) {
	return issue(&i, name, true, Validity{})
}

// Leaf returns a signing identity issued by i.
func (i Identity) Leaf(name string, v Validity) (Identity, error) {
	return issue(&i, name, false, v)
}

// SelfSigned returns a signing identity that nobody issued, as the KMS plugin makes it.
func SelfSigned(name string) (Identity, error) {
	return issue(nil, name, false, Validity{})
}

// PEM returns the certificate of i alone: a trust anchor if i is a root or self-signed.
func (i Identity) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Chain[0].Raw}))
}

func issue(issuer *Identity, name string, authority bool, v Validity) (Identity, error) {
	now := time.Now()
	if authority {
		v = Validity{now.AddDate(-10, 0, 0), now.AddDate(10, 0, 0)}
	} else if v == (Validity{}) {
		v = Validity{now.AddDate(0, 0, -1), now.AddDate(1, 0, 0)}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Identity{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return Identity{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// Notation's identities need a country, a state and an organization.
		Subject:               pkix.Name{CommonName: name, Organization: []string{"Example"}, Country: []string{"CN"}, Province: []string{"Zhejiang"}},
		NotBefore:             v.From,
		NotAfter:              v.To,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true,
	}
	if authority {
		template.IsCA, template.KeyUsage, template.ExtKeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
	}
	parent, signer, rest := template, crypto.Signer(key), []*x509.Certificate(nil)
	if issuer != nil {
		parent, signer, rest = issuer.Chain[0], issuer.Key, issuer.Chain
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return Identity{}, fmt.Errorf("certificate %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return Identity{}, err
	}
	return Identity{Key: key, Chain: append([]*x509.Certificate{cert}, rest...)}, nil
}
