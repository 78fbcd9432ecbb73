package verification

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/executor/types"
	policytypes "github.com/ratify-project/ratify/pkg/policyprovider/types"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifiertypes "github.com/ratify-project/ratify/pkg/verifier/types"
)

// maxCauses bounds the causes that one error names: an image may have hundreds of referrers, and they mostly fail alike.
const maxCauses = 4

// finding is what was found out about one referrer.
type finding struct {
	// report is a verifier.VerifierResult for the JSON policy and a types.NestedVerifierReport for Rego policies.
	report any
	// err says why the report tells less than there is to know; it counts as a failure there.
	err error
}

// findings are those about one subject, in the order of its referrers.
type findings []finding

func (f findings) reports() []any {
	reports := make([]any, len(f))
	for i := range f {
		reports[i] = f[i].report
	}
	return reports
}

// succeeded returns the reports of a JSON policy as if what could not be found out had been found good.
func (f findings) succeeded() []any {
	reports := f.reports()
	for i := range f {
		if result, ok := f[i].report.(verifier.VerifierResult); ok && f[i].err != nil {
			result.IsSuccess = true
			reports[i] = result
		}
	}
	return reports
}

func (f findings) undetermined() error {
	var errs []error
	for i := range f {
		if f[i].err != nil {
			errs = append(errs, f[i].err)
		}
	}
	return join(errs)
}

// decide asks the policy what the findings amount to.
//
// What could not be found out counts as a failure. The policy's word then stands only if it would be the same had all of that
// been found good: under "any", one good signature is enough whatever the others are, and under "all" one bad signature is.
// A Rego policy reads more of a report than its success, so that what-if is asked of the JSON policy only.
func (r *run) decide(ctx context.Context, subject common.Reference, found findings) Verdict {
	v := Verdict{Subject: subject.Original, Digest: subject.Digest, PolicyType: r.policyType}
	reports := found.reports()
	satisfied := r.scope.Policy.OverallVerifyResult(ctx, reports)
	if v.Reports, v.Err = encode(reports); v.Err != nil {
		return v
	}
	if err := ctx.Err(); err != nil && !satisfied {
		v.Err = outOfTime(fmt.Errorf("asking the policy: %w", err)) // a Rego policy that is cut short says no
		return v
	}
	if err := found.undetermined(); err != nil {
		if r.policyType != policytypes.ConfigPolicy || r.scope.Policy.OverallVerifyResult(ctx, found.succeeded()) != satisfied {
			v.Err = outOfTime(err)
			return v
		}
	}
	v.Outcome = Refused
	if satisfied {
		v.Outcome = Verified
	}
	return v
}

// refusal is why a subject is refused of which there is nothing for the policy to read.
type refusal struct{ message, reason, remediation string }

func refuse(policyType, subject string, why refusal) Verdict {
	result := verifier.VerifierResult{Subject: subject, Message: why.message, ErrorReason: why.reason, Remediation: why.remediation}
	var report any = result
	if policyType == policytypes.RegoPolicy {
		report = types.NestedVerifierReport{
			Subject:         subject,
			VerifierReports: []verifiertypes.VerifierResult{verifiertypes.NewVerifierResult(result)},
			NestedReports:   []types.NestedVerifierReport{},
		}
	}
	reports, err := encode([]any{report})
	if err != nil {
		return undetermined(subject, err)
	}
	return Verdict{Outcome: Refused, Subject: subject, PolicyType: policyType, Reports: reports}
}

// encode writes reports as JSON, once for all requests that they answer. What verifiers add to them may be anything.
func encode(reports []any) ([]json.RawMessage, error) {
	encoded := make([]json.RawMessage, len(reports))
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // the answer is no HTML, and names of certificates are full of what would be escaped
	for i, report := range reports {
		text.Reset()
		if err := encoder.Encode(report); err != nil {
			return nil, fmt.Errorf("what a verifier reported cannot be written as JSON: %w", err)
		}
		encoded[i] = bytes.Clone(bytes.TrimSpace(text.Bytes()))
	}
	return encoded, nil
}

// join makes one error of many, on one line. It names the first maxCauses.
func join(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	named := errs[:min(len(errs), maxCauses)]
	joined := named[0]
	for _, err := range named[1:] {
		joined = fmt.Errorf("%w; %w", joined, err)
	}
	if more := len(errs) - len(named); more > 0 {
		joined = fmt.Errorf("%w; and %d more", joined, more)
	}
	return joined
}
