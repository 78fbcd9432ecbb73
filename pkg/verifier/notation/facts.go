package notation

import (
	"strings"
	"time"
	"unicode"

	"github.com/opencontainers/go-digest"
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

// maxText limits, in bytes, what a result quotes. Names in certificates are whatever their makers wrote, up to the size of an envelope, and end
// up in logs, events and the answers of Gatekeeper.
const maxText = 2048

// clean returns text in one line, without unprintable characters and not longer than maxText.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText-len("…")], "") + "…"
	}
	return text
}

func newFacts(signature digest.Digest) facts {
	return facts{factDigest: signature.String()}
}

// record adds what the envelope, if it could be read, says about the signer.
func (j *judgement) record(f facts) {
	if warnings := j.warnings(); warnings != "" {
		f[factWarnings] = clean(warnings)
	}
	signer := j.signer()
	if signer == nil {
		return
	}
	leaf := signer.CertificateChain[0]
	f[factIssuer] = clean(leaf.Issuer.String())
	f[factSN] = clean(leaf.Subject.String())
	f[factSubject] = clean(leaf.Subject.String())
	f[factSerial] = clean(leaf.SerialNumber.Text(16))
	f[factNotAfter] = leaf.NotAfter.UTC().Format(time.RFC3339)
	if at := signer.SignedAttributes.SigningTime; !at.IsZero() {
		f[factSigningTime] = at.UTC().Format(time.RFC3339)
	}
}
