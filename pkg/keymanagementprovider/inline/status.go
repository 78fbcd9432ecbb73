package inline

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/keymaterial"
)

// certificateStatus describes certs and warns of those that are no trust anchors at the moment.
func certificateStatus(certs []*x509.Certificate, now time.Time) keymanagementprovider.KeyManagementProviderStatus {
	var warnings []string
	described := make([]map[string]any, 0, len(certs))
	for i, cert := range certs {
		described = append(described, map[string]any{
			"subject":     cert.Subject.String(),
			"issuer":      cert.Issuer.String(),
			"serial":      cert.SerialNumber.Text(16),
			"fingerprint": keymaterial.Fingerprint(cert.Raw),
			"notBefore":   cert.NotBefore.UTC().Format(time.RFC3339),
			"notAfter":    cert.NotAfter.UTC().Format(time.RFC3339),
			"isCA":        cert.IsCA,
		})
		for _, w := range keymaterial.Warnings(cert, now, "configure its issuer's certificate") {
			warnings = append(warnings, fmt.Sprintf("certificate %d (%s) %s", i+1, cert.Subject, w))
		}
	}
	status := keymanagementprovider.KeyManagementProviderStatus{"certificates": described}
	if len(warnings) > 0 {
		status["warnings"] = warnings
	}
	return status
}

// describeKey returns type, size in bits and the SHA-256 fingerprint of the PKIX form.
func describeKey(key crypto.PublicKey) (map[string]any, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	description := map[string]any{"fingerprint": keymaterial.Fingerprint(der)}
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
