package kms

import (
	"errors"
	"fmt"
)

// KeySpec is the kind of a key, as KMS names it.
// See https://www.alibabacloud.com/help/en/kms/key-management-service/support/key-types-and-specifications.
type KeySpec string

// The specs of asymmetric keys.
const (
	RSA2048 KeySpec = "RSA_2048"
	RSA3072 KeySpec = "RSA_3072"
	RSA4096 KeySpec = "RSA_4096"
	ECP256  KeySpec = "EC_P256"
	ECP256K KeySpec = "EC_P256K"
	ECSM2   KeySpec = "EC_SM2"
)

// Algorithm is a way to sign, as KMS names it.
// See https://www.alibabacloud.com/help/en/kms/developer-reference/api-kms-2016-01-20-asymmetricsign.
type Algorithm string

// The algorithms over SHA-256, the only hash that KMS signs.
const (
	RSAPSS   Algorithm = "RSA_PSS_SHA_256"
	RSAPKCS1 Algorithm = "RSA_PKCS1_SHA_256"
	ECDSA    Algorithm = "ECDSA_SHA_256"
)

// ErrKeySpec is wrapped by errors about keys that no Notation signature can be made with.
var ErrKeySpec = errors.New("the key cannot make Notation signatures")

// NotationAlgorithm returns the algorithm of Notation signatures by keys of this spec. The error wraps ErrKeySpec and says what to use instead.
// See https://github.com/notaryproject/specifications/blob/v1.1.0/specs/signature-specification.md#algorithm-selection.
func (s KeySpec) NotationAlgorithm() (Algorithm, error) {
	const instead = "use a key of spec RSA_2048 or EC_P256"
	switch s {
	case RSA2048:
		return RSAPSS, nil
	case ECP256:
		return ECDSA, nil
	case RSA3072, RSA4096:
		return "", fmt.Errorf("%w: Notation signs with %s keys over SHA-384 or SHA-512, and KMS signs over SHA-256 only; %s", ErrKeySpec, s, instead)
	case ECP256K, ECSM2:
		return "", fmt.Errorf("%w: the Notary Project's signature specification has no signatures by %s keys; %s", ErrKeySpec, s, instead)
	}
	return "", fmt.Errorf("%w: %q is not the spec of a signing key; %s", ErrKeySpec, s, instead)
}
