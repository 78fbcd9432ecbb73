package keymaterial

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"
)

// Warnings say what keeps a certificate from being a trust anchor at this moment, each to follow the certificate's name. It is trusted all the
// same: a signature with a timestamp outlives its certificates, and a leaf beside its root does no harm. remedy tells what to do where the issuer's
// certificate is wanted.
func Warnings(cert *x509.Certificate, now time.Time, remedy string) []string {
	var warnings []string
	if now.After(cert.NotAfter) {
		warnings = append(warnings, fmt.Sprintf("expired on %s: only timestamped signatures still verify with it", cert.NotAfter.UTC().Format(time.RFC3339)))
	}
	if now.Before(cert.NotBefore) {
		warnings = append(warnings, fmt.Sprintf("is not valid before %s: nothing verifies with it until then", cert.NotBefore.UTC().Format(time.RFC3339)))
	}
	if !cert.IsCA && cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) != nil {
		warnings = append(warnings, "is neither a CA's nor self-signed: trust stores leave it out; "+remedy)
	}
	return warnings
}

// Fingerprint returns the SHA-256 of a certificate, or of a public key in PKIX form, in hex.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
