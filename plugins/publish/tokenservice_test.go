package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// private is the private address of the token service.
const private = "10.1.2.3"

// newPrivate starts a registry whose token service has a private address, and returns its host, the way to both, and the number of requests to
// whatever host but the registry.
func newPrivate(t *testing.T) (host string, transport *http.Transport, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	tokens := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		user, password, _ := r.BasicAuth()
		if r.Host != private || r.URL.Path != "/auth/token" || r.URL.Query().Get("service") != "s" || user+":"+password != "me:hush" {
			http.Error(w, "who?", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"token":"good"}`)
	}))
	t.Cleanup(tokens.Close)
	images := registry.New()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			w.Header().Set("Www-Authenticate", `Bearer realm="https://`+private+`/auth/token",service="s"`)
			http.Error(w, "who?", http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	transport = server.Client().Transport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	transport.TLSClientConfig.ServerName = "example.com" // of both certificates
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != server.Listener.Addr().String() {
			address = tokens.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return server.Listener.Addr().String(), transport, asked
}

// A token service with a private address gets the password if the user has named it, and else not.
func TestPrivateTokenService(t *testing.T) {
	host, transport, asked := newPrivate(t)
	docker := t.TempDir()
	t.Setenv("DOCKER_CONFIG", docker)
	login := `{"auths":{"` + host + `":{"username":"me","password":"hush"}}}`
	if err := os.WriteFile(filepath.Join(docker, "config.json"), []byte(login), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ tokenService, says string }{
		{private, ""},
		{"", "name its host with -token-service"},
		{"10.1.2.4", "name its host with -token-service"},
		{private + ":8443", "name its host with -token-service"},
		{"1" + private, "name its host with -token-service"},
	} {
		asked.Store(0)
		reference, err := publish(t.Context(), host+"/plugins/program:v1", path, tt.tokenService, transport)
		switch {
		case tt.says == "" && (err != nil || !strings.HasPrefix(reference, host+"/plugins/program@sha256:")):
			t.Errorf("publish(%s) = %s, %v", tt.tokenService, reference, err)
		case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hush")):
			t.Errorf("publish(%s) = %v, want %q", tt.tokenService, err, tt.says)
		}
		if n := asked.Load(); (n > 0) != (tt.says == "") {
			t.Errorf("publish(%s) asks the token service %d times", tt.tokenService, n)
		}
	}
}

// Only challenges of the registry that name the host itself, over https, lead to it.
func TestChallenges(t *testing.T) {
	const named = `Bearer realm="https://10.1.2.3/auth",service="s"`
	for _, tt := range []struct{ url, challenge, want string }{
		{"https://r.example/v2/", named, `Bearer realm="https://r.example/.token-service/auth",service="s"`},
		{"https://r.example/v2/", `Bearer realm="http://10.1.2.3/auth"`, ""},
		{"https://r.example/v2/", `Bearer realm="https://10.1.2.3:8443/auth"`, ""},
		{"https://r.example/v2/", `Bearer realm="https://10.1.2.3.evil.example/auth"`, ""},
		{"https://r.example/v2/", `Bearer realm="https://10.1.2.3@evil.example/auth"`, ""},
		{"https://r.example/v2/", `Bearer realm="https://evil.example/https://10.1.2.3/auth"`, ""},
		{"https://r.example:8443/v2/", named, ""},
		{"https://other.example/v2/", named, ""},
		{"http://r.example/v2/", named, ""},
	} {
		service, err := newTokenService("r.example", private, answers(func(req *http.Request) (*http.Response, error) {
			if req.URL.String() != tt.url {
				t.Errorf("%s is asked for %s", req.URL, tt.url)
			}
			return &http.Response{Header: http.Header{"Www-Authenticate": {tt.challenge}}, Body: http.NoBody}, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tt.url, nil)
		resp, err := service.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Www-Authenticate"); got != cmp.Or(tt.want, tt.challenge) {
			t.Errorf("%s of %s becomes %s", tt.challenge, tt.url, got)
		}
		_ = resp.Body.Close()
	}
}

// Where the paths of the token service stand among those of another host, they are that host's.
func TestTokenPath(t *testing.T) {
	for url, want := range map[string]string{
		"https://r.example/.token-service/auth?service=s":      "https://10.1.2.3/auth?service=s",
		"https://r.example/.token-services/auth":               "https://r.example/.token-services/auth",
		"https://r.example/v2/.token-service/auth":             "https://r.example/v2/.token-service/auth",
		"https://r.example/.token-service//evil.example/auth":  "https://10.1.2.3//evil.example/auth",
		"https://r.example/.token-service/@evil.example/auth":  "https://10.1.2.3/@evil.example/auth",
		"https://other.example/.token-service/auth":            "https://other.example/.token-service/auth",
		"http://r.example/.token-service/auth":                 "http://r.example/.token-service/auth",
		"https://r.example.evil.example/.token-service/auth?x": "https://r.example.evil.example/.token-service/auth?x",
	} {
		service, err := newTokenService("r.example", private, answers(func(req *http.Request) (*http.Response, error) {
			if got := req.URL.String(); got != want || req.Host != req.URL.Host || req.Header.Get("Authorization") != "Basic x" {
				t.Errorf("%s leads to %s at %s with %v, want %s", url, got, req.Host, req.Header, want)
			}
			return &http.Response{Body: http.NoBody}, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		req.Header.Set("Authorization", "Basic x")
		resp, err := service.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if req.URL.String() != url {
			t.Errorf("the request for %s was changed", url)
		}
	}
}

// answers is a way that ends at once.
type answers func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (a answers) RoundTrip(req *http.Request) (*http.Response, error) { return a(req) }
