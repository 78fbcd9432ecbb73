package pemfile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"reflect"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/regularfile"
)

const (
	// MaxBytes limits one text. Kubernetes takes neither a Secret nor a ConfigMap over 1 MiB, and the roots of all public authorities
	// together are a quarter of that.
	MaxBytes = 1 << 20

	// MaxBlocks limits the blocks of one text. A system's bundle of all public roots has about 150.
	MaxBlocks = 1000
)

// ErrEmpty reports a text without a single PEM block.
var ErrEmpty = errors.New("no PEM block (a line that starts with -----BEGIN)")

// BlockError says which block of a text cannot be used, and why.
type BlockError struct {
	Block int // counted from 1
	Line  int // of the block's BEGIN line, or of the stray END line, counted from 1
	Err   error
}

func (e *BlockError) Error() string {
	return fmt.Sprintf("PEM block %d (line %d): %v", e.Block, e.Line, e.Err)
}

func (e *BlockError) Unwrap() error { return e.Err }

// Certificates returns the certificates of a PEM text in their order, each once. Any other kind of block is an error; so is a text
// without certificates. Whether a certificate is a CA's or still valid is for the caller to judge.
func Certificates(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	err := eachBlock(text, func(kind string, der []byte) error {
		if kind != "CERTIFICATE" && kind != "X509 CERTIFICATE" {
			return refuse(kind, "a certificate")
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("not a valid X.509 certificate: %w", err)
		}
		certs = append(certs, cert)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return unique(certs), nil
}

// PublicKeys returns the RSA, ECDSA and Ed25519 public keys of a PEM text (PKIX "PUBLIC KEY" and PKCS #1 "RSA PUBLIC KEY") in their
// order, each once. Any other kind of block is an error; so is a text without keys.
func PublicKeys(text []byte) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	err := eachBlock(text, func(kind string, der []byte) error {
		key, err := parsePublicKey(kind, der)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if k.(interface{ Equal(crypto.PublicKey) bool }).Equal(key) {
				return nil
			}
		}
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

func parsePublicKey(kind string, der []byte) (crypto.PublicKey, error) {
	switch kind {
	case "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return nil, fmt.Errorf("not a valid public key: %w", err)
		}
		switch key.(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
			return key, nil
		}
		return nil, fmt.Errorf("a key of type %s cannot verify signatures; use RSA, ECDSA or Ed25519", reflect.TypeOf(key))
	case "RSA PUBLIC KEY":
		key, err := x509.ParsePKCS1PublicKey(der)
		if err != nil {
			return nil, fmt.Errorf("not a valid RSA public key: %w", err)
		}
		return key, nil
	}
	return nil, refuse(kind, "a public key")
}

// ReadCertificates returns the certificates of a file, PEM or DER. Errors name the path.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	data, err := regularfile.Read(path, MaxBytes)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(data, []byte("-----")) {
		if certs, err := x509.ParseCertificates(data); err == nil && len(certs) > 0 {
			return unique(certs), nil
		}
		return nil, fmt.Errorf("%s: neither PEM nor DER certificates: %w", path, ErrEmpty)
	}
	certs, err := Certificates(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return certs, nil
}

func unique(certs []*x509.Certificate) []*x509.Certificate {
	seen := make(map[string]bool, len(certs))
	kept := certs[:0]
	for _, c := range certs {
		if !seen[string(c.Raw)] {
			seen[string(c.Raw)] = true
			kept = append(kept, c)
		}
	}
	return kept
}
