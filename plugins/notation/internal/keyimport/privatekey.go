package keyimport

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
)

// MaxBytes limits a file with a key. An RSA-4096 key takes less than 4 KiB in PEM, and people keep certificates beside it.
const MaxBytes = 64 << 10

// ErrEncrypted is wrapped by errors about private keys that a passphrase protects.
var ErrEncrypted = errors.New("the private key is encrypted with a passphrase")

// PrivateKey is the key to import: the target asymmetric key, TAK.
type PrivateKey struct {
	Spec   kms.KeySpec // RSA_2048 or EC_P256
	Public crypto.PublicKey

	pkcs8 []byte // DER
}

// Destroy overwrites the key. Copies that the standard library made while it read the key are left to the garbage collector.
func (k *PrivateKey) Destroy() { clear(k.pkcs8) }

// ParsePrivateKey reads a private key in PKCS #1, SEC 1 or PKCS #8, PEM or DER. PEM may have certificates and EC parameters beside it. Keys that
// the plugin could not sign with are refused, although KMS imports some of them: the error wraps kms.ErrKeySpec.
func ParsePrivateKey(data []byte) (*PrivateKey, error) {
	der := data
	if bytes.Contains(data, []byte("-----BEGIN")) {
		block, err := privateBlock(data)
		if err != nil {
			return nil, err
		}
		defer clear(block.Bytes)
		der = block.Bytes
	}
	key, err := parseDER(der)
	if err != nil {
		return nil, err
	}
	return newPrivateKey(key)
}

// privateBlock returns the only private key of a PEM text.
func privateBlock(text []byte) (*pem.Block, error) {
	var found *pem.Block
	var others []string
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
			others = append(others, block.Type)
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, fmt.Errorf("%w; decrypt it first: openssl pkey -in ENCRYPTED.pem -out tak.pem", ErrEncrypted)
		case found != nil:
			return nil, errors.New("the file holds more than one private key; KMS imports one at a time")
		default:
			found = block
		}
	}
	switch {
	case found != nil:
		return found, nil
	case len(others) > 0:
		return nil, fmt.Errorf("the file holds a block of kind %q and no private key", others[0])
	}
	return nil, errors.New("the file begins a PEM block that cannot be read; has it been cut, or have line breaks been lost?")
}

func parseDER(der []byte) (any, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err == nil {
		return key, nil
	}
	// EncryptedPrivateKeyInfo of RFC 5958, section 3.
	var encrypted struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if rest, mismatch := asn1.Unmarshal(der, &encrypted); mismatch == nil && len(rest) == 0 {
		return nil, fmt.Errorf("%w; decrypt it first: openssl pkey -inform DER -in ENCRYPTED.der -out tak.pem", ErrEncrypted)
	}
	return nil, fmt.Errorf("not a private key of RSA_2048 or EC_P256 in PKCS #1, SEC 1 or PKCS #8, PEM or DER: %w", err)
}

func newPrivateKey(key any) (*PrivateKey, error) {
	spec, name := kms.KeySpec(""), fmt.Sprintf("a key of type %T", key)
	switch key := key.(type) {
	case *rsa.PrivateKey:
		name = fmt.Sprintf("an RSA key of %d bits", key.N.BitLen())
		spec = map[int]kms.KeySpec{2048: kms.RSA2048, 3072: kms.RSA3072, 4096: kms.RSA4096}[key.N.BitLen()]
		if n := len(key.Primes); n != 2 {
			spec, name = "", fmt.Sprintf("an RSA key of %d primes", n)
		}
	case *ecdsa.PrivateKey:
		name = "an EC key of curve " + key.Curve.Params().Name
		if key.Curve == elliptic.P256() {
			spec = kms.ECP256
		}
	}
	if spec == "" {
		return nil, fmt.Errorf("%w: %s cannot be imported into KMS; use a key of spec RSA_2048 or EC_P256", kms.ErrKeySpec, name)
	}
	if _, err := spec.NotationAlgorithm(); err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &PrivateKey{Spec: spec, Public: key.(crypto.Signer).Public(), pkcs8: pkcs8}, nil
}
