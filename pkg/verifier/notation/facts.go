package notation

import (
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
)

// facts are what a result's extensions tell about a signature. "Issuer" and "SN" are Ratify's; policies may use them.
type facts map[string]string

const (
	factDigest      = "SignatureDigest" // of the signature's manifest
	factPolicy      = "TrustPolicy"
	factLevel       = "VerificationLevel"
	factFailedCheck = "FailedCheck" // of a refused signature
	factWarnings    = "Warnings"    // failed checks that the trust policy only logs

	// About the signing certificate. They are as claimed by the envelope unless the signature is authentic.
	factIssuer      = "Issuer"
	factSN          = "SN" // the subject; Ratify's name for it
	factSubject     = "Subject"
	factSerial      = "Serial"   // hexadecimal
	factNotAfter    = "NotAfter" // RFC 3339
	factSigningTime = "SigningTime"
)

func newFacts(signature digest.Digest) facts {
	return facts{factDigest: signature.String()}
}

// record adds what the envelope, if it could be read, says about the signer.
func (j *judgement) record(f facts) {
	if warnings := j.warnings(); warnings != "" {
		f[factWarnings] = printable.Line(warnings)
	}
	signer := j.signer()
	if signer == nil {
		return
	}
	leaf := signer.CertificateChain[0]
	f[factIssuer] = printable.Line(leaf.Issuer.String())
	f[factSN] = printable.Line(leaf.Subject.String())
	f[factSubject] = printable.Line(leaf.Subject.String())
	f[factSerial] = printable.Line(leaf.SerialNumber.Text(16))
	f[factNotAfter] = leaf.NotAfter.UTC().Format(time.RFC3339)
	if at := signer.SignedAttributes.SigningTime; !at.IsZero() {
		f[factSigningTime] = at.UTC().Format(time.RFC3339)
	}
}
