package notation

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/notaryproject/notation-core-go/revocation"
	"github.com/notaryproject/notation-core-go/revocation/purpose"
	"github.com/notaryproject/notation-core-go/revocation/result"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
	checker "github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation/revocation"
)

// witnessing tells the witness of the verification what notation-go keeps to itself: whether a certificate is revoked or its status unknown.
type witnessing struct {
	revocation.Validator
	purpose purpose.Purpose
}

func (v witnessing) ValidateContext(ctx context.Context, o revocation.ValidateContextOptions) ([]*result.CertRevocationResult, error) {
	results, err := v.Validator.ValidateContext(ctx, o)
	w := witnessOf(ctx)
	w.questions, w.chains = append(w.questions, checker.QuestionOf(v.purpose, o)), append(w.chains, o.CertChain)
	if v.purpose == purpose.Timestamping {
		w.timestamping = unknownStatus(o, results)
	} else {
		w.revocation = unknownStatus(o, results)
	}
	return results, err
}

// unknownStatus returns an error that names the certificates whose status could not be found out and the responders' failures, or nil when
// all are known or one is revoked, which settles the matter.
func unknownStatus(o revocation.ValidateContextOptions, results []*result.CertRevocationResult) error {
	var unknown []string
	for i, r := range results {
		if r.Result == result.ResultRevoked {
			return nil
		}
		if r.Result != result.ResultUnknown {
			continue
		}
		var failures []string
		for _, server := range r.ServerResults {
			if server.Error != nil {
				failures = append(failures, fmt.Sprintf("%s: %v", server.Server, server.Error))
			}
		}
		unknown = append(unknown, fmt.Sprintf("revocation status of certificate %s is unknown: %s", o.CertChain[i].Subject, strings.Join(failures, "; ")))
	}
	if len(unknown) == 0 {
		return nil
	}
	return errors.New(printable.Line(strings.Join(unknown, "; ")))
}
