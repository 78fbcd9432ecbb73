package kms

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

func TestErrorsSayWhatToDo(t *testing.T) {
	for code, m := range meanings {
		for _, accessPoint := range []bool{false, true} {
			err := &Error{Op: "AsymmetricSign", Subject: "key key-1", Endpoint: kstHost, Identity: "role r", accessPoint: accessPoint,
				Failure: reply.Failure{StatusCode: 400, Code: code, Message: "m", RequestID: "r-1"}}
			text := err.Error()
			if err.Remedy() == "" || strings.ContainsAny(text, "{}") || !strings.HasPrefix(text, "AsymmetricSign of key key-1 at "+kstHost+": "+code+": m (HTTP 400), RequestId r-1; ") {
				t.Errorf("%s: %s", code, text)
			}
			if m.about != nil && !errors.Is(err, m.about) {
				t.Errorf("%s is not %v", code, m.about)
			}
		}
	}
	for name, tc := range map[string]struct {
		status   int
		code     string
		endpoint string
		cause    error
		is       error
		want     string
	}{
		"an ended session":       {status: 400, code: "InvalidSecurityToken.Expired", is: ErrDenied, want: "not known there any more"},
		"another denial":         {status: 403, code: "Forbidden.Other", is: ErrDenied, want: "kms:AsymmetricSign on key key-1"},
		"another state":          {status: 409, code: "Rejected.PendingCreation", is: ErrUnusable, want: "the state of key key-1"},
		"throttled":              {status: 400, code: "Rejected.Throttling", want: "too many calls"},
		"throttled with 409":     {status: 409, code: "Rejected.Throttling", want: "too many calls"},
		"failing":                {status: 500, code: "InternalFailure", want: "try again later"},
		"an unknown code":        {status: 400, code: "Other", want: "RequestId r-1"},
		"a proxy":                {status: 200, cause: reply.ErrNotJSON, want: "HTTPS_PROXY"},
		"an unknown CA":          {cause: x509.UnknownAuthorityError{}, want: "PrivateKmsCA_" + kst + ".pem"},
		"an unknown CA, gateway": {endpoint: gatewayHost, cause: x509.UnknownAuthorityError{}, want: "SSL_CERT_FILE"},
		"an unknown host":        {cause: &net.DNSError{}, want: "only in the VPCs that the instance is bound to"},
		"a wrong name":           {cause: x509.HostnameError{Certificate: &x509.Certificate{}}, want: "check the network"},
	} {
		err := &Error{Op: "AsymmetricSign", Subject: "key key-1", Endpoint: kstHost, Identity: "role r",
			Failure: reply.Failure{StatusCode: tc.status, Code: tc.code, RequestID: "r-1", Err: tc.cause}}
		if tc.endpoint != "" {
			err.Endpoint = tc.endpoint
		}
		if !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		for _, about := range []error{ErrNotFound, ErrUnusable, ErrDenied, ErrUnsupported} {
			if errors.Is(err, about) != (about == tc.is) {
				t.Errorf("%s: %v is %v: %t", name, err, about, errors.Is(err, about))
			}
		}
	}
	if err := (&Error{Failure: reply.Failure{StatusCode: http.StatusOK, Err: ErrUnusable}}); !errors.Is(err, ErrUnusable) {
		t.Errorf("%v does not wrap its cause", err)
	}
}
