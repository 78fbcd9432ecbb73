package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func answer(t testing.TB, headers ...string) *http.Response {
	u, err := url.Parse("https://registry.example.com/v2/")
	if err != nil {
		t.Fatal(err)
	}
	return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": headers}, Request: &http.Request{URL: u}}
}

func TestParseChallenge(t *testing.T) {
	for _, test := range []struct {
		headers []string
		want    challenge
	}{
		{[]string{`Bearer realm="https://a.example.com/t",service="s:r:cri-1",scope="repository:x:pull"`}, challenge{bearer, "https://a.example.com/t", "s:r:cri-1"}},
		{[]string{`BEARER realm="https://a.example.com/t"`}, challenge{scheme: bearer, realm: "https://a.example.com/t"}},
		{[]string{`Basic realm="x"`}, challenge{scheme: basic}},
		{[]string{`Negotiate`, `Basic realm="x"`, `Bearer realm="https://a.example.com/t"`}, challenge{scheme: bearer, realm: "https://a.example.com/t"}},
	} {
		if got, err := parseChallenge(answer(t, test.headers...)); err != nil || got != test.want {
			t.Errorf("%q: %+v, %v", test.headers, got, err)
		}
	}
	for _, bad := range [][]string{nil, {""}, {"Digest x=y"}, {`Bearer`}, {`Bearer realm=""`}} {
		if got, err := parseChallenge(answer(t, bad...)); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func FuzzParseChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://a.example.com/t",service="s"`)
	f.Add(`Bearer realm="http://a.example.com/t"`)
	f.Add(`Basic realm="x\"y"`)
	f.Add(`Bearer realm="https://127.0.0.1/"`)
	f.Fuzz(func(t *testing.T, header string) {
		c, err := parseChallenge(answer(t, header))
		if err != nil {
			return
		}
		if c.scheme == open {
			t.Errorf("%q passes for no challenge", header)
		}
		if c.scheme == bearer {
			u, err := url.Parse(c.realm)
			if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
				t.Errorf("%q: realm %q", header, c.realm)
			}
		}
	})
}

func TestParseToken(t *testing.T) {
	for body, want := range map[string]time.Duration{
		`{"token":"x"}`:                                      time.Minute,
		`{"access_token":"x","expires_in":300}`:              5 * time.Minute,
		`{"token":"x","access_token":"y","expires_in":-300}`: time.Minute,
		`{"token":"x","expires_in":1e300}`:                   maxTokenLife,
		`{"token":"x","expires_in":0.5}`:                     500 * time.Millisecond,
	} {
		if value, life, err := parseToken(strings.NewReader(body)); value != "x" || life != want || err != nil {
			t.Errorf("%s: %q, %s, %v", body, value, life, err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(`{"token":"x","expires_in":300,"issued_at":"2026-01-01T00:00:00Z"}`)
	f.Add(`{"access_token":"x","expires_in":1e999}`)
	f.Add(`{"token":["secret"]}`)
	f.Fuzz(func(t *testing.T, body string) {
		value, life, err := parseToken(strings.NewReader(body))
		if err == nil && (value == "" || life <= 0 || life > maxTokenLife) {
			t.Errorf("%q: %q, %s", body, value, life)
		}
	})
}

func TestMessage(t *testing.T) {
	for body, want := range map[string]string{
		`{"errors":[{"code":"DENIED","message":"no\u001b[31m pull"},{"code":"X"}]}`: "DENIED no[31m pull; X",
		`<html>`: "",
		`{"errors":[{"code":"A","message":"` + strings.Repeat("b", 1000) + `"}]}`: "A " + strings.Repeat("b", maxMessage-2),
	} {
		if got := message(strings.NewReader(body)); got != want {
			t.Errorf("%.40s: %q", body, got)
		}
	}
}

func TestCheckRedirect(t *testing.T) {
	for _, test := range []struct {
		path       []string
		body       bool
		follows    bool
		authorized bool
	}{
		{path: []string{"https://a.example.com/1", "https://a.example.com/2"}, follows: true, authorized: true},
		{path: []string{"https://a.example.com/1", "https://A.example.com:443/2"}, follows: true, authorized: true},
		{path: []string{"https://a.example.com/1", "https://a.example.com:444/2"}, follows: true},
		{path: []string{"https://a.example.com/1", "https://b.a.example.com/2"}, follows: true},
		{path: []string{"https://a.example.com/1", "https://b.example.com/2", "https://a.example.com/3"}, follows: true},
		{path: []string{"https://a.example.com/1", "http://a.example.com/2"}},
		{path: []string{"https://a.example.com/1", "https://localhost/2"}},
		{path: []string{"https://a.example.com/1", "https://127.0.0.2:5000/2"}},
		{path: []string{"https://127.0.0.1:5000/1", "https://127.0.0.1:5001/2"}, follows: true},
		{path: []string{"https://a.example.com/1", "https://a.example.com/2"}, body: true, follows: true, authorized: true},
		{path: []string{"https://a.example.com/1", "https://b.example.com/2"}, body: true},
		{path: []string{"https://a.example.com/1", "https://a.example.com/2", "https://a.example.com/3", "https://a.example.com/4",
			"https://a.example.com/5", "https://a.example.com/6", "https://a.example.com/7"}},
	} {
		var hops []*http.Request
		for _, to := range test.path {
			req, err := http.NewRequest(http.MethodPost, to, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer x")
			if test.body {
				req.Body = io.NopCloser(strings.NewReader("refresh_token=secret"))
			}
			hops = append(hops, req)
		}
		last := hops[len(hops)-1]
		err := checkRedirect(last, hops[:len(hops)-1])
		if (err == nil) != test.follows || err == nil && (last.Header.Get("Authorization") != "") != test.authorized {
			t.Errorf("%q: %v, header %q", test.path, err, last.Header)
		}
	}
}

type roundTripper func(*http.Request) *http.Response

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := f(r)
	resp.Request = r
	return resp, nil
}

type anonymous struct{}

func (anonymous) Grant(context.Context, string) (Grant, error) { return Grant{}, nil }
func (anonymous) Refused(string, Grant) string                 { return "" }

// Who can create pods can name any repository of a registry of theirs, whose tokens are as large as it likes.
func TestTokensAreBounded(t *testing.T) {
	respond := func(status int, body string, headers ...string) *http.Response {
		resp := answer(t, headers...)
		resp.StatusCode, resp.Body = status, io.NopCloser(strings.NewReader(body))
		return resp
	}
	value := strings.Repeat("x", 100<<10)
	c := New(Config{Source: anonymous{}, PlainHTTP: func(string) bool { return false }, Timeout: time.Minute, Now: time.Now, Log: slog.New(slog.DiscardHandler), Transport: roundTripper(func(r *http.Request) *http.Response {
		switch {
		case r.URL.Host == "auth.example.com":
			return respond(http.StatusOK, `{"token":"`+value+`","expires_in":3600}`)
		case r.Header.Get("Authorization") == "":
			return respond(http.StatusUnauthorized, "", `Bearer realm="https://auth.example.com/token"`)
		}
		return respond(http.StatusOK, "")
	})})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const repositories = 700
	for i := range repositories {
		name := fmt.Sprint("app", i)
		req := httptest.NewRequestWithContext(t.Context(), http.MethodHead, "https://registry.example.com/v2/"+name+"/manifests/v1", nil)
		req.RequestURI = ""
		resp, err := c.Repository("registry.example.com", name, "registry.example.com/"+name).Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		resp.Body.Close()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(c)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > tokensBytes*3/2 {
		t.Errorf("the tokens of %d repositories take %d MiB", repositories, grown>>20)
	}
}

// A burst must neither open connections by the dozen, nor stall.
func TestBurstTakesOneConnection(t *testing.T) {
	const burst = 3 * maxAtOnce
	var open, most, arrived, connections atomic.Int32
	full := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		defer open.Add(-1)
		now := open.Add(1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		if arrived.Add(1) == maxAtOnce {
			close(full)
		}
		<-full
	}))
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	host := server.Listener.Addr().String()
	c := New(Config{Source: anonymous{}, PlainHTTP: func(string) bool { return false }, Timeout: time.Minute, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), Transport: server.Client().Transport})
	var requests sync.WaitGroup
	for range burst {
		requests.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v2/app/manifests/v1", nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := c.Repository(host, "app", host+"/app").Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	requests.Wait()
	if arrived.Load() != burst || most.Load() > maxAtOnce || connections.Load() != 1 {
		t.Errorf("%d of %d requests arrived, %d at once, on %d connections", arrived.Load(), burst, most.Load(), connections.Load())
	}

	// Whoever gives up waits no longer.
	ctx, cancel := context.WithCancel(t.Context())
	r := c.registry(host)
	if err := r.atOnce.Acquire(ctx, maxAtOnce); err != nil {
		t.Fatal(err)
	}
	go cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.send(req); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
