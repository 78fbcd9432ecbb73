package cosign

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
)

// maxReasons limits the signatures of which a reason tells; the extensions tell of all.
const maxReasons = 5

// Extensions are those of a result. Their JSON is Ratify's, so that policies in Rego can use it.
type Extensions struct {
	Signatures  []SignatureReport `json:"signatures,omitempty"`
	TrustPolicy string            `json:"trustPolicy,omitempty"`
}

// SignatureReport tells of one signature.
type SignatureReport struct {
	Signature     string               `json:"signature"` // base64
	Verifications []VerificationReport `json:"verifications"`
}

// VerificationReport tells of one key, or of the certificate, tried on a signature.
type VerificationReport struct {
	SignatureDigest digest.Digest `json:"signatureDigest,omitempty"` // of the signature's payload
	IsSuccess       bool          `json:"isSuccess"`
	BundleVerified  bool          `json:"bundleVerified"` // it is shown to be in the transparency log, by its bundle or by the log
	Error           string        `json:"error,omitempty"`
	KeyInformation  Key           `json:"keyInformation"`
	Summary         []string      `json:"summary,omitempty"` // what was checked with success
}

// LegacyExtensions are those of a result of the form without trust policies.
type LegacyExtensions struct {
	Signatures []VerificationReport `json:"signatures,omitempty"`
}

// tried is what was found out about one signature.
type tried struct {
	digest   digest.Digest
	encoded  string
	attempts []attempt // one at least
}

// extensions returns what a result tells about all signatures.
func extensions(policy *trustPolicy, signatures []tried) any {
	all := Extensions{TrustPolicy: policy.name}
	var legacy LegacyExtensions
	for _, s := range signatures {
		report := SignatureReport{Signature: printable.Line(s.encoded), Verifications: []VerificationReport{}}
		for _, a := range s.attempts {
			v := VerificationReport{SignatureDigest: s.digest, IsSuccess: a.err == nil, BundleVerified: a.logged, KeyInformation: a.key}
			if a.err != nil {
				v.Error = printable.Line(describe(a.err))
			} else {
				v.Summary = a.checks
			}
			report.Verifications = append(report.Verifications, v)
		}
		all.Signatures = append(all.Signatures, report)
		legacy.Signatures = append(legacy.Signatures, report.Verifications...)
	}
	if policy.name == "" {
		return legacy
	}
	return all
}

// describe words why an attempt did not succeed.
func describe(err error) string {
	if refused, ok := asRefusal(err); ok {
		return refused.reason
	}
	return "could not be verified: " + err.Error()
}

// conclude returns the message of a manifest of which one signature verifies, a refusal if none does, or an error if one that could not be verified
// may.
func conclude(signatures []tried) (string, error) {
	var unknown, refused []string
	var cause error
	var remedy string
	for i, s := range signatures {
		for _, a := range s.attempts {
			reason := fmt.Sprintf("signature %d of %d: %v", i+1, len(signatures), a.err)
			if a.err == nil {
				return fmt.Sprintf("signature %d of %d verified: %s", i+1, len(signatures), strings.Join(a.checks, "; ")), nil
			} else if r, ok := asRefusal(a.err); ok {
				refused = append(refused, reason)
				if remedy == "" {
					remedy = r.remedy
				}
			} else {
				unknown = append(unknown, reason)
				if cause == nil {
					cause = fmt.Errorf("signature %d of %d: %w", i+1, len(signatures), a.err)
				}
			}
		}
	}
	switch {
	case len(unknown) > 1:
		return "", fmt.Errorf("%w; and %d more could not be verified", cause, len(unknown)-1)
	case cause != nil:
		return "", cause
	}
	text := strings.Join(refused[:min(len(refused), maxReasons)], "; ")
	if n := len(refused) - maxReasons; n > 0 {
		text += fmt.Sprintf("; and %d more, see extensions", n)
	}
	return "", refuse(text, remedy)
}
