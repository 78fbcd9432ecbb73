package rrsa

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestErrors(t *testing.T) {
	clear := func(status int, code, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]string{"RequestId": "REQ-1", "Code": code, "Message": message + r.PostFormValue("OIDCToken")})
		}
	}
	reply := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
	}
	const ok = `{"RequestId":"R","Credentials":{"AccessKeyId":"STS.a","AccessKeySecret":"hush-hush","SecurityToken":"hush","Expiration":"2099-01-01T00:00:00Z"}}`
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		status  int
		words   string // each in the text
	}{
		"audience":     {clear(400, "AuthenticationFail.OIDCToken.AudienceNotMatch", "Invalid audience."), 400, "Invalid audience.|REQ-1|sts.aliyuncs.com"},
		"expired":      {clear(401, "AuthenticationFail.OIDCToken.Expired", "expired"), 401, "clock"},
		"signature":    {clear(401, "AuthenticationFail.OIDCToken.InvalidSignature", ""), 401, EnvOIDCProviderARN},
		"issuer":       {clear(401, "AuthenticationFail.OIDCToken.IssuerNotMatch", ""), 401, "another cluster"},
		"trust policy": {clear(401, "AuthenticationFail.NoPermission", "There is no permission"), 401, "trust policy|system:serviceaccount"},
		"provider":     {clear(401, "AuthenticationFail.NoPermission", "No such OIDC Provider registered."), 401, "enable RRSA"},
		"role":         {clear(404, "EntityNotExist.Role", "The role not exists"), 404, "role-name"},
		"unknown code": {clear(418, "Odd.Code", "odd"), 418, "Odd.Code|odd|418"},
		"no code":      {clear(418, "", ""), 418, "HTTP 418"},
		"throttled":    {clear(429, "Throttling.User", ""), 429, "too many calls"},
		"failing":      {clear(500, "InternalError", ""), 500, "STS is failing"},
		"html":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503); fmt.Fprint(w, "<html>") }, 503, "not a JSON object|proxy"},
		"html 200":     {reply("<html>"), 200, "not a JSON object|HTTPS_PROXY"},
		"array":        {reply("[]"), 200, "not a JSON object"},
		"wrong types":  {reply(`{"Credentials":"none"}`), 200, "not what STS documents"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
		}, 307, "307"},
		"no key":    {reply(strings.Replace(ok, "STS.a", "", 1)), 200, "no Credentials.AccessKeyId"},
		"no secret": {reply(strings.Replace(ok, "hush-hush", "", 1)), 200, "no Credentials.AccessKeySecret"},
		"no token":  {reply(strings.Replace(ok, `"hush"`, `""`, 1)), 200, "no Credentials.SecurityToken"},
		"no end":    {reply(strings.Replace(ok, "Expiration", "X", 1)), 200, "no Credentials.Expiration"},
		"odd end":   {reply(strings.Replace(ok, "2099-01-01T00:00:00Z", "hush", 1)), 200, "Expiration is not a time"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, 200, "more than 1048576 bytes"},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, 200, "broke off"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, tc.handler, nil)
			_, err := p.Credential(t.Context())
			var failed *Error
			if !errors.As(err, &failed) || failed.StatusCode != tc.status {
				t.Fatalf("got %v, want *Error with status %d", err, tc.status)
			}
			for _, word := range append(strings.Split(tc.words, "|"), p.Endpoint(), "acs:ram::1:role/r", "AssumeRoleWithOIDC") {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%v lacks %q", err, word)
				}
			}
			for _, secret := range []string{"very-secret", "hush"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%v shows a secret", err)
				}
			}
		})
	}
}
