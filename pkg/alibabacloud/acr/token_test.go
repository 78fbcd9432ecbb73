package acr

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

const demoHost = "demo-registry.cn-hangzhou.cr.aliyuncs.com"

func TestToken(t *testing.T) {
	s := newService(t)
	s.answer(opToken, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "InstanceId=cri-demo" || r.Header.Get("x-acs-version") != "2018-12-01" || r.Header.Get("x-acs-security-token") != "hush-token-1" ||
			r.Header.Get("x-acs-credentials-provider") != "oidc_role_arn" || !strings.HasPrefix(r.Header.Get("Authorization"), "ACS3-HMAC-SHA256 Credential=STS.1,") {
			t.Errorf("request %s %v", r.URL, r.Header)
		}
		body(200, goodToken())(w, r)
	})
	c := s.client(t, "defaultInstanceId: cri-demo")
	token, err := c.Token(t.Context(), demoHost)
	if err != nil || token.InstanceID != "cri-demo" || token.Username != "cr_temp_user" || token.Password != "hush-password" ||
		time.Until(token.Expires) > time.Hour-maxMargin || time.Until(token.Expires) < 59*time.Minute {
		t.Fatalf("got %+v ending %s, %v", token, token.Expires, err)
	}
	text := fmt.Sprintf("%v %+v %#v %s", token, token, token, slog.AnyValue(token).Resolve())
	if strings.Contains(text, "hush") || !strings.Contains(text, "cri-demo") {
		t.Error(text)
	}
	if n := s.count("cr.cn-hangzhou.aliyuncs.com GetAuthorizationToken"); n != 1 {
		t.Errorf("%d calls at the endpoint", n)
	}
}

func TestTokenErrors(t *testing.T) {
	failure := func(status int, code, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { // services repeat what was signed, session token included
			body(status, fields{"RequestId": "REQ-9", "HostId": "cr", "Code": code, "Message": message + " " + r.Header.Get("x-acs-security-token"),
				"IsSuccess": false})(w, r)
		}
	}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		status  int
		words   string
	}{
		"no permission":        {failure(403, "NoPermission", "You are not authorized"), 403, "cr:GetAuthorizationToken|role acs:ram::1:role/r|REQ-9|You are not authorized"},
		"forbidden":            {failure(403, "Forbidden.RAM", ""), 403, "cr:GetAuthorizationToken"},
		"no privilege":         {failure(200, "NoPrivilege", "Access denied for this user."), 200, "cr:GetAuthorizationToken"},
		"no instance":          {failure(404, "INSTANCE_NOT_EXIST", "instance is not exist"), 404, "cri-demo|region cn-hangzhou|acrInstancesConfig|REQ-9"},
		"no instance, 200":     {body(200, fields{"RequestId": "REQ-9", "Code": "INSTANCE_NOT_EXIST", "IsSuccess": false}), 200, "region cn-hangzhou|REQ-9"},
		"signature":            {failure(400, "SignatureDoesNotMatch", ""), 400, "access key's secret"},
		"clock":                {failure(400, "InvalidTimeStamp.Expired", ""), 400, "NTP"},
		"throttled":            {failure(429, "Throttling.User", ""), 429, "too many calls"},
		"throttled as 400":     {failure(400, "Throttling", ""), 400, "too many calls"},
		"failing":              {failure(500, "SystemError", "Unknown error."), 500, "the service is failing"},
		"unknown code":         {failure(418, "Odd", "odd"), 418, "Odd: odd"},
		"no code":              {body(200, fields{"IsSuccess": false}), 200, "no error code"},
		"session gone":         {failure(403, "InvalidSecurityToken.Expired", ""), 403, "check that the role or key still exists"},
		"not successful":       {body(200, goodToken().with("IsSuccess", false).with("Code", "Odd")), 200, "Odd"},
		"odd code, successful": {body(200, goodToken().with("Code", "Odd")), 200, "Odd"},
		"no IsSuccess":         {body(200, goodToken().with("IsSuccess", nil)), 200, "no IsSuccess"},
		"no user":              {body(200, goodToken().with("TempUsername", "")), 200, "no TempUsername"},
		"no password":          {body(200, goodToken().with("AuthorizationToken", nil)), 200, "no AuthorizationToken"},
		"no end":               {body(200, goodToken().with("ExpireTime", nil)), 200, "no ExpireTime"},
		"negative end":         {body(200, goodToken().with("ExpireTime", -1)), 200, "no ExpireTime"},
		"ended":                {body(200, goodToken().with("ExpireTime", 1571242083000)), 200, "2019-10-16T16:08:03Z|clock"},
		"wrong type":           {body(200, goodToken().with("ExpireTime", "tomorrow")), 200, "not what the API documents"},
		"wrong type of Code":   {body(200, goodToken().with("Code", 7)), 200, "not what the API documents"},
		"array":                {body(200, []int{1}), 200, "not a JSON object"},
		"null":                 {body(200, nil), 200, "not a JSON object"},
		"html":                 {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503); fmt.Fprint(w, "<html>hush") }, 503, "503|not a JSON object|proxy"},
		"html 200":             {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hush") }, 200, "not a JSON object|HTTPS_PROXY"},
		"xml announced": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/xml;charset=utf-8")
			w.WriteHeader(403)
			fmt.Fprint(w, `{"Code":"NoPermission","RequestId":"REQ-9"}`)
		}, 403, "NoPermission|REQ-9"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
		}, 307, "307"},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, 200, "broke off"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.answer(opToken, tc.handler)
			_, err := s.client(t, "{defaultInstanceId: cri-demo, timeout: 1s}").Token(t.Context(), demoHost)
			var failed *Error
			if !errors.As(err, &failed) || failed.StatusCode != tc.status || failed.InstanceID != "cri-demo" {
				t.Fatalf("got %v, want *Error with status %d", err, tc.status)
			}
			for _, word := range append(strings.Split(tc.words, "|"), demoHost, "cri-demo", "cr.cn-hangzhou.aliyuncs.com", opToken, "default") {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%v lacks %q", err, word)
				}
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("%v shows a secret", err)
			}
		})
	}
}

func TestIdentityErrors(t *testing.T) {
	s := newService(t)
	s.answer("AssumeRoleWithOIDC", body(401, fields{"Code": "AuthenticationFail.NoPermission", "RequestId": "REQ-1", "Message": "There is no permission"}))
	_, err := s.client(t, "defaultInstanceId: cri-demo").Token(t.Context(), demoHost)
	var failed *rrsa.Error
	if !errors.As(err, &failed) || failed.RequestID != "REQ-1" || !strings.Contains(err.Error(), "trust policy") || !strings.Contains(err.Error(), demoHost) {
		t.Errorf("got %v", err)
	}
	t.Setenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
	c := s.client(t, "defaultInstanceId: cri-demo")
	if _, err = c.Token(t.Context(), demoHost); !errors.Is(err, rrsa.ErrNoIdentity) || !strings.Contains(err.Error(), "ALIBABA_CLOUD_OIDC_TOKEN_FILE") ||
		!strings.Contains(err.Error(), "{type: access_key}") {
		t.Errorf("incomplete identity: %v", err)
	}
	if _, err = c.Token(t.Context(), "docker.io"); !errors.Is(err, ErrNotCovered) {
		t.Errorf("without identity, docker.io: %v", err)
	}
}

func TestSessionEndsEarly(t *testing.T) {
	s := newService(t)
	s.answer(opToken, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-acs-security-token") == "hush-token-1" {
			body(403, fields{"Code": "InvalidSecurityToken.Expired", "RequestId": "R"})(w, r)
			return
		}
		body(200, goodToken())(w, r)
	})
	if _, err := s.client(t, "defaultInstanceId: cri-demo").Token(t.Context(), demoHost); err != nil {
		t.Error(err)
	}
	if n := s.count("sts.aliyuncs.com AssumeRoleWithOIDC"); n != 2 {
		t.Errorf("%d sessions, want 2", n)
	}
}

func TestLyingExpiry(t *testing.T) {
	now := time.Now()
	token, err := readToken([]byte(`{"TempUsername":"u","AuthorizationToken":"p","ExpireTime":9000000000000000}`), now)
	if err != nil || token.Expires.Sub(now) > maxLife {
		t.Errorf("got %s, %v", token.Expires, err)
	}
	token, err = readToken(fmt.Appendf(nil, `{"TempUsername":"u","AuthorizationToken":"p","ExpireTime":%d}`, now.Add(10*time.Second).UnixMilli()), now)
	if left := token.Expires.Sub(now); err != nil || left > 9*time.Second || left < 8*time.Second {
		t.Errorf("10 s: %s, %v; want a tenth as margin", left, err)
	}
}
