package kms

import (
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
)

// Curves that Go's library does not know: secp256k1 (SEC 2, section 2.4.1) and SM2 (GB/T 33560-2017; draft-shen-sm2-ecdsa).
var (
	oidEC        = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidSecp256k1 = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
	oidSM2       = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}
)

// parsePublicKey reads the PEM text of a public key as KMS gives it. The key is nil if Go's library does not know its curve.
func parsePublicKey(text []byte) (crypto.PublicKey, KeySpec, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, "", errors.New("the reply's PublicKey is not PEM (-----BEGIN PUBLIC KEY-----)")
	}
	if another, _ := pem.Decode(rest); another != nil {
		return nil, "", errors.New("the reply's PublicKey is more than one PEM block")
	}
	if spec := foreignCurve(block.Bytes); spec != "" {
		return nil, spec, nil
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, "", fmt.Errorf("the reply's PublicKey: %w", err)
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		switch bits := key.N.BitLen(); bits {
		case 2048:
			return key, RSA2048, nil
		case 3072:
			return key, RSA3072, nil
		case 4096:
			return key, RSA4096, nil
		default:
			return nil, "", fmt.Errorf("the reply's PublicKey is an RSA key of %d bits, which KMS does not document", bits)
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return key, ECP256, nil
		}
		return nil, "", fmt.Errorf("the reply's PublicKey is on the curve %s, which KMS does not document", key.Params().Name)
	}
	return nil, "", fmt.Errorf("the reply's PublicKey is a %T, which KMS does not document", key)
}

// foreignCurve returns the spec of a SubjectPublicKeyInfo (RFC 5480, section 2) on a curve that Go's library does not know, or "".
func foreignCurve(der []byte) KeySpec {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return ""
	}
	var curve asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &curve); err != nil || len(rest) > 0 || !info.Algorithm.Algorithm.Equal(oidEC) {
		return ""
	}
	switch {
	case curve.Equal(oidSecp256k1):
		return ECP256K
	case curve.Equal(oidSM2):
		return ECSM2
	}
	return ""
}
