package verification

import (
	"encoding/json"
	"errors"

	"github.com/opencontainers/go-digest"
)

// Outcome is what is known about a subject. The zero value is Undetermined, so that nothing is admitted by omission.
type Outcome int

const (
	// Undetermined means that it could not be found out whether the subject satisfies the policy.
	Undetermined Outcome = iota
	// Refused means that the evidence was read and does not satisfy the policy.
	Refused
	// Verified means that the evidence was read and satisfies the policy.
	Verified
)

// String returns the outcome in lower case, as logs and metrics show it.
func (o Outcome) String() string {
	switch o {
	case Verified:
		return "verified"
	case Refused:
		return "refused"
	default:
		return "undetermined"
	}
}

// Verdict is the answer about one subject.
type Verdict struct {
	Outcome Outcome
	// Subject is the repository and digest the verdict is about, or the reference as asked for if it has no known digest.
	Subject string
	// Digest is the subject's digest; empty when it is not known.
	Digest digest.Digest
	// PolicyType is the type of the policy that decided: "configpolicy" or "regopolicy".
	PolicyType string
	// Reports are the verifier reports in Ratify's form for the policy type, in the order of the referrers, each as JSON: a
	// verifier.VerifierResult of Ratify's, or for Rego policies a types.NestedVerifierReport.
	Reports []json.RawMessage
	// Err says why the outcome is Undetermined, and what to do. It is nil for the other outcomes.
	Err error
}

// ErrNotConfigured is the cause of verdicts asked for before a usable configuration was loaded.
var ErrNotConfigured = errors.New("no usable configuration is loaded")

// ReportBytes returns the size of the reports.
func (v Verdict) ReportBytes() int64 {
	size := 0
	for _, report := range v.Reports {
		size += len(report)
	}
	return int64(size)
}

func undetermined(subject string, err error) Verdict {
	return Verdict{Outcome: Undetermined, Subject: subject, Err: err}
}
