package kms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// Signer signs with one version of a key. Make one with NewSigner. It is safe for concurrent use.
type Signer struct {
	client Client
	asked  string // the key's ID, ARN or alias as it was given
	key    PublicKey
}

// NewSigner looks a key up, and returns a Signer with its version, the newest if version is empty. The error wraps ErrKeySpec if Go's library
// has no signatures by the key.
func NewSigner(ctx context.Context, client Client, keyID, version string) (*Signer, error) {
	key, err := client.PublicKey(ctx, keyID, version)
	if err != nil {
		return nil, err
	}
	if key.Key == nil {
		return nil, fmt.Errorf("key %s: %w: signatures by %s keys cannot be checked here; use a key of spec RSA_2048 or EC_P256", keyID, ErrKeySpec, key.Spec)
	}
	return &Signer{client: client, asked: keyID, key: key}, nil
}

// PublicKey returns the key as KMS gave it.
func (s *Signer) PublicKey() PublicKey { return s.key }

// Public implements crypto.Signer: an *rsa.PublicKey or *ecdsa.PublicKey.
func (s *Signer) Public() crypto.PublicKey { return s.key.Key }

// Sign implements crypto.Signer. The random source is KMS's own. A call ends after the client's timeout.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.SignContext(context.Background(), digest, opts)
}

// SignContext has KMS sign a SHA-256 digest, and checks the signature with the public key. That of an EC key is in ASN.1 DER. An RSA key makes
// PSS signatures if opts is an *rsa.PSSOptions, with a salt of 32 bytes, which is all that KMS has; else those of PKCS #1 v1.5.
func (s *Signer) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil || opts.HashFunc() != crypto.SHA256 {
		return nil, fmt.Errorf("key %s: KMS signs over SHA-256 only", s.asked)
	}
	if len(digest) != sha256.Size {
		return nil, fmt.Errorf("key %s: the digest has %d bytes, one of SHA-256 has %d", s.asked, len(digest), sha256.Size)
	}
	algorithm, err := s.algorithm(opts)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", s.asked, err)
	}
	signature, err := s.client.Sign(ctx, s.asked, s.key.Version, algorithm, [sha256.Size]byte(digest))
	if err != nil {
		return nil, err
	}
	if err := verify(s.key.Key, algorithm, digest, signature.Value); err != nil {
		return nil, fmt.Errorf("%s: the signature that %s made by %s is not one of this key: %w; check that an alias was not moved to another key meanwhile, "+
			"and that no proxy changes replies on the way", subject(s.asked, s.key.Version), s.client, algorithm, err)
	}
	return signature.Value, nil
}

// Within returns s as a crypto.Signer whose calls end with ctx, too.
func (s *Signer) Within(ctx context.Context) crypto.Signer { return within{s, ctx} }

type within struct {
	*Signer
	ctx context.Context
}

func (w within) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return w.SignContext(w.ctx, digest, opts)
}

func (s *Signer) algorithm(opts crypto.SignerOpts) (Algorithm, error) {
	pss, isPSS := opts.(*rsa.PSSOptions)
	if _, isRSA := s.key.Key.(*rsa.PublicKey); !isRSA {
		if isPSS {
			return "", errors.New("PSS is for RSA keys, and this is an EC key")
		}
		return ECDSA, nil
	}
	if !isPSS {
		return RSAPKCS1, nil
	}
	switch pss.SaltLength {
	case rsa.PSSSaltLengthAuto, rsa.PSSSaltLengthEqualsHash, sha256.Size:
		return RSAPSS, nil
	}
	return "", fmt.Errorf("a PSS salt of %d bytes is asked for; KMS makes it as long as the hash, %d", pss.SaltLength, sha256.Size)
}

// verify checks a signature that KMS made.
func verify(key crypto.PublicKey, algorithm Algorithm, digest, signature []byte) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if algorithm == RSAPKCS1 {
			return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature)
		}
		return rsa.VerifyPSS(key, crypto.SHA256, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(key, digest, signature) {
			return errors.New("ECDSA verification error")
		}
		return nil
	}
	return fmt.Errorf("%T is not a key of KMS", key)
}

// RawECDSA turns the ASN.1 DER of a P-256 signature, as KMS makes it, into the 64 bytes of r and s, as JWS and COSE have it
// (RFC 7518, section 3.4; RFC 9053, section 2.1).
func RawECDSA(der []byte) ([]byte, error) {
	var signature struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &signature)
	if err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes are not an ECDSA signature in ASN.1 DER", len(der))
	}
	const size = 32
	for _, n := range []*big.Int{signature.R, signature.S} {
		if n.Sign() <= 0 || n.BitLen() > 8*size {
			return nil, errors.New("an ECDSA signature has a number outside of P-256")
		}
	}
	raw := make([]byte, 2*size)
	signature.R.FillBytes(raw[:size])
	signature.S.FillBytes(raw[size:])
	return raw, nil
}
