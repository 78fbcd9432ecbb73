package openapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/acs3"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
)

const (
	// maxBody bounds a request's body. API parameters are at most some kilobytes.
	maxBody = 1 << 20
	// maxSkew is how far x-acs-date may be from the gateway's clock.
	maxSkew = 15 * time.Minute
	// dateFormat is the form of x-acs-date: ISO 8601 in UTC without fraction.
	dateFormat = "2006-01-02T15:04:05Z"
)

// Operation answers one action. Its error is an *Error, or means that the emulator itself failed.
type Operation func(caller ram.Principal, parameters url.Values) (map[string]any, error)

// Gateway serves the operations of one product under one host name.
type Gateway struct {
	Host       string // for HostId
	Version    string // of the API, such as 2018-12-01
	Operations map[string]Operation
	Directory  *ram.Directory
	Now        func() time.Time
}

// Action returns the value of x-acs-action.
func (g *Gateway) Action(r *http.Request) string { return r.Header.Get("x-acs-action") }

// ServeHTTP authenticates a request and answers it.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := NewRequestID()
	reply, err := g.call(r)
	if refusal, ok := errors.AsType[*Error](err); ok {
		WriteError(w, g.Host, id, refusal)
		return
	}
	if err != nil {
		WriteError(w, g.Host, id, &Error{Status: http.StatusInternalServerError, Code: "InternalError", Message: err.Error()})
		return
	}
	WriteReply(w, id, reply)
}

func (g *Gateway) call(r *http.Request) (map[string]any, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLarge", Message: "The request body is too large."}
	}
	caller, err := g.authenticate(r, body)
	if err != nil {
		return nil, err
	}
	if r.Header.Get("x-acs-version") != g.Version {
		return nil, &Error{Status: http.StatusBadRequest, Code: "InvalidVersion", Message: "Specified parameter Version is not valid."}
	}
	operation, found := g.Operations[g.Action(r)]
	if !found || r.URL.Path != "/" || r.Method != http.MethodPost && r.Method != http.MethodGet {
		return nil, &Error{Status: http.StatusNotFound, Code: "InvalidAction.NotFound",
			Message: "Specified api is not found, please check your url and method."}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err := r.ParseForm(); err != nil {
		return nil, &Error{Status: http.StatusBadRequest, Code: "InvalidParameter", Message: err.Error()}
	}
	return operation(caller, r.Form)
}

// authenticate returns who signed the request. The codes are those of
// https://api.alibabacloud.com/document/Public (common error codes).
func (g *Gateway) authenticate(r *http.Request, body []byte) (ram.Principal, error) {
	refuse := func(status int, code, message string) (ram.Principal, error) {
		return ram.Principal{}, &Error{Status: status, Code: code, Message: message}
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return refuse(http.StatusBadRequest, "MissingAccessKeyId", "AccessKeyId is mandatory for this action.")
	}
	auth, err := acs3.Parse(header)
	if err != nil {
		return refuse(http.StatusBadRequest, "IncompleteSignature", "The request signature does not conform to Aliyun standards. "+err.Error())
	}
	date, err := time.Parse(dateFormat, r.Header.Get("x-acs-date"))
	if err != nil {
		return refuse(http.StatusBadRequest, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
	}
	if g.Now().Sub(date).Abs() > maxSkew {
		return refuse(http.StatusBadRequest, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
	}
	caller, secret, err := g.Directory.Identify(auth.AccessKeyID, r.Header.Get("x-acs-security-token"))
	switch {
	case errors.Is(err, ram.ErrUnknownKey):
		return refuse(http.StatusNotFound, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
	case errors.Is(err, ram.ErrTokenMissing):
		return refuse(http.StatusBadRequest, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
	case errors.Is(err, ram.ErrTokenUnexpected):
		return refuse(http.StatusBadRequest, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")
	case errors.Is(err, ram.ErrTokenMismatch):
		return refuse(http.StatusBadRequest, "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken mismatch with the AccessKey.")
	case errors.Is(err, ram.ErrTokenExpired):
		return refuse(http.StatusBadRequest, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
	}
	err = auth.Verify(r, body, secret)
	switch {
	case errors.Is(err, acs3.ErrIncomplete):
		return refuse(http.StatusBadRequest, "IncompleteSignature", "The request signature does not conform to Aliyun standards. "+err.Error())
	case errors.Is(err, acs3.ErrMismatch):
		return refuse(http.StatusBadRequest, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation. server CanonicalRequest is:"+
			acs3.CanonicalRequest(r, body, auth.SignedHeaders))
	}
	nonce := r.Header.Get("x-acs-signature-nonce")
	if nonce == "" {
		return refuse(http.StatusBadRequest, "MissingSignatureNonce", "SignatureNonce is mandatory for this action.")
	}
	// A request older than the accepted skew is refused by its date, so that its nonce need not be remembered any longer.
	if !g.Directory.UseNonce(auth.AccessKeyID, nonce, 2*maxSkew) {
		return refuse(http.StatusBadRequest, "SignatureNonceUsed", "Specified signature nonce was used already.")
	}
	return caller, nil
}
