package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/ratify-project/ratify/pkg/common/plugin"
)

// What is published is downloaded by Ratify's own code.
func TestPublish(t *testing.T) {
	server := httptest.NewTLSServer(registry.New())
	defer server.Close()
	transport := server.Client().Transport.(*http.Transport)
	standard := http.DefaultTransport
	http.DefaultTransport = transport // Ratify clones it
	defer func() { http.DefaultTransport = standard }()
	t.Setenv("DOCKER_CONFIG", t.TempDir())

	dir := t.TempDir()
	path, content := filepath.Join(dir, "program"), []byte("#!/bin/sh\n")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	tag := strings.TrimPrefix(server.URL, "https://") + "/plugins/program:v1"
	reference, err := publish(t.Context(), tag, path, "", transport)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(reference, strings.TrimSuffix(tag, ":v1")+"@sha256:") {
		t.Errorf("publish() = %s", reference)
	}
	for _, source := range []string{reference, tag} {
		target := filepath.Join(dir, "downloaded")
		if err := plugin.DownloadPlugin(plugin.PluginSource{Artifact: source}, target); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, content) {
			t.Errorf("Ratify downloads %q of %s, %v", got, source, err)
		}
	}
}

func TestPublishRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ tag, path, tokenService, says string }{
		{"localhost:1/a:v1", file, "", "is not a program"},
		{"localhost:1/a:v1", filepath.Dir(file), "", "is not a program"},
		{"localhost:1/a:v1", file + "x", "", "no such file"},
		{"localhost:1/a", "/bin/sh", "", "has no tag"},
		{"localhost:1/a@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "/bin/sh", "", "has no tag"},
		{"nothing", "/bin/sh", "", "invalid reference"},
		{"localhost:1/a:v1", "/bin/sh", "https://auth.example", "-token-service"},
		{"localhost:1/a:v1", "/bin/sh", "auth.example/token", "-token-service"},
		{"localhost:1/a:v1", "/bin/sh", "user@auth.example", "-token-service"},
		{"localhost:1/a:v1", "/bin/sh", ":443", "-token-service"},
	} {
		if _, err := publish(t.Context(), tt.tag, tt.path, tt.tokenService, http.DefaultTransport); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("publish(%s, %s): %v, want %q", tt.tag, tt.path, err, tt.says)
		}
	}
}
