package certificate

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/wholefile"
)

// maxCertificates limits a bundle. Chains have two to four certificates; the limit leaves room for a few of them in one file.
const maxCertificates = 50

// Chain is a certificate and those of its issuers, with what the text before them says of the key. See RFC 7468, section 5.2.
type Chain struct {
	Certificates []*x509.Certificate // in the order of the file, unless the maker of the Chain says otherwise
	Origin       Origin
}

// Origin is the KMS key of a certificate, as far as the certificate's file tells. Nothing vouches for it but a signature that verifies.
type Origin struct {
	Key     string // its ID
	Alias   string // or ARN, that the key was asked for by; empty if by the ID
	Version string // empty if unknown
}

// Names tells whether the key was asked for by this name, or has it as its ID.
func (o Origin) Names(keyID string) bool { return keyID != "" && (keyID == o.Key || keyID == o.Alias) }

// Leaf is the first certificate, that of the signing key if the chain is ordered.
func (c Chain) Leaf() *x509.Certificate { return c.Certificates[0] }

// Read returns the Chain of a file, PEM or DER. Errors name the path, and wrap fs.ErrNotExist if there is no such file.
func Read(path string) (Chain, error) {
	content, err := wholefile.Read(path)
	if err != nil {
		return Chain{}, err
	}
	chain, err := Parse(content)
	if err != nil {
		return Chain{}, fmt.Errorf("%s: %w", path, err)
	}
	return chain, nil
}

// Parse returns the Chain of the content of a file or a secret, PEM or DER. It has at least one certificate.
func Parse(content []byte) (Chain, error) {
	var chain Chain
	var err error
	if bytes.Contains(content, []byte("-----")) {
		chain.Certificates, err = pemfile.Certificates(content)
		chain.Origin = parseOrigin(content)
	} else if chain.Certificates, err = x509.ParseCertificates(content); err != nil || len(chain.Certificates) == 0 {
		err = fmt.Errorf("neither certificates in PEM nor in DER: %w", pemfile.ErrEmpty)
	}
	if err != nil {
		return Chain{}, err
	}
	if n := len(chain.Certificates); n > maxCertificates {
		return Chain{}, fmt.Errorf("%d certificates, more than %d: keep those of the signing key and its issuers", n, maxCertificates)
	}
	return chain, nil
}

// Names of what the text before the certificates tells.
const (
	keyField     = "KMS key"
	aliasField   = "KMS key as asked for"
	versionField = "KMS key version"
)

// Encode returns the PEM text of the chain, with text for people, and for Parse, before it.
func (c Chain) Encode() []byte {
	var b bytes.Buffer
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, printable.Line(value))
		}
	}
	line(keyField, c.Origin.Key)
	line(aliasField, c.Origin.Alias)
	line(versionField, c.Origin.Version)
	line("Subject", c.Leaf().Subject.String())
	line("Serial number", Serial(c.Leaf()))
	line("Valid until", c.Leaf().NotAfter.UTC().Format(time.RFC3339))
	for _, cert := range c.Certificates {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}) // a bytes.Buffer takes all
	}
	return b.Bytes()
}

// Serial is the serial number of a certificate in hexadecimal.
func Serial(cert *x509.Certificate) string { return fmt.Sprintf("%x", cert.SerialNumber) }

// maxName is longer than any ID, alias or ARN in KMS, which have at most 255 characters.
const maxName = 300

func parseOrigin(content []byte) Origin {
	var o Origin
	text, _, _ := strings.Cut(string(content), "-----BEGIN")
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if value = strings.TrimSpace(value); len(value) > maxName || value != printable.Line(value) {
			continue
		}
		switch name {
		case keyField:
			o.Key = value
		case aliasField:
			o.Alias = value
		case versionField:
			o.Version = value
		}
	}
	return o
}
