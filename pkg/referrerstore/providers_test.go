package referrerstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

// named makes providers by the name in their block.
func named(providers map[string]authprovider.AuthProvider) Options {
	return Options{NewAuthProvider: func(block map[string]any) (authprovider.AuthProvider, error) {
		p, ok := providers[block["name"].(string)]
		if !ok {
			return nil, fmt.Errorf("no provider %v", block["name"])
		}
		return p, nil
	}}
}

func entry(name string, registries ...any) any {
	block := map[string]any{"name": name}
	if len(registries) > 0 {
		block["registries"] = registries
	}
	return block
}

func TestProviderByPattern(t *testing.T) {
	s := settingsOf(t, "authProviders", []any{
		entry("all"), entry("wide", "*.example.com"), entry("narrow", "*.cn.Example.com", "exact.org:5000"), entry("exact", "one.cn.example.com"), entry("wide2", "*.example.com"),
	})
	o := named(map[string]authprovider.AuthProvider{"all": user("all"), "wide": user("wide"), "narrow": user("narrow"), "exact": user("exact"), "wide2": user("wide2")})
	p, err := newProviders(s.providers, true, o.NewAuthProvider, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for registry, want := range map[string]string{
		"one.cn.example.com":      "exact",
		"ONE.cn.example.com:443":  "exact",
		"one.cn.example.com:8443": "all",
		"two.cn.example.com":      "narrow",
		"example.com":             "all",
		"a.example.com":           "wide",
		"evil-example.com":        "all",
		"a.example.com.evil.org":  "all",
		"exact.org:5000":          "narrow",
		"exact.org":               "all",
		"docker.io":               "all",
		"[::1]:5000":              "all",
		"one.cn.example.com.":     "all",
	} {
		grant, err := p.Grant(t.Context(), registry+"/team/app")
		if err != nil || grant.Provider != want || grant.Credential.Password != want {
			t.Errorf("%s: %s, %v; want %s", registry, grant.Provider, err, want)
		}
	}
}

func TestUncoveredRegistry(t *testing.T) {
	f := newFake(t)
	subject, _ := f.image("app", "v1")
	f.password = "secret"
	uncovered := &testProvider{err: fmt.Errorf("%w: crpi-1 is a personal edition registry: use dockerConfig", authprovider.ErrNotCovered)}
	failing := &testProvider{err: errors.New("STS answered 403: role lacks trust")}

	t.Run("refused anonymously", func(t *testing.T) {
		_, err := f.store(uncovered).GetSubjectDescriptor(t.Context(), subject)
		wantError(t, err, registryHost, "anonymous access", "personal edition registry: use dockerConfig")
	})
	t.Run("open registry", func(t *testing.T) {
		f := newFake(t)
		f.challenge = ""
		subject, _ := f.image("app", "v1")
		if _, err := f.store(uncovered).GetSubjectDescriptor(t.Context(), subject); err != nil {
			t.Error(err)
		}
		f.counts()
		_, err := f.store(uncovered, "allowAnonymous", false).GetSubjectDescriptor(t.Context(), subject)
		wantError(t, err, registryHost, "allowAnonymous is false", "personal edition registry")
		f.wantCalls("anonymous access is not allowed", map[string]int{})
		_, err = f.store(failing).GetSubjectDescriptor(t.Context(), subject)
		wantError(t, err, registryHost, "STS answered 403")
		_, err = f.storeNamed(named(map[string]authprovider.AuthProvider{"empty": &testProvider{}}), "authProvider", entry("empty")).GetSubjectDescriptor(t.Context(), subject)
		wantError(t, err, registryHost, "neither credentials nor an error")
		f.wantCalls("a failing provider", map[string]int{})
	})
	t.Run("next provider", func(t *testing.T) {
		o := named(map[string]authprovider.AuthProvider{"first": uncovered, "second": user("secret")})
		s := f.storeNamed(o, "authProviders", []any{entry("first"), entry("second")})
		if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
			t.Error(err)
		}
	})
	t.Run("failing provider is not passed over", func(t *testing.T) {
		o := named(map[string]authprovider.AuthProvider{"first": failing, "second": user("secret")})
		_, err := f.storeNamed(o, "authProviders", []any{entry("first"), entry("second")}).GetSubjectDescriptor(t.Context(), subject)
		wantError(t, err, "auth provider first", "STS answered 403", "authProviders[].registries")
	})
	t.Run("none named", func(t *testing.T) {
		o := named(map[string]authprovider.AuthProvider{"first": failing})
		_, err := f.storeNamed(o, "authProviders", []any{entry("first", "*.aliyuncs.com")}).GetSubjectDescriptor(t.Context(), subject)
		wantError(t, err, "anonymous access", "no entry of authProviders names "+registryHost)
	})
	t.Run("asked again after a while", func(t *testing.T) {
		p := &testProvider{err: uncovered.err}
		s := f.store(p)
		for range 3 {
			_, _ = s.GetSubjectDescriptor(t.Context(), subject)
		}
		if p.count() != 1 {
			t.Errorf("asked %d times", p.count())
		}
		p.set(authprovider.AuthConfig{Username: "user", Password: "secret"}, nil)
		f.clock.Advance(2 * time.Minute)
		if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
			t.Error(err)
		}
	})
}

func (f *fake) storeNamed(o Options, keysAndValues ...any) *Store {
	f.t.Helper()
	o.Transport, o.Now = f.transport(), f.clock.Now
	cfg := storeconfig.StorePluginConfig{"name": "oras"}
	for i := 0; i < len(keysAndValues); i += 2 {
		cfg[keysAndValues[i].(string)] = keysAndValues[i+1]
	}
	s, err := New(cfg, "1.0.0", o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { s.Close() })
	return s
}

func TestDockerConfig(t *testing.T) {
	f := newFake(t)
	f.password = "secret"
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	write := func(host string) string {
		file := filepath.Join(t.TempDir(), "config.json")
		// user:secret
		if err := os.WriteFile(file, fmt.Appendf(nil, `{"auths":{%q:{"auth":"dXNlcjpzZWNyZXQ="}}}`, host), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	block := func(path string) map[string]any { return map[string]any{"name": "dockerConfig", "configPath": path} }
	wantBlobs(t, f.storeNamed(Options{}, "authProvider", block(write(registryHost))), subject, "signature")
	if err := os.Rename(write(registryHost), filepath.Join(dockerConfig, "config.json")); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(filepath.Join(dockerConfig, "config.json"))
	wantBlobs(t, f.storeNamed(Options{}), subject, "signature")

	_, err := f.storeNamed(Options{}, "authProvider", block(write("other.example.com"))).GetSubjectDescriptor(t.Context(), subject)
	wantError(t, err, "anonymous access", "dockerConfig has no entry for "+registryHost)
	f.counts()
	_, err = f.storeNamed(Options{}, "authProvider", block("/nowhere/config.json")).GetSubjectDescriptor(t.Context(), subject)
	wantError(t, err, "auth provider dockerConfig", "/nowhere/config.json")
	f.wantCalls("an unreadable file", map[string]int{})
}

// hangingProvider hangs in its first call.
type hangingProvider struct {
	testProvider
	reached chan struct{}
	release chan struct{}
}

func (p *hangingProvider) Provide(ctx context.Context, artifact string) (authprovider.AuthConfig, error) {
	config, err := p.testProvider.Provide(ctx, artifact)
	if p.count() == 1 {
		close(p.reached)
		<-p.release
	}
	return config, err
}

// A call that everybody gave up on must not hold up the next one.
func TestProviderHangs(t *testing.T) {
	for _, name := range []string{"slow", "dockerConfig"} {
		hanging := &hangingProvider{testProvider: *user("secret"), reached: make(chan struct{}), release: make(chan struct{})}
		p, err := newProviders([]providerConfig{{field: "authProvider", block: map[string]any{"name": name}}}, true,
			func(map[string]any) (authprovider.AuthProvider, error) { return hanging, nil }, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-hanging.reached
			cancel()
		}()
		_, err = p.Grant(ctx, registryHost+"/app")
		wantError(t, err, "canceled", "waiting for auth provider "+name)
		if grant, err := p.Grant(t.Context(), registryHost+"/app"); err != nil || grant.Credential.Password != "secret" {
			t.Errorf("%s: the next caller got %v", name, err)
		}
		if grant, err := p.Grant(t.Context(), "other.example.com/app"); err != nil || grant.Credential.Password != "secret" {
			t.Errorf("%s: another registry got %v", name, err)
		}
		close(hanging.release)
	}
}

// Two entries of one provider: the one that covers the registry has to hear of the refusal.
func TestRefusalReachesWhoeverCovers(t *testing.T) {
	f := newFake(t)
	f.password = "new"
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	elsewhere := &elsewhereProvider{}
	covering := &refusingProvider{testProvider: *user("old"), next: user("new").config}
	entries := []authprovider.AuthProvider{elsewhere, covering}
	o := Options{NewAuthProvider: func(map[string]any) (authprovider.AuthProvider, error) {
		made := entries[0]
		entries = entries[1:]
		return made, nil
	}}
	wantBlobs(t, f.storeNamed(o, "authProviders", []any{entry("same"), entry("same")}), subject, "signature")
}

// elsewhereProvider covers no registry of the tests.
type elsewhereProvider struct{}

func (*elsewhereProvider) Provide(context.Context, string) (authprovider.AuthConfig, error) {
	return authprovider.AuthConfig{}, authprovider.ErrNotCovered
}

func (*elsewhereProvider) Refused(string, authprovider.AuthConfig) string { return "" }

func TestProviderPanics(t *testing.T) {
	f := newFake(t)
	subject, _ := f.image("app", "v1")
	_, err := f.store(panicking{}).GetSubjectDescriptor(t.Context(), subject)
	wantError(t, err, "panic", "boom")
}

type panicking struct{}

func (panicking) Provide(context.Context, string) (authprovider.AuthConfig, error) { panic("boom") }
