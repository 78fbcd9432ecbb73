package acr

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/endpoint"
)

// Error is a call of the Container Registry API that failed. Its text ends with what to do.
type Error struct {
	Op         string // the API's action
	InstanceID string // empty if the call was not about one instance
	Region     string
	Endpoint   string // host[:port] of the API
	Identity   string // whose rights the call was made with

	StatusCode int           // of HTTP; 0 if there was no answer. Failures come with 200 as well as with 4xx and 5xx
	Code       string        // Alibaba Cloud's error code, if the answer had one
	Message    string        // Alibaba Cloud's message
	RequestID  string        // what Alibaba Cloud's support asks for
	RetryAfter time.Duration // how long the service asked to wait; 0 if it did not
	Err        error         // the cause if the answer was none, incomplete or incomprehensible
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.InstanceID != "" {
		fmt.Fprintf(&b, " for instance %s", e.InstanceID)
	}
	fmt.Fprintf(&b, " at %s: ", e.Endpoint)
	switch {
	case e.Err != nil:
		b.WriteString(e.Err.Error())
	case e.Message != "":
		fmt.Fprintf(&b, "%s: %s (HTTP %d)", e.Code, e.Message, e.StatusCode)
	case e.Code != "":
		fmt.Fprintf(&b, "%s (HTTP %d)", e.Code, e.StatusCode)
	default:
		fmt.Fprintf(&b, "the reply (HTTP %d) has no error code", e.StatusCode)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, ", RequestId %s", e.RequestID)
	}
	if remedy := e.Remedy(); remedy != "" {
		b.WriteString("; " + remedy)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Passing says that failures of the network and of the service itself may go away. See package retry.
func (e *Error) Passing() (time.Duration, bool) {
	var untrusted *tls.CertificateVerificationError
	if e.StatusCode == 0 {
		return 0, !errors.As(e.Err, &untrusted)
	}
	return e.RetryAfter, e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests || strings.HasPrefix(e.Code, "Throttling")
}

// sessionEnded tells that the STS session of the call ended or was revoked before the time that STS gave it.
func (e *Error) sessionEnded() bool {
	return strings.HasPrefix(e.Code, "InvalidSecurityToken") || e.Code == "InvalidAccessKeyId.NotFound"
}

// Remedy tells what to do, or returns "".
func (e *Error) Remedy() string {
	code := strings.ToUpper(e.Code)
	switch {
	case e.StatusCode == 0 && e.Err != nil:
		remedy := endpoint.Remedy(e.Err, e.Endpoint)
		if strings.HasPrefix(e.Endpoint, "cr-vpc.") {
			remedy += "; for an instance in another region than the cluster, set network: public"
		}
		return remedy
	case code == "NOPERMISSION", code == "NOPRIVILEGE", strings.HasPrefix(code, "FORBIDDEN"):
		more := ""
		if e.Op == opToken {
			more = " and cr:PullRepository"
		}
		return fmt.Sprintf("%s needs a RAM policy that allows cr:%s%s", e.Identity, e.Op, more)
	case code == "INSTANCE_NOT_EXIST", code == "INSTANCENOTEXIST":
		return fmt.Sprintf("the account of %s has no such instance in region %s: check its ID, and set its region in acrInstancesConfig if it is in another one",
			e.Identity, e.Region)
	case e.sessionEnded():
		return fmt.Sprintf("the access key or session of %s is not known there any more: check that the role or key still exists", e.Identity)
	case code == "MISSINGSECURITYTOKEN":
		return "the access key is one of an STS session: configure credential type sts with its securityToken"
	case code == "SIGNATUREDOESNOTMATCH", code == "INCOMPLETESIGNATURE":
		return "check the access key's secret, and that no proxy changes requests on the way"
	case strings.Contains(code, "TIMESTAMP"), strings.HasPrefix(code, "INVALIDTIME"):
		return "this node's clock and the service's differ too much: check NTP on the node"
	case strings.HasPrefix(code, "THROTTLING"), e.StatusCode == http.StatusTooManyRequests:
		return "too many calls in this account; it is tried again with the next request"
	case e.StatusCode >= 500:
		return "the service is failing; it is tried again with the next request"
	case e.Err != nil:
		return "check that " + e.Endpoint + " is the Container Registry API, and HTTPS_PROXY if it is set"
	}
	return ""
}
