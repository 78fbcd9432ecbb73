package builtin

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/featureflag"
	"oras.land/oras-go/v2"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/registry"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// liar is a registry that gives something else than is asked for where the path has a word.
type liar struct {
	http.Handler
	about string
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.about == "" || !strings.Contains(r.URL.Path, l.about) {
		l.Handler.ServeHTTP(w, r)
		return
	}
	recorder := httptest.NewRecorder()
	l.Handler.ServeHTTP(recorder, r)
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(bytes.Replace(recorder.Body.Bytes(), []byte("o"), []byte("0"), 1))
}

func TestDownload(t *testing.T) {
	featureflag.DynamicPlugins.Enabled = true
	t.Cleanup(func() { featureflag.DynamicPlugins.Enabled = false })
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	g := registry.New(nil)
	l := &liar{Handler: g}
	server := httptest.NewTLSServer(l)
	t.Cleanup(server.Close)
	name := server.Listener.Addr().String() + "/plugin"
	repo, err := signing.Repository(name, registry.Direct(g.Open()))
	if err != nil {
		t.Fatal(err)
	}
	const program = "#!/bin/sh\necho\n"
	push := func(tag string, layers ...ocispec.Descriptor) string {
		desc, err := oras.PackManifest(t.Context(), repo, oras.PackManifestVersion1_1, "text/x", oras.PackManifestOptions{Layers: layers})
		if err == nil {
			err = repo.Tag(t.Context(), desc, tag)
		}
		if err != nil {
			t.Fatal(err)
		}
		return desc.Digest.String()
	}
	layer, err := oras.PushBytes(t.Context(), repo, "text/x", []byte(program))
	if err != nil {
		t.Fatal(err)
	}
	huge := layer
	huge.Size = maxPlugin + 1
	digest := push("v1", layer)
	push("huge", huge)

	dir := t.TempDir()
	o := Options{Transport: server.Client().Transport.(*http.Transport), UserAgent: "test", Log: slog.New(slog.DiscardHandler)}
	install := func(ctx context.Context, reference string) error {
		return o.install(ctx, map[string]any{"source": map[string]any{"artifact": name + reference}}, "plugin", []string{dir})
	}
	for _, tt := range []struct{ name, reference, lies, says string }{
		{"by digest", "@" + digest, "", ""},
		{"by tag", ":v1", "", ""},
		{"another manifest", "@" + digest, "/manifests/", "mismatch"},
		{"another program", "@" + digest, "/blobs/", "mismatch"},
		{"another program of a tag", ":v1", "/blobs/", "mismatch"},
		{"huge", ":huge", "", "268435457 bytes, and 268435456 are accepted"},
		{"no image", ":gone", "", "not found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.about = tt.lies
			path := filepath.Join(dir, "plugin")
			_ = os.Remove(path)
			err := install(t.Context(), tt.reference)
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error %v, want one that says %q", err, tt.says)
				}
				if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
					t.Errorf("the plugin directory has %v, %v", files, err)
				}
				return
			}
			if got, readErr := os.ReadFile(path); err != nil || readErr != nil || string(got) != program {
				t.Errorf("%v, %v: installed is %q", err, readErr, got)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := install(ctx, ":v1"); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("error %v, want that of the context", err)
	}
}
