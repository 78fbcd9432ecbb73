package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
)

const (
	// DefaultValidity is as long as that of Alibaba Cloud's own plugin.
	DefaultValidity = 365 * 24 * time.Hour
	// minValidity is the shortest that is worth a trust anchor: certificates are renewed a day before their end.
	minValidity = 2 * renewBefore
	// maxValidity is longer than trust in a key should last without a thought.
	maxValidity = 10 * 365 * 24 * time.Hour
	// backdating makes up for clocks of verifiers that are slow.
	backdating = 5 * time.Minute
)

// Options of a self-signed certificate.
type Options struct {
	Subject  pkix.Name
	Validity time.Duration // from Now
	Now      time.Time
}

// Create returns a self-signed code signing certificate for the key of signer.
func Create(signer crypto.Signer, o Options) (*x509.Certificate, error) {
	algorithm, err := signatureAlgorithm(signer.Public())
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               o.Subject,
		NotBefore:             o.Now.Add(-backdating),
		NotAfter:              o.Now.Add(o.Validity),
		SignatureAlgorithm:    algorithm,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// signatureAlgorithm is how certificates are signed with the private half of key: over SHA-256, as KMS does.
func signatureAlgorithm(key crypto.PublicKey) (x509.SignatureAlgorithm, error) {
	switch key.(type) {
	case *rsa.PublicKey:
		return x509.SHA256WithRSAPSS, nil
	case *ecdsa.PublicKey:
		return x509.ECDSAWithSHA256, nil
	}
	return 0, fmt.Errorf("no certificate can be made for a key of type %T", key)
}

// ParseValidity reads a duration in days ("365d") or as Go writes them ("8760h").
func ParseValidity(text string) (time.Duration, error) {
	var validity time.Duration
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number of days such as 365d", text)
		}
		validity = time.Duration(n) * 24 * time.Hour
	} else {
		var err error
		if validity, err = time.ParseDuration(text); err != nil {
			return 0, fmt.Errorf("%q is not a duration such as 365d or 8760h", text)
		}
	}
	if validity < minValidity || validity > maxValidity {
		return 0, fmt.Errorf("%s is not between %s and %s", text, days(minValidity), days(maxValidity))
	}
	return validity, nil
}

func days(d time.Duration) string { return strconv.Itoa(int(d.Hours()/24)) + "d" }
