package sts_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/sts"
)

type answer struct {
	Code, Message, RequestId, HostId string
	AssumedRoleUser                  struct{ AssumedRoleId, Arn string }
	Credentials                      struct{ AccessKeyId, AccessKeySecret, SecurityToken, Expiration string }
}

func start(t *testing.T, lifetime time.Duration) (*ram.Directory, string) {
	t.Helper()
	directory, err := ram.NewDirectory(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&sts.Service{Host: "sts.aliyuncs.com", Directory: directory, Lifetime: lifetime})
	t.Cleanup(server.Close)
	return directory, server.URL
}

// good returns the query and the body of a request that succeeds.
func good(t *testing.T, directory *ram.Directory) (query, body url.Values) {
	t.Helper()
	token, err := directory.Issuer.Token(ram.TokenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{"Action": {"AssumeRoleWithOIDC"}, "Version": {"2015-04-01"}, "Format": {"JSON"}},
		url.Values{"RoleArn": {ram.RoleARN}, "OIDCProviderArn": {ram.ProviderARN}, "OIDCToken": {token}, "RoleSessionName": {"test"}}
}

func post(t *testing.T, at string, query, body url.Values) (int, answer) {
	t.Helper()
	response, err := http.Post(at+"/?"+query.Encode(), "application/x-www-form-urlencoded", strings.NewReader(body.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return response.StatusCode, a
}

func TestSessions(t *testing.T) {
	directory, at := start(t, 0)
	query, body := good(t, directory)
	body.Set("DurationSeconds", "900")
	body.Set("OIDCToken", body.Get("OIDCToken")+"\n") // as SDKs send the file
	status, a := post(t, at, query, body)
	if status != http.StatusOK || a.RequestId == "" || a.AssumedRoleUser.Arn != ram.RoleARN+"/test" {
		t.Fatalf("got %d %+v", status, a)
	}
	expires, err := time.Parse("2006-01-02T15:04:05Z", a.Credentials.Expiration)
	if left := time.Until(expires); err != nil || left > 15*time.Minute || left < 14*time.Minute {
		t.Errorf("Expiration %s (%v), want in 15 minutes", a.Credentials.Expiration, err)
	}
	caller, secret, err := directory.Identify(a.Credentials.AccessKeyId, a.Credentials.SecurityToken)
	if err != nil || secret != a.Credentials.AccessKeySecret || caller.Role != ram.RoleName || caller.Session != "test" {
		t.Errorf("Identify: %+v, error %v", caller, err)
	}
}

func TestParametersInTheQuery(t *testing.T) {
	directory, at := start(t, time.Minute)
	query, body := good(t, directory)
	for _, name := range []string{"RoleArn", "OIDCProviderArn", "RoleSessionName"} {
		query.Set(name, body.Get(name))
		body.Del(name)
	}
	status, a := post(t, at, query, body)
	expires, _ := time.Parse(time.RFC3339, a.Credentials.Expiration)
	if status != http.StatusOK || time.Until(expires) > time.Minute {
		t.Errorf("got %d, end %s, want the configured lifetime of a minute", status, a.Credentials.Expiration)
	}
}

func TestRefusals(t *testing.T) {
	directory, at := start(t, 0)
	token := func(o ram.TokenOptions) func(query, body url.Values) {
		return func(_, body url.Values) {
			text, err := directory.Issuer.Token(o)
			if err != nil {
				t.Fatal(err)
			}
			body.Set("OIDCToken", text)
		}
	}
	set := func(name, value string) func(query, body url.Values) {
		return func(_, body url.Values) { body.Set(name, value) }
	}
	inQuery := func(name, value string) func(query, body url.Values) {
		return func(query, _ url.Values) { query.Set(name, value) }
	}
	const unsigned = "eyJhbGciOiJub25lIn0.e30."
	tests := []struct {
		name   string
		change func(query, body url.Values)
		status int
		code   string
		text   string
	}{
		{"audience", token(ram.TokenOptions{Audience: "kubernetes"}), 401, "AuthenticationFail.OIDCToken.AudienceNotMatch", "Invalid audience."},
		{"expired", token(ram.TokenOptions{TTL: -time.Minute}), 401, "AuthenticationFail.OIDCToken.Expired", "expired"},
		{"issuer", token(ram.TokenOptions{Issuer: "https://other.example.com"}), 401, "AuthenticationFail.OIDCToken.IssuerNotMatch", "issuer"},
		{"signature", token(ram.TokenOptions{BadSignature: true}), 401, "AuthenticationFail.OIDCToken.InvalidSignature", "invalid signature"},
		{"subject", token(ram.TokenOptions{Subject: "system:serviceaccount:default:default"}), 401, "AuthenticationFail.NoPermission", "There is no permission"},
		{"no JWT", set("OIDCToken", "nonsense"), 401, "AuthenticationFail.OIDCToken.Invalid", "Jwt"},
		{"algorithm none", set("OIDCToken", unsigned), 401, "AuthenticationFail.OIDCToken.Invalid", "Jwt"},
		{"no token", set("OIDCToken", ""), 400, "MissingOIDCToken", "OIDCToken"},
		{"long token", set("OIDCToken", strings.Repeat("x", 20001)), 400, "InvalidParameter.OIDCToken", "20000"},
		{"another provider", set("OIDCProviderArn", ram.ProviderARN+"x"), 401, "AuthenticationFail.NoPermission", "No such OIDC Provider"},
		{"provider's form", set("OIDCProviderArn", "ack-rrsa"), 400, "InvalidParameter.OIDCProviderArn", "wrongly formed"},
		{"another role", set("RoleArn", "acs:ram::1:role/other"), 404, "EntityNotExist.Role", "acs:ram::1:role/other"},
		{"role's form", set("RoleArn", "ratify"), 400, "InvalidParameter.RoleArn", "wrongly formed"},
		{"session name", set("RoleSessionName", "a b"), 400, "InvalidParameter.RoleSessionName", "wrongly formed"},
		{"short session", set("DurationSeconds", "899"), 400, "InvalidParameter.DurationSeconds", "15min"},
		{"long session", set("DurationSeconds", "3601"), 400, "InvalidParameter.DurationSeconds", "1hr"},
		{"no number", set("DurationSeconds", "1h"), 400, "InvalidParameter.DurationSeconds", "15min"},
		{"action", inQuery("Action", "AssumeRole"), 404, "InvalidAction.NotFound", "api is not found"},
		{"version", inQuery("Version", "2014-04-01"), 400, "InvalidVersion", "Version"},
		{"format", inQuery("Format", "XML"), 400, "InvalidParameter.Format", "JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			query, body := good(t, directory)
			test.change(query, body)
			status, a := post(t, at, query, body)
			if status != test.status || a.Code != test.code || !strings.Contains(a.Message, test.text) {
				t.Errorf("got %d %s: %s, want %d %s: … %s …", status, a.Code, a.Message, test.status, test.code, test.text)
			}
			if a.RequestId == "" || a.HostId != "sts.aliyuncs.com" || a.Credentials.AccessKeyId != "" {
				t.Error("the error's body is incomplete: " + fmt.Sprintf("%+v", a))
			}
		})
	}
}
