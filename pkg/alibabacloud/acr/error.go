package acr

import (
	"fmt"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/endpoint"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

// Error is a call of the Container Registry API that failed. Its text ends with what to do.
type Error struct {
	Op         string // the API's action
	InstanceID string // empty if the call was not about one instance
	Region     string
	Endpoint   string // host[:port] of the API
	Identity   string // whose rights the call was made with

	reply.Failure
}

func (e *Error) Error() string {
	what := e.Op
	if e.InstanceID != "" {
		what += " for instance " + e.InstanceID
	}
	return e.Text(what+" at "+e.Endpoint, e.Remedy())
}

// Remedy tells what to do, or returns "".
func (e *Error) Remedy() string {
	code := strings.ToUpper(e.Code)
	switch {
	case e.Incomplete():
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
	case e.SessionEnded():
		return fmt.Sprintf("the access key or session of %s is not known there any more: check that the role or key still exists", e.Identity)
	case code == "MISSINGSECURITYTOKEN":
		return "the access key is one of an STS session: configure credential type sts with its securityToken"
	case code == "SIGNATUREDOESNOTMATCH", code == "INCOMPLETESIGNATURE":
		return "check the access key's secret, and that no proxy changes requests on the way"
	case strings.Contains(code, "TIMESTAMP"), strings.HasPrefix(code, "INVALIDTIME"):
		return "this node's clock and the service's differ too much: check NTP on the node"
	case e.Throttled():
		return "too many calls in this account; it is tried again with the next request"
	case e.StatusCode >= 500:
		return "the service is failing; it is tried again with the next request"
	case e.Err != nil:
		return "check that " + e.Endpoint + " is the Container Registry API, and HTTPS_PROXY if it is set"
	}
	return ""
}
