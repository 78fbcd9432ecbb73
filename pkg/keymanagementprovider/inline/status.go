package inline

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
)

// certificateStatus describes certs and warns of those that are no trust anchors at the moment.
func certificateStatus(certs []*x509.Certificate, now time.Time) keymanagementprovider.KeyManagementProviderStatus {
	var warnings []string
	described := make([]map[string]any, 0, len(certs))
	for i, cert := range certs {
		sum := sha256.Sum256(cert.Raw)
		described = append(described, map[string]any{
			"subject":     cert.Subject.String(),
			"issuer":      cert.Issuer.String(),
			"serial":      cert.SerialNumber.Text(16),
			"fingerprint": hex.EncodeToString(sum[:]),
			"notBefore":   cert.NotBefore.UTC().Format(time.RFC3339),
			"notAfter":    cert.NotAfter.UTC().Format(time.RFC3339),
			"isCA":        cert.IsCA,
		})
		for _, w := range warningsOf(cert, now) {
			warnings = append(warnings, fmt.Sprintf("certificate %d (%s) %s", i+1, cert.Subject, w))
		}
	}
	status := keymanagementprovider.KeyManagementProviderStatus{"certificates": described}
	if len(warnings) > 0 {
		status["warnings"] = warnings
	}
	return status
}

// warningsOf says what keeps cert from being a trust anchor at this moment. It is loaded all the same: a signature with a timestamp
// outlives its certificates, and a leaf beside its root does no harm.
func warningsOf(cert *x509.Certificate, now time.Time) []string {
	var warnings []string
	if now.After(cert.NotAfter) {
		warnings = append(warnings, fmt.Sprintf("expired on %s: only timestamped signatures still verify with it", cert.NotAfter.UTC().Format(time.RFC3339)))
	}
	if now.Before(cert.NotBefore) {
		warnings = append(warnings, fmt.Sprintf("is not valid before %s: nothing verifies with it until then", cert.NotBefore.UTC().Format(time.RFC3339)))
	}
	if !cert.IsCA && cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) != nil {
		warnings = append(warnings, "is neither a CA's nor self-signed: trust stores leave it out; configure its issuer's certificate")
	}
	return warnings
}

// describeKey returns type, size in bits and the SHA-256 fingerprint of the PKIX form.
func describeKey(key crypto.PublicKey) (map[string]any, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	description := map[string]any{"fingerprint": hex.EncodeToString(sum[:])}
	switch key := key.(type) {
	case *rsa.PublicKey:
		description["type"], description["size"] = "RSA", key.N.BitLen()
	case *ecdsa.PublicKey:
		description["type"], description["size"] = "ECDSA", key.Curve.Params().BitSize
	case ed25519.PublicKey:
		description["type"], description["size"] = "Ed25519", 8*len(key)
	default:
		return nil, fmt.Errorf("unsupported type %T", key)
	}
	return description, nil
}
