package servingcert

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"time"
)

const (
	// organization is the authority's in Ratify v1.4.
	organization = "Ratify"
	// keyBits is the size of RSA keys. Ratify v1.4, to which a cluster may go back, reads no others.
	keyBits = 2048
)

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *rsa.PrivateKey
}

// newAuthority makes an authority that signs itself. The name is in it as a name of a host, too, by which Ratify v1.4 takes it for its own.
func newAuthority(dnsName string, begin, end time.Time) (authority, error) {
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: dnsName, Organization: []string{organization}},
		DNSNames: []string{dnsName}, NotBefore: begin, NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	certificate, key, err := create(template, authority{})
	return authority{certificate, key}, err
}

// issue makes a certificate of a server, and its key.
func (a authority) issue(dnsName string, begin, end time.Time) (*x509.Certificate, *rsa.PrivateKey, error) {
	return create(&x509.Certificate{
		Subject:  pkix.Name{CommonName: dnsName},
		DNSNames: []string{dnsName}, NotBefore: begin, NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a)
}

// create makes the certificate of a new key, signed by the authority, or by itself if that is empty.
func create(template *x509.Certificate, by authority) (*x509.Certificate, *rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, nil, err
	}
	if by.key == nil {
		by = authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key.Public(), by.key)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return certificate, key, err
}

// encode returns a certificate in PEM.
func encode(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

// encodeKey returns a key in PEM, in the form that Ratify v1.4 reads.
func encodeKey(key *rsa.PrivateKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}
