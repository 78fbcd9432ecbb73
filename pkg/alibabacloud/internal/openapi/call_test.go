package openapi

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = rrsa.Credential{AccessKeyID: "STS.1", AccessKeySecret: "hush-secret", SecurityToken: "hush-token"}

// ask makes a call, of at most timeout, of a server that answers with handler.
func ask(t *testing.T, timeout time.Duration, handler http.HandlerFunc) ([]byte, reply.Failure, bool, []int) {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	client := NewHTTPClient(server.Client().Transport)
	t.Cleanup(client.CloseIdleConnections)
	var told []int
	caller := &Caller{Service: "svc", HTTP: client, Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
		OnRequest: func(service string, status int) {
			if service != "svc" {
				t.Errorf("told of service %q", service)
			}
			told = append(told, status)
		}}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	body, answered, ok := caller.Do(ctx, Call{Action: "Do", Version: "2016-01-20", Endpoint: strings.TrimPrefix(server.URL, "https://"),
		Region: "cn-hangzhou", Query: map[string]string{"KeyId": "a/b+c=", "Digest": "é"}}, secret)
	return body, answered, ok, told
}

func TestRequest(t *testing.T) {
	var got *http.Request
	body, answered, ok, told := ask(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Content-Type", "text/xml;charset=utf-8") // which the SDK would believe
		fmt.Fprint(w, `{"RequestId":"r","Value":1}`)
	})
	if !ok || string(body) != `{"RequestId":"r","Value":1}` || answered.StatusCode != 200 || answered.RequestID != "r" || fmt.Sprint(told) != "[200]" {
		t.Errorf("%q, %+v, %t, %v", body, answered, ok, told)
	}
	for name, want := range map[string]string{"x-acs-action": "Do", "x-acs-version": "2016-01-20", "x-acs-date": "2026-01-02T03:04:05Z", "x-acs-security-token": "hush-token"} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if q := got.URL.Query(); got.Method != http.MethodPost || q.Get("KeyId") != "a/b+c=" || q.Get("Digest") != "é" ||
		!strings.HasPrefix(got.Header.Get("Authorization"), "ACS3-HMAC-SHA256 Credential=STS.1,") {
		t.Errorf("%s %s, Authorization %s", got.Method, got.URL, got.Header.Get("Authorization"))
	}
}

func TestFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		status  int
		want    string // in the text
		is      error
		passing bool
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"Code":"Forbidden","Message":"hush-secret with hush-token\nis no good","RequestId":"r"}`)
		}, 403, "Forbidden: [redacted] with [redacted] is no good (HTTP 403), RequestId r", nil, false},
		"throttled": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"Code":"Rejected.Throttling"}`)
		}, 400, "Rejected.Throttling (HTTP 400)", nil, true},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, 302, "not a JSON object",
			reply.ErrNotJSON, false},
		"no JSON":        {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hush") }, 200, "not a JSON object", reply.ErrNotJSON, false},
		"a numeric code": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"Code":1}`) }, 200, "not what the API documents", nil, false},
		"no answer":      {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 0, "deadline exceeded", context.DeadlineExceeded, true},
		"a broken answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			fmt.Fprint(w, "{")
		}, 200, "broke off", reply.ErrBrokeOff, false},
	} {
		timeout := time.Minute
		if tc.is == context.DeadlineExceeded {
			timeout = 300 * time.Millisecond
		}
		_, answered, ok, told := ask(t, timeout, tc.handler)
		text := answered.Text("call", "")
		if _, passing := answered.Passing(); ok || answered.StatusCode != tc.status || !strings.Contains(text, tc.want) || strings.Contains(text, "hush") ||
			tc.is != nil && !errors.Is(answered.Err, tc.is) || passing != tc.passing || fmt.Sprint(told) != fmt.Sprintf("[%d]", tc.status) {
			t.Errorf("%s: %t, %s, passing %t, told %v", name, ok, text, passing, told)
		}
		if name == "throttled" && answered.RetryAfter != 7*time.Second {
			t.Errorf("to be repeated after %s", answered.RetryAfter)
		}
	}
}

// The trust is the HTTP client's, whatever another client used the same host with.
func TestTrustIsNotShared(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }))
	t.Cleanup(server.Close)
	nobody := server.Client().Transport.(*http.Transport).Clone()
	nobody.TLSClientConfig.RootCAs = x509.NewCertPool()
	for i, transport := range []http.RoundTripper{server.Client().Transport, nobody} {
		client := NewHTTPClient(transport)
		caller := &Caller{HTTP: client, Now: time.Now, OnRequest: func(string, int) {}}
		_, answered, ok := caller.Do(t.Context(), Call{Action: "Do", Version: "v", Endpoint: strings.TrimPrefix(server.URL, "https://")}, secret)
		client.CloseIdleConnections()
		if ok != (i == 0) {
			t.Errorf("client %d: %t, %v", i, ok, answered.Err)
		}
	}
}

// source counts what is asked of it.
type source struct {
	asked     int
	forgotten []string
}

func (s *source) Credential(context.Context) (rrsa.Credential, error) {
	s.asked++
	if s.asked > 2 {
		return rrsa.Credential{}, errors.New("asked too often")
	}
	return rrsa.Credential{AccessKeyID: fmt.Sprintf("STS.%d", s.asked)}, nil
}
func (s *source) Forget(c rrsa.Credential) { s.forgotten = append(s.forgotten, c.AccessKeyID) }
func (s *source) String() string           { return "source" }

// failed is an error of a call.
type failed struct{ reply.Failure }

func (failed) Error() string { return "failed" }

func TestWithCredential(t *testing.T) {
	for name, tc := range map[string]struct {
		codes     []string // of the calls; "" succeeds
		asked     int
		forgotten string
		fails     bool
	}{
		"success":        {[]string{""}, 1, "[]", false},
		"another error":  {[]string{"Forbidden"}, 1, "[]", true},
		"ended":          {[]string{"InvalidSecurityToken.Expired", ""}, 2, "[STS.1]", false},
		"ended for good": {[]string{"InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.NotFound"}, 2, "[STS.1]", true},
	} {
		s, calls := &source{}, 0
		_, err := WithCredential(t.Context(), s, func(c rrsa.Credential) (int, error) {
			code := tc.codes[calls]
			calls++
			if c.AccessKeyID != fmt.Sprintf("STS.%d", calls) {
				t.Errorf("%s: call %d with %s", name, calls, c)
			}
			if code == "" {
				return 1, nil
			}
			return 0, &failed{reply.Failure{Code: code}}
		})
		if calls != len(tc.codes) || s.asked != tc.asked || fmt.Sprint(s.forgotten) != tc.forgotten || (err != nil) != tc.fails {
			t.Errorf("%s: %d calls, %+v, %v", name, calls, s, err)
		}
	}
	if _, err := WithCredential(t.Context(), &source{asked: 2}, func(rrsa.Credential) (int, error) { return 0, nil }); err == nil {
		t.Error("called without a credential")
	}
}
