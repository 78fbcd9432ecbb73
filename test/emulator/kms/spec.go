package kms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secp256k1ecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/tjfoc/gmsm/sm2"
)

const (
	rsaPSS   = "RSA_PSS_SHA_256"
	rsaPKCS1 = "RSA_PKCS1_SHA_256"
	ecDSA    = "ECDSA_SHA_256"
	sm2DSA   = "SM2DSA"
)

// spec is a kind of key.
type spec struct {
	algorithms []string // of signatures, the default first; none of symmetric keys
	generate   func() (crypto.Signer, error)
	bits       int            // of an RSA modulus
	curve      elliptic.Curve // of EC keys on curves that Go knows
}

// specs are those that keys are made of. See https://www.alibabacloud.com/help/en/kms/key-management-service/support/key-types-and-specifications.
var specs = map[string]spec{
	"RSA_2048":       rsaSpec(2048),
	"RSA_3072":       rsaSpec(3072),
	"RSA_4096":       rsaSpec(4096),
	"EC_P256":        {algorithms: []string{ecDSA}, generate: newP256, curve: elliptic.P256()},
	"EC_P256K":       {algorithms: []string{ecDSA}, generate: newSecp256k1},
	"EC_SM2":         {algorithms: []string{sm2DSA}, generate: newSM2},
	"Aliyun_AES_256": {generate: func() (crypto.Signer, error) { return nil, nil }},
}

func rsaSpec(bits int) spec {
	return spec{
		algorithms: []string{rsaPSS, rsaPKCS1},
		generate:   func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) },
		bits:       bits,
	}
}

func newRSAKey() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }

func newP256() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// fits checks that material is a key of the spec.
func (s spec) fits(material crypto.Signer) error {
	switch public := material.Public().(type) {
	case *rsa.PublicKey:
		if s.bits == public.N.BitLen() {
			return nil
		}
		return fmt.Errorf("the material is an RSA key of %d bits", public.N.BitLen())
	case *ecdsa.PublicKey:
		if s.curve == public.Curve {
			return nil
		}
		return fmt.Errorf("the material is a key on curve %s", public.Curve.Params().Name)
	}
	return fmt.Errorf("material of type %T is not supported", material)
}

// errNoSignature is what keys answer that the emulator has no signatures of.
var errNoSignature = errors.New("the emulator does not make signatures of this kind")

// sign signs a SHA-256 digest by one of the spec's algorithms.
func sign(material crypto.Signer, algorithm string, digest []byte) ([]byte, error) {
	var options crypto.SignerOpts = crypto.SHA256
	if algorithm == rsaPSS {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	return material.Sign(rand.Reader, digest, options)
}

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}   // RFC 5480, section 2.1.1
	oidSecp256k1   = asn1.ObjectIdentifier{1, 3, 132, 0, 10}         // SEC 2, section A.2.1
	oidSM2         = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301} // GM/T 0006
)

// foreignKey is a public key on a curve that crypto/x509 does not know.
type foreignKey struct {
	curve asn1.ObjectIdentifier
	point []byte // uncompressed
}

// marshalPublicKey returns a public key's SubjectPublicKeyInfo (RFC 5280, section 4.1).
func marshalPublicKey(public crypto.PublicKey) ([]byte, error) {
	foreign, ok := public.(foreignKey)
	if !ok {
		return x509.MarshalPKIXPublicKey(public)
	}
	curve, err := asn1.Marshal(foreign.curve)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{
		pkix.AlgorithmIdentifier{Algorithm: oidECPublicKey, Parameters: asn1.RawValue{FullBytes: curve}},
		asn1.BitString{Bytes: foreign.point, BitLength: 8 * len(foreign.point)},
	})
}

// secp256k1Key is a key of spec EC_P256K.
type secp256k1Key struct{ private *secp256k1.PrivateKey }

func newSecp256k1() (crypto.Signer, error) {
	private, err := secp256k1.GeneratePrivateKey()
	return secp256k1Key{private}, err
}

func (k secp256k1Key) Public() crypto.PublicKey {
	return foreignKey{oidSecp256k1, k.private.PubKey().SerializeUncompressed()}
}

func (k secp256k1Key) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return secp256k1ecdsa.Sign(k.private, digest).Serialize(), nil
}

// sm2Key is a key of spec EC_SM2. It does not sign: the library hashes what it signs, and KMS is given the digest.
type sm2Key struct{ private *sm2.PrivateKey }

func newSM2() (crypto.Signer, error) {
	private, err := sm2.GenerateKey(rand.Reader)
	return sm2Key{private}, err
}

func (k sm2Key) Public() crypto.PublicKey {
	point := make([]byte, 65)
	point[0] = 4 // uncompressed: SEC 1, section 2.3.3
	k.private.X.FillBytes(point[1:33])
	k.private.Y.FillBytes(point[33:])
	return foreignKey{oidSM2, point}
}

func (sm2Key) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errNoSignature }
