package k8secrets

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

const registry = "registry.example.com:5000"

// apiServer serves Secrets and service accounts over TLS to who has the token.
type apiServer struct {
	*httptest.Server
	tokenFile string

	mu      sync.Mutex
	token   string
	objects map[string]any                                    // by namespace/resource/name
	fail    func(w http.ResponseWriter, r *http.Request) bool // true: it answered
	seen    []string
}

func start(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{objects: map[string]any{}, tokenFile: filepath.Join(t.TempDir(), "token")}
	s.rotate(t, "first")
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	t.Setenv(namespaceVariable, "gatekeeper-system")
	return s
}

// rotate replaces the pod's token; the old one is not taken any more.
func (s *apiServer) rotate(t *testing.T, token string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
	if err := os.WriteFile(s.tokenFile, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *apiServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	path := strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/")
	s.seen = append(s.seen, path)
	authorized, object, fail := r.Header.Get("Authorization") == "Bearer "+s.token, s.objects[path], s.fail
	s.mu.Unlock()
	switch {
	case fail != nil && fail(w, r):
	case !authorized:
		status(w, http.StatusUnauthorized, meta.StatusReasonUnauthorized)
	case object == nil:
		status(w, http.StatusNotFound, meta.StatusReasonNotFound)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(object)
	}
}

func status(w http.ResponseWriter, code int, reason meta.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(meta.Status{TypeMeta: meta.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: meta.StatusFailure, Code: int32(code), Reason: reason,
		Message: "says the API server"})
}

// secret puts a Secret with a type and a content.
func (s *apiServer) secret(name string, kind core.SecretType, content string) {
	namespace, name, _ := strings.Cut(name, "/")
	key := map[core.SecretType]string{core.SecretTypeDockerConfigJson: core.DockerConfigJsonKey, core.SecretTypeDockercfg: core.DockerConfigKey}[kind]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[namespace+"/secrets/"+name] = core.Secret{TypeMeta: meta.TypeMeta{Kind: "Secret", APIVersion: "v1"},
		ObjectMeta: meta.ObjectMeta{Name: name, Namespace: namespace}, Type: kind, Data: map[string][]byte{key: []byte(content)}}
}

// account puts the service account, with its imagePullSecrets.
func (s *apiServer) account(name string, pull ...string) {
	account := core.ServiceAccount{TypeMeta: meta.TypeMeta{Kind: "ServiceAccount", APIVersion: "v1"}, ObjectMeta: meta.ObjectMeta{Name: name}}
	for _, one := range pull {
		account.ImagePullSecrets = append(account.ImagePullSecrets, core.LocalObjectReference{Name: one})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects["gatekeeper-system/serviceaccounts/"+name] = account
}

func (s *apiServer) provider(t *testing.T, block string) *Provider {
	t.Helper()
	var b map[string]any
	if err := json.Unmarshal([]byte(block), &b); err != nil {
		t.Fatal(err)
	}
	p, err := New(b, Options{Cluster: &rest.Config{Host: s.URL, BearerTokenFile: s.tokenFile,
		TLSClientConfig: rest.TLSClientConfig{CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})}}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// auths is Docker's configuration with an entry, auth.
func auths(host, password string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("user:"+password)))
}

func TestProvide(t *testing.T) {
	for name, test := range map[string]struct {
		setup func(*apiServer)
		block string
		want  string // the password; empty: not covered
		notes []string
	}{
		"listed": {func(s *apiServer) {
			s.secret("team-a/regcred", core.SecretTypeDockerConfigJson, auths(registry, "one"))
		},
			`{"secrets":[{"secretName":"regcred","namespace":"team-a"}]}`, "one", nil},
		"in the own namespace": {func(s *apiServer) {
			s.secret("gatekeeper-system/regcred", core.SecretTypeDockerConfigJson, auths(registry, "own"))
		},
			`{"secrets":[{"secretName":"regcred"}]}`, "own", nil},
		"legacy": {func(s *apiServer) {
			s.secret("gatekeeper-system/regcred", core.SecretTypeDockercfg, `{"https://registry.example.com:5000/v1/":{"username":"user","password":"legacy"}}`)
		}, `{"secrets":[{"secretName":"regcred"}]}`, "legacy", nil},
		"second listed": {func(s *apiServer) {
			s.secret("gatekeeper-system/a", core.SecretTypeDockerConfigJson, auths("other.example.com", "other"))
			s.secret("gatekeeper-system/b", core.SecretTypeDockerConfigJson, auths(registry, "two"))
		}, `{"secrets":[{"secretName":"gone"},{"secretName":"a"},{"secretName":"b"}]}`, "two", nil},
		"pull secrets of the service account": {func(s *apiServer) {
			s.account("ratify-admin", "gone", "token", "old", "new")
			s.secret("gatekeeper-system/token", core.SecretTypeOpaque, "")
			s.secret("gatekeeper-system/old", core.SecretTypeDockercfg, `{"other.example.com":{"auth":"dXNlcjpvdGhlcg=="}}`)
			s.secret("gatekeeper-system/new", core.SecretTypeDockerConfigJson, auths("HTTPS://Registry.Example.com:5000/v2/", "pull"))
		}, `{"serviceAccountName":"ratify-admin"}`, "pull", nil},
		"default service account": {func(s *apiServer) {
			s.account("default", "a")
			s.secret("gatekeeper-system/a", core.SecretTypeDockerConfigJson, auths(registry, "default"))
		}, `{"name":"k8Secrets"}`, "default", nil},
		"none": {func(s *apiServer) { s.account("default") }, `{}`, "", []string{"gatekeeper-system/default has no imagePullSecrets"}},
		"others only": {func(s *apiServer) {
			s.account("default", "gone")
			s.secret("gatekeeper-system/a", core.SecretTypeDockerConfigJson,
				`{"auths":{"registry.example.com":{"auth":"dTpw"},"registry.example.com:5000/team":{"auth":"dTpw"},"evil-registry.example.com:5000":{"auth":"dTpw"},"registry.example.com:5000.evil.com":{"auth":"dTpw"}}}`)
		}, `{"secrets":[{"secretName":"a"}]}`, "", []string{"gatekeeper-system/a has no entry", "there is no Secret gatekeeper-system/gone"}},
		"empty entry before another": {func(s *apiServer) {
			s.secret("gatekeeper-system/a", core.SecretTypeDockerConfigJson,
				`{"auths":{"registry.example.com:5000":{},"https://registry.example.com:5000/v2/":{"auth":"dXNlcjpmdWxs"}}}`)
		}, `{"secrets":[{"secretName":"a"}]}`, "full", nil},
		"empty entry": {func(s *apiServer) {
			s.account("default")
			s.secret("gatekeeper-system/a", core.SecretTypeDockerConfigJson, `{"auths":{"registry.example.com:5000":{}}}`)
		}, `{"secrets":[{"secretName":"a"}]}`, "", []string{"gatekeeper-system/a has no entry"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			test.setup(s)
			got, err := s.provider(t, test.block).Provide(t.Context(), registry+"/team/app")
			if test.want != "" {
				if err != nil || got.Username != "user" || got.Password != test.want {
					t.Fatalf("%q, %q, %v", got.Username, got.Password, err)
				}
				if left := time.Until(got.ExpiresOn); left < defaultLife-time.Minute || left > defaultLife {
					t.Errorf("used for %s", left)
				}
				return
			}
			if !errors.Is(err, authprovider.ErrNotCovered) {
				t.Fatalf("got %q, %v", got.Password, err)
			}
			for _, note := range test.notes {
				if !strings.Contains(err.Error(), note) {
					t.Errorf("%q does not say %q", err, note)
				}
			}
		})
	}
}

// As many Secrets as there may be are read in a call: client-go's own limit of 5 requests a second would hold up all registries.
func TestManySecrets(t *testing.T) {
	s := start(t)
	var pull []string
	for i := range maxSecrets {
		pull = append(pull, fmt.Sprint("secret-", i))
		s.secret("gatekeeper-system/"+pull[i], core.SecretTypeDockerConfigJson, auths("other.example.com", "other"))
	}
	s.account("default", pull...)
	p := s.provider(t, `{}`)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // which the limit would need for half of them
	defer cancel()
	if _, err := p.Provide(ctx, registry+"/app"); !errors.Is(err, authprovider.ErrNotCovered) {
		t.Error(err)
	}
}

func TestDockerHub(t *testing.T) {
	s := start(t)
	s.secret("gatekeeper-system/a", core.SecretTypeDockerConfigJson, `{"auths":{"https://index.docker.io/v1/":{"identitytoken":"identity"}}}`)
	got, err := s.provider(t, `{"secrets":[{"secretName":"a"}],"secretTimeout":60}`).Provide(t.Context(), "docker.io/library/app")
	if err != nil || got.IdentityToken != "identity" || time.Until(got.ExpiresOn) > time.Minute {
		t.Errorf("%q until %s, %v", got.IdentityToken, got.ExpiresOn, err)
	}
}

// What cannot be found out is an error, and never "not covered", which would mean an anonymous pull.
func TestFaults(t *testing.T) {
	const block = `{"secrets":[{"secretName":"regcred"}]}`
	answer := func(code int, reason meta.StatusReason) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { status(w, code, reason); return true }
	}
	for name, test := range map[string]struct {
		kind    core.SecretType
		content string
		fail    func(http.ResponseWriter, *http.Request) bool
		block   string
		want    []string
	}{
		"forbidden":    {fail: answer(403, meta.StatusReasonForbidden), want: []string{"Secret gatekeeper-system/regcred", "RoleBinding", "get secrets in namespace gatekeeper-system"}},
		"failing":      {fail: answer(500, meta.StatusReasonInternalError), want: []string{"Secret gatekeeper-system/regcred", "says the API server"}},
		"unauthorized": {fail: answer(401, meta.StatusReasonUnauthorized), want: []string{"Secret gatekeeper-system/regcred"}},
		"hanging":      {fail: func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, want: []string{"deadline"}},
		"no JSON":      {fail: func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "<html>"); return true }, want: []string{"regcred"}},
		"endless": {fail: func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write(make([]byte, maxAnswer+1))
			return true
		}, want: []string{"more than"}},
		"listed, other type": {kind: core.SecretTypeOpaque, want: []string{"Secret gatekeeper-system/regcred", "its type is neither", "Opaque"}},
		"broken":             {kind: core.SecretTypeDockerConfigJson, content: `{"auths": top-secret`, want: []string{"Secret gatekeeper-system/regcred", ".dockerconfigjson is not the JSON"}},
		"legacy in new":      {kind: core.SecretTypeDockercfg, content: `[]`, want: []string{".dockercfg is not the JSON"}},
		"broken auth":        {kind: core.SecretTypeDockerConfigJson, content: `{"auths":{"registry.example.com:5000":{"auth":"top-secret"}}}`, want: []string{"auth of its entry"}},
		"no such account":    {kind: core.SecretTypeDockerConfigJson, content: `{}`, block: `{"serviceAccountName":"nobody"}`, want: []string{"service account gatekeeper-system/nobody"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.fail = test.fail
			if test.kind != "" {
				s.secret("gatekeeper-system/regcred", test.kind, test.content)
			}
			if test.block == "" {
				test.block = block
			}
			budget := 2 * time.Second
			if name == "hanging" {
				budget = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), budget)
			defer cancel()
			_, err := s.provider(t, test.block).Provide(ctx, registry+"/app")
			if err == nil || errors.Is(err, authprovider.ErrNotCovered) {
				t.Fatalf("got %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "top-secret") {
				t.Errorf("secret in %q", err)
			}
		})
	}
}

func TestTokenRotation(t *testing.T) {
	s := start(t)
	s.secret("gatekeeper-system/regcred", core.SecretTypeDockerConfigJson, auths(registry, "one"))
	p := s.provider(t, `{"secrets":[{"secretName":"regcred"}]}`)
	for _, token := range []string{"first", "second", "third"} {
		s.rotate(t, token)
		if _, err := p.Provide(t.Context(), registry+"/app"); err != nil {
			t.Errorf("token %s: %v", token, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) > 5 {
		t.Errorf("asked %q", slices.Compact(s.seen))
	}
}

func TestConfig(t *testing.T) {
	s := start(t)
	for block, want := range map[string]string{
		`{"secret":[]}`:                                      `unknown field "secret"`,
		`{"secrets":{}}`:                                     "secrets must not be a object",
		`{"secrets":[{"name":"a"}]}`:                         `unknown field "name"`,
		`{"secrets":[{"secretName":""}]}`:                    "secrets[0].secretName",
		`{"secrets":[{"secretName":"../x"}]}`:                "secrets[0].secretName",
		`{"secrets":[{"secretName":"a","namespace":"x/y"}]}`: "secrets[0].namespace",
		`{"serviceAccountName":"a/b"}`:                       "serviceAccountName",
		`{"secretTimeout":-1}`:                               "secretTimeout",
		`{"secrets":[` + strings.Repeat(`{"secretName":"a"},`, maxSecrets) + `{"secretName":"a"}]}`: "more than 50",
	} {
		var b map[string]any
		if err := json.Unmarshal([]byte(block), &b); err != nil {
			t.Fatal(err)
		}
		if _, err := New(b, Options{Cluster: &rest.Config{Host: s.URL}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v; want %q", block, err, want)
		}
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := New(nil, Options{}); err == nil || !strings.Contains(err.Error(), "cluster that it runs in") {
		t.Errorf("outside a cluster: %v", err)
	}
	t.Setenv(namespaceVariable, "")
	if _, err := New(nil, Options{}); err == nil || !strings.Contains(err.Error(), namespaceVariable) {
		t.Errorf("without a namespace: %v", err)
	}
}
