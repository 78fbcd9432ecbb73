package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
)

// algorithm is how a kind of key signs, in each one's words.
// See https://github.com/notaryproject/specifications/blob/v1.1.0/specs/signature-specification.md#algorithm-selection.
type algorithm struct {
	spec      plugin.KeySpec
	kms       kms.Algorithm
	signature plugin.SignatureAlgorithm
	x509      x509.SignatureAlgorithm
	options   crypto.SignerOpts
}

var algorithms = map[kms.Algorithm]algorithm{
	kms.RSAPSS: {plugin.KeySpecRSA2048, kms.RSAPSS, plugin.SignatureAlgorithmRSASSA_PSS_SHA256, x509.SHA256WithRSAPSS,
		&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}},
	kms.ECDSA: {plugin.KeySpecEC256, kms.ECDSA, plugin.SignatureAlgorithmECDSA_SHA256, x509.ECDSAWithSHA256, crypto.SHA256},
}

// ofSpec returns how keys of a spec make Notation signatures. The error wraps kms.ErrKeySpec.
func ofSpec(spec kms.KeySpec) (algorithm, error) {
	name, err := spec.NotationAlgorithm()
	if err != nil {
		return algorithm{}, err
	}
	return algorithms[name], nil
}

// ofKey is ofSpec for the public key of a certificate.
func ofKey(key crypto.PublicKey) (algorithm, error) {
	spec := kms.KeySpec(fmt.Sprintf("%T", key))
	switch key := key.(type) {
	case *rsa.PublicKey:
		spec = kms.KeySpec(fmt.Sprintf("RSA_%d", key.N.BitLen()))
	case *ecdsa.PublicKey:
		spec = kms.KeySpec("EC_" + key.Params().Name)
		if key.Curve == elliptic.P256() {
			spec = kms.ECP256
		}
	}
	return ofSpec(spec)
}

// envelopeForm returns a signature as envelopes have it: that of an EC key is r and s, not DER.
func envelopeForm(m made) ([]byte, plugin.SignatureAlgorithm, error) {
	if m.algorithm.kms != kms.ECDSA {
		return m.signature, m.algorithm.signature, nil
	}
	raw, err := kms.RawECDSA(m.signature)
	return raw, m.algorithm.signature, err
}
