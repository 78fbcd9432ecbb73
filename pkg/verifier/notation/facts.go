package notation

import (
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

// signedBy is what is told about a signer: names of the signing certificate, its serial number and end.
type signedBy struct{ issuer, subject, serial, notAfter string }

func (s signedBy) size() int { return len(s.issuer) + len(s.subject) + len(s.serial) + len(s.notAfter) }

// signedBy returns what the envelope, if it could be read, says about the signer, and when it claims to be signed, empty if it does not say.
func (j *judgement) signedBy() (by signedBy, at string) {
	signer := j.signer()
	if signer == nil {
		return signedBy{}, ""
	}
	leaf := signer.CertificateChain[0]
	by = signedBy{
		issuer: printable.Line(leaf.Issuer.String()), subject: printable.Line(leaf.Subject.String()),
		serial: printable.Line(leaf.SerialNumber.Text(16)), notAfter: stamp(leaf.NotAfter),
	}
	if t := signer.SignedAttributes.SigningTime; !t.IsZero() {
		at = stamp(t)
	}
	return by, at
}

// add adds what is known about the signer.
func (f facts) add(by signedBy, at string) {
	if by == (signedBy{}) {
		return
	}
	f[factIssuer], f[factSN], f[factSubject], f[factSerial], f[factNotAfter] = by.issuer, by.subject, by.subject, by.serial, by.notAfter
	if at != "" {
		f[factSigningTime] = at
	}
}
