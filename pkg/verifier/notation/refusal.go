package notation

import (
	"errors"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
)

// checkFormat is the check that an artifact is a signature at all; the other checks have notation-go's names.
const checkFormat = "format"

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
