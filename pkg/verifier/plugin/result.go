package plugin

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ratify-project/ratify/pkg/verifier"
	"github.com/ratify-project/ratify/pkg/verifier/types"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/executable"
)

// ErrNoResult says that what a program printed tells neither success nor failure.
var ErrNoResult = errors.New("gave no result")

// outcome is the field isSuccess, of which there must be one.
type outcome struct {
	value bool
	times int
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *outcome) UnmarshalJSON(data []byte) error {
	o.times++
	var value *bool
	if err := json.Unmarshal(data, &value); err != nil || value == nil {
		return fmt.Errorf("isSuccess is %s, and neither true nor false", executable.Clean(string(data)))
	}
	o.value = *value
	return nil
}

// parseResult reads the result of a program, of protocol version 1.0.0 or 2.0.0-alpha.1. It returns an error if the program could not find
// out, as far as it says so.
func parseResult(reply []byte) (verifier.VerifierResult, error) {
	var r struct {
		types.VerifierResult
		IsSuccess outcome `json:"isSuccess"`
	}
	if err := json.Unmarshal(reply, &r); err != nil {
		return verifier.VerifierResult{}, fmt.Errorf("%w: %w", ErrNoResult, err)
	}
	if r.IsSuccess.times != 1 {
		return verifier.VerifierResult{}, fmt.Errorf("%w: isSuccess is there %d times, and must be once: %s", ErrNoResult, r.IsSuccess.times,
			executable.Clean(string(reply)))
	}
	if words := r.Message + "; " + r.ErrorReason; !r.IsSuccess.value && unread(words) {
		return verifier.VerifierResult{}, fmt.Errorf("could not read what it needs: %s", executable.Clean(words))
	}
	name, kind := executable.Clean(r.Name), executable.Clean(r.Type)
	return verifier.VerifierResult{
		IsSuccess:    r.IsSuccess.value,
		Message:      executable.Clean(r.Message),
		ErrorReason:  executable.Clean(r.ErrorReason),
		Remediation:  executable.Clean(r.Remediation),
		Name:         name,
		VerifierName: name,
		Type:         kind,
		VerifierType: kind,
		Extensions:   r.Extensions,
	}, nil
}
