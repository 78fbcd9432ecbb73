package reply

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Failure is what a service answered to a call that failed, or why there is no answer.
type Failure struct {
	StatusCode int           // of HTTP; 0 if there was no answer. Failures come with 200 as well as with 4xx and 5xx
	Code       string        // Alibaba Cloud's error code, if the answer had one
	Message    string        // Alibaba Cloud's message
	RequestID  string        // what Alibaba Cloud's support asks for
	RetryAfter time.Duration // how long the service asked to wait; 0 if it did not
	Err        error         // the cause if the answer was none, incomplete or incomprehensible
}

// Text describes the failure of what, ending with remedy, what to do, unless that is empty.
func (f *Failure) Text(what, remedy string) string {
	var b strings.Builder
	b.WriteString(what + ": ")
	switch {
	case f.Err != nil:
		b.WriteString(f.Err.Error())
	case f.Message != "":
		fmt.Fprintf(&b, "%s: %s (HTTP %d)", f.Code, f.Message, f.StatusCode)
	case f.Code != "":
		fmt.Fprintf(&b, "%s (HTTP %d)", f.Code, f.StatusCode)
	default:
		fmt.Fprintf(&b, "the reply (HTTP %d) has no error code", f.StatusCode)
	}
	if f.RequestID != "" {
		fmt.Fprintf(&b, ", RequestId %s", f.RequestID)
	}
	if remedy != "" {
		b.WriteString("; " + remedy)
	}
	return b.String()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Incomplete tells whether there was no complete answer, so that the way to the service is to blame, or its silence.
func (f *Failure) Incomplete() bool {
	return f.Err != nil && (f.StatusCode == 0 || errors.Is(f.Err, ErrBrokeOff))
}

// Passing says that failures of the network and of the service itself may go away. See package retry.
func (f *Failure) Passing() (time.Duration, bool) {
	if f.StatusCode == 0 {
		_, untrusted := errors.AsType[*tls.CertificateVerificationError](f.Err)
		return 0, !untrusted
	}
	return f.RetryAfter, f.StatusCode >= http.StatusInternalServerError || f.Throttled()
}

// Throttled tells whether the service turned the call away for being one too many.
func (f *Failure) Throttled() bool {
	return f.StatusCode == http.StatusTooManyRequests || strings.HasPrefix(f.Code, "Throttling") || f.Code == "Rejected.Throttling"
}

// SessionEnded tells whether the STS session, or the access key, of the call ended or was revoked before the time that STS gave it.
func (f *Failure) SessionEnded() bool {
	return strings.HasPrefix(f.Code, "InvalidSecurityToken") || f.Code == "InvalidAccessKeyId.NotFound"
}
