package certificate

import (
	"crypto/x509"
	"fmt"
	"time"

	corex509 "github.com/notaryproject/notation-core-go/x509"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
)

const (
	// renewBefore is when a certificate that the plugin made is not used any more: signatures with it would fail within a day.
	renewBefore = 24 * time.Hour
	// warnBefore leaves time to hand out another trust anchor.
	warnBefore = 30 * 24 * time.Hour
)

// Check returns an error if notation would not sign with an ordered chain now, or verifiers would not accept it.
func Check(chain []*x509.Certificate, now time.Time) error {
	for _, cert := range chain {
		if err := valid(cert, now); err != nil {
			return err
		}
	}
	return corex509.ValidateCodeSigningCertChain(chain, &now)
}

// EndsSoon returns a warning if a certificate of a chain is in its last 30 days, else "".
func EndsSoon(chain []*x509.Certificate, now time.Time) string {
	for _, cert := range chain {
		if left := cert.NotAfter.Sub(now); left < warnBefore {
			return fmt.Sprintf("the certificate of %q (serial number %s) ends in %d days, on %s", printable.Line(cert.Subject.String()), Serial(cert),
				int(left.Hours()/24), cert.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

func valid(cert *x509.Certificate, now time.Time) error {
	name := printable.Line(cert.Subject.String())
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("the certificate of %q expired on %s (this machine's clock says %s)", name, cert.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("the certificate of %q is valid only from %s on (this machine's clock says %s)", name, cert.NotBefore.UTC().Format(time.RFC3339),
			now.UTC().Format(time.RFC3339))
	}
	return nil
}
