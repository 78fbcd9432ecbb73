package builtin

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
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

// The token services of a VPC have addresses in 100.64.0.0/10, which are nobody's on the internet (RFC 6598). They get
// the credentials of the source's auth provider all the same: the registry names them over TLS, and TLS vouches for them.
func TestDownloadWithPrivateTokenService(t *testing.T) {
	resolveTo(t, [4]byte{100, 103, 9, 1})
	layers := registry.New(nil)
	var asked atomic.Int32
	var redirects atomic.Bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch user, password, _ := r.BasicAuth(); {
		case r.Host == "dockerauth.example.com" && user == "robot" && password == "secret":
			asked.Add(1)
			_, _ = w.Write([]byte(`{"token":"t"}`))
		case r.Host == "registry.example.com" && r.Header.Get("Authorization") == "Bearer t" && redirects.Load() && strings.Contains(r.URL.Path, "/blobs/"):
			http.Redirect(w, r, "https://storage.example.com/blob?Signature=ours", http.StatusTemporaryRedirect)
		case r.Host == "storage.example.com":
			w.WriteHeader(http.StatusForbidden)
		case r.Host == "registry.example.com" && r.Header.Get("Authorization") == "Bearer t":
			layers.ServeHTTP(w, r)
		default:
			w.Header().Set("Www-Authenticate", `Bearer realm="https://dockerauth.example.com/token",service="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport)
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	login := filepath.Join(t.TempDir(), "config.json")
	auth := base64.StdEncoding.EncodeToString([]byte("robot:secret"))
	if err := os.WriteFile(login, []byte(`{"auths":{"registry.example.com":{"auth":"`+auth+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	repo, err := signing.Repository("registry.example.com/plugin", registry.Direct(layers.Open()))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := oras.PushBytes(t.Context(), repo, "text/x", []byte("program"))
	if err != nil {
		t.Fatal(err)
	}
	desc, err := oras.PackManifest(t.Context(), repo, oras.PackManifestVersion1_1, "text/x", oras.PackManifestOptions{Layers: []ocispec.Descriptor{layer}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "plugin")
	o := Options{Transport: transport, UserAgent: "test", Log: slog.New(slog.DiscardHandler)}
	source := pluginSource{Artifact: "registry.example.com/plugin@" + desc.Digest.String(),
		AuthProvider: map[string]any{"name": "dockerConfig", "configPath": login}}
	err = o.download(t.Context(), source, path)
	if got, readErr := os.ReadFile(path); err != nil || readErr != nil || string(got) != "program" || asked.Load() == 0 {
		t.Errorf("%v, %v: downloaded is %q after %d tokens", err, readErr, got, asked.Load())
	}
	redirects.Store(true)
	if err := o.download(t.Context(), source, path+"2"); err == nil || strings.Contains(err.Error(), "Signature") ||
		!strings.Contains(err.Error(), "storage.example.com answered 403") {
		t.Errorf("the storage behind the registry refuses: %v", err)
	}
}

// resolveTo makes all names resolve to an address until the test ends. The resolver is changed in place: libraries keep it.
func resolveTo(t *testing.T, address [4]byte) {
	t.Cleanup(func() { net.DefaultResolver.PreferGo, net.DefaultResolver.Dial = false, nil })
	net.DefaultResolver.PreferGo = true
	net.DefaultResolver.Dial = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			var length [2]byte // of the message that follows, as on all streams (RFC 1035 section 4.2.2)
			if _, err := io.ReadFull(server, length[:]); err != nil {
				return
			}
			query := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(server, query); err != nil {
				return
			}
			const header = 12
			question := query[header:]
			question = question[:bytes.IndexByte(question, 0)+5] // the name, its type and class
			answers, record := byte(0), []byte(nil)
			if kind := question[len(question)-3]; kind == 1 { // A
				answers, record = 1, append([]byte{0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4}, address[:]...) // the name is that of the question
			}
			reply := slices.Concat(query[:2], []byte{0x80, 0x80, 0, 1, 0, answers, 0, 0, 0, 0}, question, record)
			_, _ = server.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
		}()
		return client, nil
	}
}
