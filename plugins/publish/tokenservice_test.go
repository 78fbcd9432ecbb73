package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// private is the private address of the token service.
const private = "10.1.2.3"

// newPrivate starts a registry whose token service has a private address, and returns its host and the way to both.
func newPrivate(t *testing.T) (host string, transport *http.Transport) {
	t.Helper()
	tokens := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
		if address == private+":443" {
			address = tokens.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return server.Listener.Addr().String(), transport
}

// A token service with a private address gets the password if the user has named it, and else not.
func TestPrivateTokenService(t *testing.T) {
	host, transport := newPrivate(t)
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
		reference, err := publish(t.Context(), host+"/plugins/program:v1", path, tt.tokenService, transport)
		switch {
		case tt.says == "" && (err != nil || !strings.HasPrefix(reference, host+"/plugins/program@sha256:")):
			t.Errorf("publish(%s) = %s, %v", tt.tokenService, reference, err)
		case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hush")):
			t.Errorf("publish(%s) = %v, want %q", tt.tokenService, err, tt.says)
		}
	}
}
