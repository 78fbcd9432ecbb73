package acr

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a server for every host that answers as a test wants, where the emulator is too well-behaved.
type service struct {
	*httptest.Server

	mu      sync.Mutex
	calls   map[string]int              // by "host action"
	answers map[string]http.HandlerFunc // by action
	session int
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{calls: make(map[string]int), answers: make(map[string]http.HandlerFunc)}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	clearEnv(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("hush-oidc-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/r")
	t.Setenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/p")
	t.Setenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token)
	s.answer("AssumeRoleWithOIDC", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		s.session++
		n := s.session
		s.mu.Unlock()
		fmt.Fprintf(w, `{"Credentials":{"AccessKeyId":"STS.%d","AccessKeySecret":"hush-secret-%d","SecurityToken":"hush-token-%d","Expiration":%q}}`,
			n, n, n, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
	return s
}

func (s *service) answer(action string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[action] = h
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	action := r.Header.Get("x-acs-action")
	if action == "" {
		action = r.URL.Query().Get("Action")
	}
	s.mu.Lock()
	s.calls[r.Host+" "+action]++
	h := s.answers[action]
	s.mu.Unlock()
	if h == nil {
		http.NotFound(w, r)
		return
	}
	h(w, r)
}

func (s *service) count(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

// transport reaches the server whatever the host.
func (s *service) transport(t *testing.T) *http.Transport {
	tr := s.Client().Transport.(*http.Transport).Clone()
	tr.TLSClientConfig.ServerName = "example.com" // which httptest's certificate names
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func (s *service) client(t *testing.T, manifest string) *Client {
	t.Helper()
	cfg, err := parse(t, manifest)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(cfg, Options{Transport: s.transport(t), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// body answers with status and v as JSON.
func body(status int, v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
}

// fields is a JSON object.
type fields map[string]any

func goodToken() fields {
	return fields{"RequestId": "R", "Code": "success", "IsSuccess": true, "TempUsername": "cr_temp_user", "AuthorizationToken": "hush-password",
		"ExpireTime": time.Now().Add(time.Hour).UnixMilli()}
}

// with returns a copy of f with one field changed, or without it if v is nil.
func (f fields) with(key string, v any) fields {
	c := make(fields)
	for k, old := range f {
		c[k] = old
	}
	if c[key] = v; v == nil {
		delete(c, key)
	}
	return c
}
