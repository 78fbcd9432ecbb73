package notation

import (
	"errors"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
)

// Checks besides those of the specification, which are integrity, authenticity, authenticTimestamp, expiry and revocation.
const (
	checkPolicy     = "trustPolicy"        // a trust policy covers the repository
	checkFormat     = "format"             // the artifact is a signature at all
	checkSubject    = "subject"            // the signature is for this image
	checkPlugin     = "verificationPlugin" // the plugin that the signature asks for is there
	checkAttributes = "criticalAttributes" // what the signature requires verifiers to understand is understood
)

// refusal is the decision that a signature does not verify.
type refusal struct {
	check  string
	reason string
	remedy string
}

func refuse(check, reason, remedy string) error { return &refusal{check, reason, remedy} }

func (r *refusal) Error() string { return r.check + ": " + r.reason }

// asRefusal returns the refusal that err amounts to. Failures to read do not amount to one, except when they are about what was read.
func asRefusal(err error) (*refusal, bool) {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r, true
	}
	if errors.Is(err, artifact.ErrMalformed) || errors.Is(err, artifact.ErrLimit) {
		return &refusal{checkFormat, err.Error(), "inspect the artifact; delete it if it is no signature, and sign the image again"}, true
	}
	return nil, false
}
