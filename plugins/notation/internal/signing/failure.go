package signing

import (
	"context"
	"errors"
	"fmt"

	"github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
)

// invalid is an error about what the user gave, such as a certificate, that only the user can mend.
type invalid struct{ error }

func (i invalid) Unwrap() error { return i.error }

func invalidf(format string, args ...any) error { return invalid{fmt.Errorf(format, args...)} }

// failure turns an error into that of the protocol.
func failure(err error) *plugin.Error {
	result := plugin.NewError(code(err), err.Error())
	if answered, ok := errors.AsType[*kms.Error](err); ok && answered.Code != "" {
		result.Metadata = map[string]string{"code": answered.Code, "requestId": answered.RequestID}
	}
	return result
}

func code(err error) plugin.ErrorCode {
	answered, _ := errors.AsType[*kms.Error](err)
	sts, _ := errors.AsType[*rrsa.Error](err)
	_, given := errors.AsType[invalid](err)
	_, set := errors.AsType[*settings.Error](err)
	switch {
	case answered != nil && answered.Throttled(), sts != nil && sts.Throttled():
		return plugin.ErrorCodeThrottled
	case errors.Is(err, context.DeadlineExceeded):
		return plugin.ErrorCodeTimeout
	case sts != nil && mayPass(sts):
		return plugin.ErrorCodeGeneric
	case errors.Is(err, kms.ErrDenied), errors.Is(err, settings.ErrNoCredentials):
		return plugin.ErrorCodeAccessDenied
	case given, set, errors.Is(err, kms.ErrNotFound), errors.Is(err, kms.ErrUnusable), errors.Is(err, kms.ErrUnsupported), errors.Is(err, kms.ErrKeySpec):
		return plugin.ErrorCodeValidation
	}
	return plugin.ErrorCodeGeneric
}

// mayPass tells whether a call of STS failed for reasons that go away, and so says nothing about the credentials.
func mayPass(err *rrsa.Error) bool {
	_, passing := err.Passing()
	return passing
}
