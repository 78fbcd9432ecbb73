package kms

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/endpoint"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

// What errors of calls are about; errors.Is tells. A failure that is none of these may go away by itself.
var (
	// ErrNotFound: there is no such key, version, alias or secret.
	ErrNotFound = errors.New("not found in KMS")
	// ErrUnusable: the key is disabled, or is to be deleted, or has no material yet.
	ErrUnusable = errors.New("not usable in KMS")
	// ErrDenied: the identity has no right to the call, or KMS does not know it.
	ErrDenied = errors.New("denied by KMS")
	// ErrUnsupported: this way to KMS does not have the call.
	ErrUnsupported = errors.New("not supported by this endpoint of KMS")
)

// EnvCAFile is the file of the CA of a dedicated instance, as Alibaba Cloud's own notation plugin names it.
const EnvCAFile = "ALIBABA_CLOUD_KMS_CA_FILEPATH"

// Error is a call of KMS that failed. Its text ends with what to do. The cloud's Code and RequestID are in Failure.
type Error struct {
	Op       string // the API's action
	Subject  string // what it was about, such as "key key-hzz…" or "secret signer"
	Endpoint string // host[:port]
	Identity string // whose rights the call was made with

	reply.Failure

	accessPoint bool // the identity is a client key, whose rights its application access point tells
}

func (e *Error) Error() string {
	return e.Text(fmt.Sprintf("%s of %s at %s", e.Op, e.Subject, e.Endpoint), e.Remedy())
}

// Is tells whether the failure is about ErrNotFound, ErrUnusable, ErrDenied or ErrUnsupported, by its code.
func (e *Error) Is(target error) bool {
	m, known := e.meaning()
	return known && m.about == target
}

// meaning returns what the failure's code means: of codes that are not listed, what their family says.
func (e *Error) meaning() (meaning, bool) {
	m, known := meanings[e.Code]
	switch {
	case known:
		return m, true
	case e.SessionEnded():
		return meaning{ErrDenied, unknownKey}, true
	case e.StatusCode == http.StatusForbidden && strings.HasPrefix(e.Code, "Forbidden."):
		return meaning{ErrDenied, noRight}, true
	case e.StatusCode == http.StatusConflict && strings.HasPrefix(e.Code, "Rejected.") && !e.Throttled():
		return meaning{ErrUnusable, "the state of {subject} does not allow this: see its page in the KMS console"}, true
	}
	return meaning{}, false
}

// meaning is what a code of KMS is about, and what to do about it.
type meaning struct {
	about  error  // one of the sentinels, or nil
	remedy string // {subject}, {identity}, {endpoint} and {op} are filled in
}

// meanings of the codes that https://help.aliyun.com/document_detail/69008.html (OpenAPI) and
// https://help.aliyun.com/en/kms/key-management-service/developer-reference/common-error-codes-1 (ClientKey) list, and of those of the gateway before
// the former.
var meanings = map[string]meaning{
	"Forbidden.KeyNotFound":        {ErrNotFound, noKey},
	"Forbidden.KeyVersionNotFound": {ErrNotFound, "check the key version: ListKeyVersions, or the key's page in the console, lists those of {subject}"},
	"Forbidden.AliasNotFound":      {ErrNotFound, "check the alias, and that it is in this region: aliases are written alias/<name>"},
	"Forbidden.ResourceNotFound":   {ErrNotFound, noSecret},
	"ResourceNotFound":             {ErrNotFound, noSecret},

	"Rejected.Disabled":        {ErrUnusable, "enable the key in the KMS console, or use another one"},
	"Rejected.PendingDeletion": {ErrUnusable, "the key will be deleted: cancel that in the KMS console, or use another key"},
	"Rejected.PendingImport":   {ErrUnusable, "the key has no key material yet, or it has expired: import it"},

	"Forbidden.NoPermission":         {ErrDenied, noRight},
	"Forbidden.RAM":                  {ErrDenied, noRight},
	"Forbidden":                      {ErrDenied, noRight},
	"NoPermission":                   {ErrDenied, noRight},
	"Forbidden.AccessKey":            {ErrDenied, "the access key of {identity} is disabled: enable it in RAM, or use another one"},
	"Forbidden.KmsServiceNotEnabled": {ErrDenied, "switch KMS on in the account of {identity}, and the dedicated instance if the key is in one"},
	"Forbidden.InDebt":               {ErrDenied, "the account of {identity} has an overdue bill: pay it"},
	"InvalidAccessKeyId.NotFound":    {ErrDenied, unknownKey},
	"MissingSecurityToken":           {ErrDenied, "the access key is one of an STS session: give its security token, too"},
	"SignatureNotMatch":              {ErrDenied, noClientKey},
	"SignatureDoesNotMatch":          {ErrDenied, "check the access key's secret, and that no proxy changes requests on the way"},
	"IncompleteSignature":            {ErrDenied, "check the access key's secret, and that no proxy changes requests on the way"},

	"UnsupportedOperation": {ErrUnsupported, "check that {subject} is an asymmetric key for SIGN/VERIFY whose spec has this algorithm"},
	"InvalidApiName":       {ErrUnsupported, "{endpoint} does not offer this: check that it is the endpoint of a dedicated KMS instance"},
	"InvalidAction.NotFound": {ErrUnsupported, "{endpoint} does not offer this: dedicated instances only sign, and give public keys and secrets; " +
		"for the rest use the region's shared gateway"},

	"RequestTimeTooSkewed":     {nil, skewed},
	"IllegalTimestamp":         {nil, skewed},
	"InvalidTimeStamp.Expired": {nil, skewed},
	"Rejected.LimitExceeded":   {nil, "a quota of KMS is used up: see its page in the console"},
}

const (
	noKey = "check the key's ID, and that it is in the region and the instance of {endpoint}: a key of a dedicated instance is found at that instance's " +
		"endpoint, and at the region's shared gateway if Internet access to the instance's keys is switched on"
	noSecret = "check the name, the version and the stage of the secret, and that it is in the region and the instance of {endpoint}"
	noRight  = "{identity} needs a RAM policy that allows kms:{op} on {subject}, and a key policy, where there is one, must not exclude it; for a key of a " +
		"dedicated instance at the shared gateway, Internet access to its keys must be switched on"
	unknownKey  = "the access key or session of {identity} is not known there any more: check that the role or key still exists"
	noClientKey = "the client key and {endpoint} must be of the same KMS instance, and the client key not deleted or expired: check both on the page of the " +
		"application access point"
	skewed = "the clock here and the service's differ by more than 15 minutes: check NTP"
)

// Remedy tells what to do, or returns "".
func (e *Error) Remedy() string {
	if m, known := e.meaning(); known {
		remedy := m.remedy
		switch {
		case e.accessPoint && remedy == noRight:
			remedy = "the permission policy of the application access point of {identity} must allow {subject}"
		case e.accessPoint && m.about == ErrDenied:
			remedy = noClientKey
		}
		return strings.NewReplacer("{subject}", e.Subject, "{identity}", e.Identity, "{endpoint}", e.Endpoint, "{op}", e.Op).Replace(remedy)
	}
	switch {
	case e.Incomplete():
		return e.remedyOfWay()
	case e.Throttled():
		return "too many calls of KMS in this account or instance; try again later"
	case e.StatusCode >= 500:
		return "KMS is failing; try again later"
	case e.Err != nil && !errors.Is(e.Err, ErrUnusable):
		return "check that " + e.Endpoint + " is KMS, and HTTPS_PROXY if it is set"
	}
	return ""
}

// remedyOfWay tells what to do when there was no complete answer.
func (e *Error) remedyOfWay() string {
	if !dedicated(e.Endpoint) {
		return endpoint.Remedy(e.Err, e.Endpoint)
	}
	_, unknown := errors.AsType[x509.UnknownAuthorityError](e.Err)
	_, unresolved := errors.AsType[*net.DNSError](e.Err)
	switch {
	case unknown:
		return "its certificate is not signed by an authority that is trusted here: give the instance's CA (PrivateKmsCA_" + instanceOf(e.Endpoint) +
			".pem, from the instance's page in the KMS console) as caBundle of the provider, or to the notation plugin in " + EnvCAFile
	case unresolved, errors.Is(e.Err, context.DeadlineExceeded):
		return endpoint.Remedy(e.Err, e.Endpoint) + "; a dedicated instance's endpoint resolves and answers only in the VPCs that the instance is bound to"
	}
	return endpoint.Remedy(e.Err, e.Endpoint)
}
