package sts

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/openapi"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
)

const (
	version = "2015-04-01"
	action  = "AssumeRoleWithOIDC"

	minDuration     = 900  // seconds
	maxDuration     = 3600 // seconds; the role's MaxSessionDuration
	defaultDuration = 3600 // seconds

	minToken = 4     // characters
	maxToken = 20000 // characters

	expirationFormat = "2006-01-02T15:04:05Z"
)

var (
	arn         = regexp.MustCompile(`^acs:ram::[0-9]+:(role|oidc-provider)/[A-Za-z0-9._/-]+$`)
	sessionName = regexp.MustCompile(`^[A-Za-z0-9.@_-]{2,64}$`)
)

// Service answers under one of the service's host names.
type Service struct {
	Host      string // for HostId
	Directory *ram.Directory
	// Lifetime is that of the sessions handed out, whatever is asked for; 0: as asked for.
	Lifetime time.Duration
}

// Action returns the parameter Action, which clients send in the query or in the body.
func (s *Service) Action(r *http.Request) string {
	// A body that cannot be parsed is refused below.
	_ = r.ParseForm()
	return r.Form.Get("Action")
}

// ServeHTTP answers a request. It is unsigned: the OIDC token is all that a caller has.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := openapi.NewRequestID()
	reply, err := s.call(r)
	if err != nil {
		openapi.WriteError(w, s.Host, id, err)
		return
	}
	openapi.WriteReply(w, id, reply)
}

func (s *Service) call(r *http.Request) (map[string]any, *openapi.Error) {
	if err := r.ParseForm(); err != nil {
		return nil, refusal(http.StatusBadRequest, "InvalidParameter", err.Error())
	}
	switch {
	case r.Form.Get("Version") != version:
		return nil, refusal(http.StatusBadRequest, "InvalidVersion", "Specified parameter Version is not valid.")
	case r.URL.Path != "/" || s.Action(r) != action:
		return nil, refusal(http.StatusNotFound, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
	case r.Form.Has("Format") && r.Form.Get("Format") != "JSON":
		return nil, refusal(http.StatusBadRequest, "InvalidParameter.Format", "The emulator answers in JSON only.")
	}
	return s.assume(r.Form)
}

func (s *Service) assume(form url.Values) (map[string]any, *openapi.Error) {
	for _, name := range []string{"RoleArn", "OIDCProviderArn", "OIDCToken", "RoleSessionName"} {
		if form.Get(name) == "" {
			return nil, refusal(http.StatusBadRequest, "Missing"+name, name+" is mandatory for this action.")
		}
	}
	seconds, err := strconv.Atoi(cmp.Or(form.Get("DurationSeconds"), strconv.Itoa(defaultDuration)))
	role, provider, token, session := form.Get("RoleArn"), form.Get("OIDCProviderArn"), form.Get("OIDCToken"), form.Get("RoleSessionName")
	switch {
	case err != nil || seconds < minDuration || seconds > maxDuration:
		return nil, refusal(http.StatusBadRequest, "InvalidParameter.DurationSeconds", "The Min/Max value of DurationSeconds is 15min/1hr.")
	case !arn.MatchString(role):
		return nil, refusal(http.StatusBadRequest, "InvalidParameter.RoleArn", "The parameter RoleArn is wrongly formed.")
	case !arn.MatchString(provider):
		return nil, refusal(http.StatusBadRequest, "InvalidParameter.OIDCProviderArn", "The parameter OIDCProviderArn is wrongly formed.")
	case !sessionName.MatchString(session):
		return nil, refusal(http.StatusBadRequest, "InvalidParameter.RoleSessionName", "The parameter RoleSessionName is wrongly formed.")
	case len(token) < minToken || len(token) > maxToken:
		return nil, refusal(http.StatusBadRequest, "InvalidParameter.OIDCToken", "The length of the parameter OIDCToken must be between 4 and 20000.")
	case role != ram.RoleARN:
		return nil, refusal(http.StatusNotFound, "EntityNotExist.Role", "The role not exists: "+role+".")
	case provider != ram.ProviderARN:
		return nil, refusal(http.StatusUnauthorized, "AuthenticationFail.NoPermission", "No such OIDC Provider registered.")
	}
	claims, err := s.Directory.Issuer.Authorize(token)
	if err != nil {
		return nil, tokenRefusal(err)
	}
	lifetime := cmp.Or(s.Lifetime, time.Duration(seconds)*time.Second)
	assumed := s.Directory.NewSession(session, lifetime)
	return map[string]any{
		"OIDCTokenInfo": map[string]any{
			"Subject":            claims.Subject,
			"Issuer":             claims.Issuer,
			"ClientIds":          ram.Audience,
			"ExpirationTime":     claims.Expiry.Time().UTC().Format(expirationFormat),
			"VerificationInfo":   "Success",
			"IssuanceTime":       claims.IssuedAt.Time().UTC().Format(expirationFormat),
			"RegisteredClientId": ram.Audience,
		},
		"AssumedRoleUser": map[string]any{"AssumedRoleId": assumed.RoleID, "Arn": assumed.ARN},
		"Credentials": map[string]any{
			"AccessKeyId":     assumed.AccessKeyID,
			"AccessKeySecret": assumed.AccessKeySecret,
			"SecurityToken":   assumed.SecurityToken,
			"Expiration":      assumed.Expires.Format(expirationFormat),
		},
	}, nil
}

// tokenRefusal is what the service answers if it does not accept a token.
func tokenRefusal(err error) *openapi.Error {
	code, message := "AuthenticationFail.OIDCToken.Invalid", "The Jwt content is invalid that cannot be recognized."
	switch {
	case errors.Is(err, ram.ErrIssuer):
		code, message = "AuthenticationFail.OIDCToken.IssuerNotMatch", "Invalid issuer."
	case errors.Is(err, ram.ErrSignature):
		code, message = "AuthenticationFail.OIDCToken.InvalidSignature", "OIDC token validate failed: invalid signature."
	case errors.Is(err, ram.ErrAudience):
		code, message = "AuthenticationFail.OIDCToken.AudienceNotMatch", "Invalid audience."
	case errors.Is(err, ram.ErrExpired):
		code, message = "AuthenticationFail.OIDCToken.Expired", "This JsonWebToken is expired."
	case errors.Is(err, ram.ErrSubject):
		code, message = "AuthenticationFail.NoPermission", "There is no permission"
	}
	return refusal(http.StatusUnauthorized, code, message)
}

func refusal(status int, code, message string) *openapi.Error {
	return &openapi.Error{Status: status, Code: code, Message: message}
}
