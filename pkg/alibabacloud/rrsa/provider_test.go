package rrsa

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secretToken = "eyJhbGciOiJSUzI1NiJ9.very-secret.c2ln"

// newProvider returns a Provider that talks to handler over TLS, with a token file.
func newProvider(t *testing.T, handler http.HandlerFunc, edit func(*Config)) *Provider {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "token")
	writeFile(t, file, "\n"+secretToken+"\n")
	c := complete()
	c.TokenFile, c.Endpoint, c.Transport, c.Timeout = file, server.Listener.Addr().String(), server.Client().Transport, 5*time.Second
	c.Log = slog.New(slog.DiscardHandler)
	if edit != nil {
		edit(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// session writes a reply with the n-th session.
func session(w http.ResponseWriter, n int32, expires time.Time) {
	fmt.Fprintf(w, `{"RequestId":"R","Credentials":{"AccessKeyId":"STS.%d","AccessKeySecret":"secret-%d","SecurityToken":"token-%d","Expiration":%q}}`,
		n, n, n, expires.UTC().Format(time.RFC3339))
}

func TestRequest(t *testing.T) {
	type seen struct {
		method, query, contentType, authorization string
		form                                      map[string][]string
	}
	got := make(chan seen, 1)
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		s := seen{method: r.Method, query: r.URL.RawQuery, contentType: r.Header.Get("Content-Type"), authorization: r.Header.Get("Authorization")}
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		s.form = r.PostForm
		got <- s
		session(w, 1, time.Now().Add(time.Hour))
	}, func(c *Config) { c.Now = func() time.Time { return time.Date(2026, 11, 21, 8, 12, 35, 0, time.UTC) } })
	c, err := p.Credential(t.Context())
	if err != nil || c.AccessKeyID != "STS.1" || c.AccessKeySecret != "secret-1" || c.SecurityToken != "token-1" {
		t.Fatalf("got %v, %v", c, err)
	}
	s := <-got
	if s.method != "POST" || s.query != "Action=AssumeRoleWithOIDC&Format=JSON&Timestamp=2026-11-21T08%3A12%3A35Z&Version=2015-04-01" ||
		s.contentType != "application/x-www-form-urlencoded" || s.authorization != "" {
		t.Errorf("request %+v", s)
	}
	want := fmt.Sprint(map[string][]string{"RoleArn": {"acs:ram::1:role/r"}, "OIDCProviderArn": {"acs:ram::1:oidc-provider/p"},
		"OIDCToken": {secretToken}, "RoleSessionName": {"ratify"}, "DurationSeconds": {"3600"}})
	if fmt.Sprint(s.form) != want {
		t.Errorf("body %v, want %v", s.form, want)
	}
}

func TestTokenFile(t *testing.T) {
	var tokens []string
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		tokens = append(tokens, r.PostFormValue("OIDCToken"))
		session(w, int32(len(tokens)), time.Now().Add(time.Hour))
	}, nil)
	first, err := p.Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, p.cfg.TokenFile, "rotated\r\n")
	p.Forget(first)
	if _, err := p.Credential(t.Context()); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(tokens) != fmt.Sprint([]string{secretToken, "rotated"}) {
		t.Errorf("sent %q", tokens)
	}
	for want, change := range map[string]func(){
		"is empty":            func() { writeFile(t, p.cfg.TokenFile, " \n") },
		"more than the 20000": func() { writeFile(t, p.cfg.TokenFile, strings.Repeat("x", 20001)) },
		"no such file":        func() { p.cfg.TokenFile += ".gone" },
	} {
		change()
		p.Forget(Credential{AccessKeyID: "STS.2"})
		if _, err := p.Credential(t.Context()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), EnvOIDCTokenFile) {
			t.Errorf("got %v, want %q and the variable's name", err, want)
		}
		p.cfg.TokenFile = strings.TrimSuffix(p.cfg.TokenFile, ".gone")
	}
}

func TestOneCallForAll(t *testing.T) {
	var calls atomic.Int32
	p := newProvider(t, func(w http.ResponseWriter, _ *http.Request) { session(w, calls.Add(1), time.Now().Add(time.Hour)) }, nil)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if c, err := p.Credential(t.Context()); err != nil || c.AccessKeyID != "STS.1" {
				t.Errorf("got %v, %v", c, err)
			}
		})
	}
	wg.Wait()
	if calls.Load() != 1 {
		t.Errorf("%d calls, want 1", calls.Load())
	}
}

func TestServedWhileRenewalFails(t *testing.T) {
	start := time.Now()
	var offset atomic.Int64
	now := func() time.Time { return start.Add(time.Duration(offset.Load())) }
	var calls atomic.Int32
	logged := make(chan string, 10)
	p := newProvider(t, func(w http.ResponseWriter, _ *http.Request) {
		if n := calls.Add(1); n == 1 {
			session(w, n, now().Add(time.Hour))
			return
		}
		http.Error(w, `{"Code":"EntityNotExist.Role","Message":"The role not exists."}`, http.StatusNotFound)
	}, func(c *Config) {
		c.Now, c.Log = now, slog.New(slog.NewTextHandler(lines(logged), nil))
	})
	for _, after := range []time.Duration{0, 50 * time.Minute} {
		offset.Store(int64(after))
		if c, err := p.Credential(t.Context()); err != nil || c.AccessKeyID != "STS.1" {
			t.Fatalf("after %s: %v, %v", after, c, err)
		}
	}
	if line := <-logged; !strings.Contains(line, "EntityNotExist.Role") || strings.Contains(line, "secret") {
		t.Errorf("logged %s", line)
	}
	offset.Store(int64(time.Hour))
	var failed *Error
	if c, err := p.Credential(t.Context()); !errors.As(err, &failed) {
		t.Errorf("after its end: %v, %v; want *Error", c, err)
	}
}

// lines is a writer that hands on what is written.
type lines chan string

func (l lines) Write(p []byte) (int, error) { l <- string(p); return len(p), nil }

func TestExpired(t *testing.T) {
	p := newProvider(t, func(w http.ResponseWriter, _ *http.Request) { session(w, 1, time.Now().Add(-time.Minute)) }, nil)
	if c, err := p.Credential(t.Context()); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestRetry(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		header string
		calls  int32
	}{
		"service fails": {status: 500, calls: 2},
		"throttled":     {status: 429, header: "0", calls: 2},
		"asked to wait": {status: 429, header: "3600", calls: 1},
		"for good":      {status: 401, calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			var statuses sync.Map
			p := newProvider(t, func(w http.ResponseWriter, _ *http.Request) {
				if n := calls.Add(1); n > 1 {
					session(w, n, time.Now().Add(time.Hour))
					return
				}
				if tc.header != "" {
					w.Header().Set("Retry-After", tc.header)
				}
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, "{}")
			}, func(c *Config) { c.OnRequest = func(service string, status int) { statuses.Store(service, status) } })
			_, err := p.Credential(t.Context())
			if calls.Load() != tc.calls || (err == nil) != (tc.calls > 1) {
				t.Errorf("%d calls, %v; want %d", calls.Load(), err, tc.calls)
			}
			if last, _ := statuses.Load("sts"); (last == 200) != (tc.calls > 1) {
				t.Errorf("OnRequest was told %v last", last)
			}
		})
	}
}

func TestHang(t *testing.T) {
	release := make(chan struct{})
	p := newProvider(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}, func(c *Config) { c.Timeout = 300 * time.Millisecond })
	defer close(release)
	for name, timeout := range map[string]time.Duration{"of the caller": 50 * time.Millisecond, "of the provider": time.Minute} {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		_, err := p.Credential(ctx)
		cancel()
		var failed *Error
		if !errors.As(err, &failed) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), p.Endpoint()) {
			t.Errorf("deadline %s: %v; want *Error with the endpoint", name, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	p := newProvider(t, nil, func(c *Config) { c.Transport = &http.Transport{} }) // does not trust the server
	if _, err := p.Credential(t.Context()); err == nil || !strings.Contains(err.Error(), "SSL_CERT_FILE") {
		t.Errorf("untrusted: %v", err)
	}
	p = newProvider(t, nil, func(c *Config) { c.Endpoint = "127.0.0.1:1" })
	if _, err := p.Credential(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing listens") {
		t.Errorf("refused: %v", err)
	}
}
