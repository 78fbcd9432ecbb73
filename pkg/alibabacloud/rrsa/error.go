package rrsa

import (
	"fmt"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/endpoint"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

// Error is a call to STS that brought no session. Its text ends with what to do.
type Error struct {
	Op       string // the API's action
	Endpoint string // host[:port] of STS
	Role     string // ARN of the role that was to be assumed

	reply.Failure
}

func (e *Error) Error() string {
	return e.Text(fmt.Sprintf("%s for role %s at %s", e.Op, e.Role, e.Endpoint), e.Remedy())
}

// remedies tells what to do about the codes that
// https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-errorcodes and the guide to RRSA list.
var remedies = map[string]string{
	"AuthenticationFail.OIDCToken.AudienceNotMatch": "the token's audience must be sts.aliyuncs.com, and be among the client IDs of the OIDC provider in RAM: " +
		"let ack-pod-identity-webhook inject the token instead of mounting one by hand",
	"AuthenticationFail.OIDCToken.Expired":         "the token's file is not being renewed, or this node's clock is wrong: check the clock, then restart the pod",
	"AuthenticationFail.OIDCToken.HttpsUrlInvalid": "the issuer's URL in the OIDC provider cannot be reached by RAM: it must be https and public",
	"AuthenticationFail.OIDCToken.Invalid":         "the file does not hold an OIDC token of this cluster: check " + EnvOIDCTokenFile,
	"AuthenticationFail.OIDCToken.InvalidSignature": "the token was signed by another cluster than the OIDC provider's, or the cluster's keys were rotated: " +
		"check that " + EnvOIDCProviderARN + " belongs to this cluster",
	"AuthenticationFail.OIDCToken.IssuerNotMatch":               "the token is of another cluster: check that " + EnvOIDCProviderARN + " belongs to this cluster",
	"AuthenticationFail.OIDCToken.IssuerConfigurationBroken":    "RAM cannot read the issuer's configuration: switch RRSA off and on again in the cluster's settings",
	"AuthenticationFail.OIDCToken.PublicKeyFingerprintMismatch": "the issuer's certificate has changed: update the fingerprints of the OIDC provider in RAM",
	"EntityNotExist.Role": "create the RAM role, or correct the service account's annotation pod-identity.alibabacloud.com/role-name and restart the pod",
}

// Remedy tells what to do, or returns "".
func (e *Error) Remedy() string {
	if r, ok := remedies[e.Code]; ok {
		return r
	}
	switch {
	case e.Incomplete():
		return endpoint.Remedy(e.Err, e.Endpoint)
	case e.Code == "AuthenticationFail.NoPermission":
		if strings.Contains(strings.ToLower(e.Message), "no such oidc provider") {
			return "the cluster's OIDC provider is not in this RAM account: enable RRSA for the cluster, and check " + EnvOIDCProviderARN
		}
		return "the role's trust policy does not let this service account assume it: it must allow sts:AssumeRole to the cluster's OIDC provider with " +
			"oidc:aud sts.aliyuncs.com and oidc:sub system:serviceaccount:<namespace>:<service account>"
	case e.Throttled():
		return "too many calls in this account; it is tried again with the next request"
	case e.StatusCode >= 500:
		return "STS is failing; it is tried again with the next request"
	case e.Err != nil:
		return "check that " + e.Endpoint + " is STS, and HTTPS_PROXY if it is set"
	}
	return ""
}
