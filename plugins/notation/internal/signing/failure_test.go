package signing

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
)

func TestCodesOfCredentials(t *testing.T) {
	sts := func(change func(*rrsa.Error)) error {
		var failed rrsa.Error
		change(&failed)
		return fmt.Errorf("%w: %w", settings.ErrNoCredentials, &failed)
	}
	for name, tt := range map[string]struct {
		err  error
		want plugin.ErrorCode
	}{
		"refused":     {sts(func(e *rrsa.Error) { e.StatusCode, e.Code = 403, "NoPermission" }), plugin.ErrorCodeAccessDenied},
		"throttled":   {sts(func(e *rrsa.Error) { e.StatusCode, e.Code = 400, "Throttling.User" }), plugin.ErrorCodeThrottled},
		"down":        {sts(func(e *rrsa.Error) { e.StatusCode = 503 }), plugin.ErrorCodeGeneric},
		"unreachable": {sts(func(e *rrsa.Error) { e.Err = syscall.ECONNREFUSED }), plugin.ErrorCodeGeneric},
		"silent":      {sts(func(e *rrsa.Error) { e.Err = context.DeadlineExceeded }), plugin.ErrorCodeTimeout},
		"none":        {settings.ErrNoCredentials, plugin.ErrorCodeAccessDenied},
		"wrong spec":  {fmt.Errorf("key: %w", kms.ErrKeySpec), plugin.ErrorCodeValidation},
		"unknown":     {syscall.EIO, plugin.ErrorCodeGeneric},
	} {
		if got := failure(tt.err); got.ErrCode != tt.want {
			t.Errorf("%s: %s, want %s: %s", name, got.ErrCode, tt.want, got.Message)
		}
	}
}
