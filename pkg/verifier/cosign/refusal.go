package cosign

import (
	"errors"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
)

// refusal is the decision that a signature, or the whole manifest, does not verify.
type refusal struct {
	reason string
	remedy string
}

func refuse(reason, remedy string) error { return &refusal{reason, remedy} }

func (r *refusal) Error() string { return r.reason }

// asRefusal returns the refusal that err amounts to. Failures to read do not amount to one, except when they are about what was read.
func asRefusal(err error) (*refusal, bool) {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r, true
	}
	if errors.Is(err, artifact.ErrMalformed) || errors.Is(err, artifact.ErrLimit) {
		return &refusal{err.Error(), "inspect the artifact; delete it if it is no signature, and sign the image again"}, true
	}
	return nil, false
}
