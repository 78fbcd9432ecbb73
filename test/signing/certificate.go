package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// KeyType is the kind of key that a certificate is for.
type KeyType int

// The kinds of keys that signatures of the Notary Project may be made with, as far as tests need them.
const (
	EC256 KeyType = iota // the usual
	EC384
	EC521
	RSA2048
	RSA3072
	RSA4096
)

// Options say how a certificate differs from the usual one, which is that of a signer.
type Options struct {
	// Authority makes it one that issues. Its key is for signing certificates and revocation lists.
	Authority bool
	// Timestamping makes it a timestamping authority's: the extended key usage is critical and alone (RFC 3161, 2.3).
	Timestamping bool

	// Validity of zero is the usual one: see there.
	Validity Validity
	Key      KeyType
	// Signer is the key itself, for one that exists already.
	Signer crypto.Signer

	// Subject of nil is CN=name,O=Example,ST=Zhejiang,C=CN: identities of the Notary Project need a country, a state and an organization.
	Subject *pkix.Name
	// RawSubject is a subject in DER, such as one with multi-valued RDNs, which pkix.Name cannot have. It wins over Subject.
	RawSubject []byte

	// KeyUsage of zero is digitalSignature. It is always critical.
	KeyUsage x509.KeyUsage
	// ExtKeyUsage of nil is codeSigning. An empty list leaves the extension out.
	ExtKeyUsage []x509.ExtKeyUsage

	// OCSP and CRL are the addresses of responders and revocation lists.
	OCSP, CRL []string

	// Change, if set, has the last word.
	Change func(*x509.Certificate)
}

// New returns an identity that nobody issued: a root if it is an authority, else a self-signed signer.
func New(name string, o Options) (Identity, error) { return issue(nil, name, o) }

// Issue returns an identity issued by i.
func (i Identity) Issue(name string, o Options) (Identity, error) { return issue(&i, name, o) }

func issue(issuer *Identity, name string, o Options) (Identity, error) {
	key := o.Signer
	if key == nil {
		var err error
		if key, err = newKey(o.Key); err != nil {
			return Identity{}, err
		}
	}
	template, err := o.template(name)
	if err != nil {
		return Identity{}, err
	}
	parent, signer, rest := template, key, []*x509.Certificate(nil)
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

func (o Options) template(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	v := o.Validity
	switch {
	case v != Validity{}:
	case o.Authority:
		v = Validity{now.AddDate(-10, 0, 0), now.AddDate(10, 0, 0)}
	default:
		v = Validity{now.AddDate(0, 0, -1), now.AddDate(1, 0, 0)}
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name, Organization: []string{"Example"}, Country: []string{"CN"}, Province: []string{"Zhejiang"}},
		RawSubject:            o.RawSubject,
		NotBefore:             v.From,
		NotAfter:              v.To,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true,
		OCSPServer:            o.OCSP,
		CRLDistributionPoints: o.CRL,
	}
	if o.Subject != nil {
		template.Subject = *o.Subject
	}
	if o.ExtKeyUsage != nil {
		template.ExtKeyUsage = o.ExtKeyUsage
	}
	if o.Authority {
		template.IsCA, template.KeyUsage, template.ExtKeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, o.ExtKeyUsage
	}
	if o.KeyUsage != 0 {
		template.KeyUsage = o.KeyUsage
	}
	if o.Timestamping {
		usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
		if err != nil {
			return nil, err
		}
		template.ExtKeyUsage = nil // x509 would not make it critical
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}
	}
	if o.Change != nil {
		o.Change(template)
	}
	return template, nil
}

func newKey(kind KeyType) (crypto.Signer, error) {
	switch kind {
	case EC384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case EC521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}
