package signing

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
)

// errPublicOnly says that the key is somewhere else, such as in KMS.
var errPublicOnly = errors.New("only the public half of the key is here")

// public is a key that is somewhere else.
type public struct{ key crypto.PublicKey }

func (p public) Public() crypto.PublicKey { return p.key }

func (p public) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errPublicOnly
}

// IssueRequest returns the chain, in PEM and leaf first, of the certificate that i issues for a certificate signing request in PEM.
func (i Identity) IssueRequest(request []byte) (string, error) {
	block, _ := pem.Decode(request)
	if block == nil {
		return "", errors.New("the certificate signing request is not in PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", err
	}
	if err := csr.CheckSignature(); err != nil {
		return "", err
	}
	issued, err := i.Issue("", Options{Signer: public{csr.PublicKey}, RawSubject: csr.RawSubject})
	if err != nil {
		return "", err
	}
	return issued.ChainPEM(), nil
}
