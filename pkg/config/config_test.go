package config

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	_ "github.com/ratify-project/ratify/pkg/policyprovider/configpolicy"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"
	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

const minimal = `{
  "store":    {"version": "1.0.0", "plugins": [{"name": "memory"}]},
  "policy":   {"version": "1.0.0", "plugin": {"name": "configPolicy"}},
  "verifier": {"version": "1.0.0", "plugins": [{"name": "checker", "artifactTypes": "*"}]}
}`

type memoryStore struct {
	referrerstore.ReferrerStore
	name   string
	closed bool
}

func (s *memoryStore) Name() string { return s.name }
func (s *memoryStore) Close() error { s.closed = true; return nil }

type checker struct {
	verifier.ReferenceVerifier
	name string
}

type provider struct {
	keymanagementprovider.KeyManagementProvider
	err error
}

func (p provider) IsRefreshable() bool { return false }

func (p provider) GetCertificates(context.Context) (map[keymanagementprovider.KMPMapKey][]*x509.Certificate, keymanagementprovider.KeyManagementProviderStatus, error) {
	return map[keymanagementprovider.KMPMapKey][]*x509.Certificate{{Name: "b"}: {{Raw: []byte("b")}}, {Name: "a"}: {{Raw: []byte("a")}}}, nil, p.err
}

func (p provider) GetKeys(context.Context) (map[keymanagementprovider.KMPMapKey]crypto.PublicKey, keymanagementprovider.KeyManagementProviderStatus, error) {
	return map[keymanagementprovider.KMPMapKey]crypto.PublicKey{{Name: "one"}: 1, {Name: "two"}: 2}, nil, nil
}

// parts are factories of which a test sees what they made.
type parts struct {
	stores       []*memoryStore
	certificates []*x509.Certificate
}

func (p *parts) factories() Factories {
	return Factories{
		Stores: map[string]StoreFactory{"memory": func(_ context.Context, c storeconfig.StorePluginConfig, in StoreInput) (referrerstore.ReferrerStore, error) {
			if c["broken"] != nil {
				return nil, errors.New("broken: true is not supported")
			}
			s := &memoryStore{name: in.Version}
			p.stores = append(p.stores, s)
			return s, nil
		}},
		Verifiers: map[string]VerifierFactory{"checker": func(ctx context.Context, c verifierconfig.VerifierConfig, in VerifierInput) (verifier.ReferenceVerifier, error) {
			if name, ok := c["trust"].(string); ok {
				var err error
				if p.certificates, err = in.Certificates(ctx, name); err != nil {
					return nil, err
				}
			}
			return &checker{name: c["name"].(string)}, nil
		}},
		KeyManagementProviders: map[string]KeyManagementProviderFactory{"memory": func(c kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
			if c["down"] != nil {
				return provider{err: errors.New("KMS is down")}, nil
			}
			return provider{}, nil
		}},
	}
}

func TestBuild(t *testing.T) {
	p := &parts{}
	b := &Builder{Factories: p.factories(), Log: discard}
	c, err := Parse("config.json", []byte(strings.NewReplacer(
		`"artifactTypes": "*"`, `"trust": "kmp"`,
		`"policy":`, `"keyManagementProvider": {"plugins": [{"name": "kmp", "type": "memory"}]}, "executor": {"verificationRequestTimeout": 5000}, "policy":`,
	).Replace(minimal)), discard)
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Build(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	engine := verification.NewEngine(verification.Options{})
	engine.Load(s)
	if now := engine.Begin(); s.Generation() != 1 || now.VerifyTimeout() != 5*time.Second || now.MutateTimeout() != 950*time.Millisecond {
		t.Errorf("generation %d, time-outs %s and %s", s.Generation(), now.VerifyTimeout(), now.MutateTimeout())
	}
	if len(p.certificates) != 2 || string(p.certificates[0].Raw) != "a" {
		t.Errorf("certificates %v, want those of a and b in order", p.certificates)
	}
	if scope := s.Scope(""); len(scope.Stores) != 1 || len(scope.Verifiers) != 1 || scope.Policy == nil {
		t.Errorf("scope %+v", scope)
	}
	if again, err := b.Build(t.Context(), c); err != nil || again.Generation() != 2 {
		t.Errorf("again: %v %v", again, err)
	}
}

func TestBuildNamesTheFaultAndLeavesNothing(t *testing.T) {
	for name, tt := range map[string]struct{ old, new, want string }{
		"no store":           {`[{"name": "memory"}]`, `[]`, "store.plugins is empty"},
		"store without name": {`[{"name": "memory"}]`, `[{}]`, "store.plugins[0].name is missing"},
		"second store":       {`[{"name": "memory"}]`, `[{"name": "memory"}, {"name": "memory", "broken": true}]`, "store.plugins[1] (memory): broken"},
		"unknown store":      {`[{"name": "memory"}]`, `[{"name": "gone"}]`, "store.plugins[0] (gone)"},
		"no verifier":        {`[{"name": "checker", "artifactTypes": "*"}]`, `[]`, "verifier.plugins is empty"},
		"verifier's name":    {`"name": "checker"`, `"name": 7`, "verifier.plugins[0].name: 7 is not a name"},
		"verifier's type":    {`"name": "checker"`, `"name": "checker", "type": []`, "verifier.plugins[0] (checker): type: "},
		"unknown verifier":   {`"name": "checker"`, `"name": "gone"`, "verifier.plugins[0] (gone)"},
		"policy":             {`"configPolicy"`, `"gone"`, "policy.plugin"},
		"unknown provider":   {`"artifactTypes": "*"`, `"trust": "kmp"`, `no key management provider "kmp"; configured: none`},
		"provider's type":    {`"policy":`, `"keyManagementProvider": {"plugins": [{"name": "kmp", "type": "gone"}]}, "policy":`, `keyManagementProvider.plugins[0] (kmp): type: "gone" is not one of memory`},
		"provider twice":     {`"policy":`, `"keyManagementProvider": {"plugins": [{"name": "kmp", "type": "memory"}, {"name": "kmp", "type": "memory"}]}, "policy":`, `keyManagementProvider.plugins[1] (kmp): name: "kmp" is the name of another entry`},
		"provider down":      {`"policy":`, `"keyManagementProvider": {"plugins": [{"name": "kmp", "type": "memory", "down": true}]}, "policy":`, "keyManagementProvider.plugins[0] (kmp): there is no key material: KMS is down"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(minimal, tt.old) {
				t.Fatalf("%q is not in the configuration", tt.old)
			}
			c, err := Parse("config.json", []byte(strings.Replace(minimal, tt.old, tt.new, 1)), discard)
			if err != nil {
				t.Fatal(err)
			}
			p := &parts{}
			b := &Builder{Factories: p.factories(), Log: discard}
			if _, err := b.Build(t.Context(), c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			for _, s := range p.stores {
				if !s.closed {
					t.Error("a store of a configuration that was not loaded was left open")
				}
			}
		})
	}
}

func TestParseSaysWhere(t *testing.T) {
	for content, want := range map[string]string{
		"":                                 "unexpected end",
		"{\n\"store\": {\n,":               "line 3",
		`{"store": 7}`:                     "store",
		`{"logger": {"formatter": "xml"}}`: "logger.formatter",
		`{"executor": {"mutationRequestTimeout": 0}}`: "executor.mutationRequestTimeout is 0",
	} {
		if _, err := Parse("config.json", []byte(content), discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

// Upstream's chart quotes the list: what its ConfigMap says by default is "[]", and "[a b]" where two headers are set.
func TestParseReadsTraceHeadersAsTheChartWritesThem(t *testing.T) {
	for value, want := range map[string][]string{
		`"[]"`: {}, `"[X-Trace  X-Request]"`: {"X-Trace", "X-Request"}, `"X-Trace"`: {"X-Trace"}, `["X-Trace", ""]`: {"X-Trace"}, `null`: {},
	} {
		c, err := Parse("config.json", []byte(`{"logger": {"requestHeaders": {"traceIDHeaderName": `+value+`}}}`), discard)
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		if got := c.Logger.RequestHeaders.TraceIDHeaderName; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
	if _, err := Parse("config.json", []byte(`{"logger": {"requestHeaders": {"traceIDHeaderName": 7}}}`), discard); err == nil || !strings.Contains(err.Error(), "traceIDHeaderName") {
		t.Errorf("a number: %v", err)
	}
}

func TestParseTellsOfMisspeltFields(t *testing.T) {
	var log bytes.Buffer
	if _, err := Parse("config.json", []byte(`{"verifer": {}}`), slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "verifer") {
		t.Errorf("log: %s", &log)
	}
}

func TestLoadIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, bytes.Repeat([]byte(" "), maxFileBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, discard); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Error(err)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "gone"), discard); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestPaths(t *testing.T) {
	t.Setenv("RATIFY_CONFIG", "/etc/ratify")
	if Path("") != "/etc/ratify/config.json" || PluginDir() != "/etc/ratify/plugins" || Path("x") != "x" {
		t.Errorf("%s %s", Path(""), PluginDir())
	}
}

func TestFilesAreAllThatTheConfigurationNames(t *testing.T) {
	c, err := Parse("config.json", []byte(`{
	  "store": {"plugins": [{"name": "oras", "caBundle": " /etc/ca.crt "}, {"name": "oras", "caBundle": "-----BEGIN CERTIFICATE-----",
	    "registries": [{"host": "a", "caBundle": "/etc/a.crt"}, {"host": "b", "caBundle": 7}, "c"]}]},
	  "policy": {"plugin": {"name": "regopolicy", "policyPath": "/etc/policy.rego"}},
	  "verifier": {"plugins": [{"name": "notation", "verificationCerts": ["/etc/certs", 7]},
	    {"name": "cosign", "key": "/etc/cosign.pub", "trustPolicies": [{"keys": [{"provider": "kmp"}, {"file": "/etc/a.pub"}]}, {"keys": "x"}]}]}}`), discard)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/etc/ca.crt", "/etc/a.crt", "/etc/policy.rego", "/etc/certs", "/etc/cosign.pub", "/etc/a.pub"}
	if got := c.files(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Upstream's factories take the types of some fields for granted, and a bad edit must not end the process.
func TestBuildSurvivesPanicOfFactory(t *testing.T) {
	c, err := Parse("config.json", []byte(strings.Replace(minimal, `"name": "checker"`, `"name": "checker", "trust": 7`, 1)), discard)
	if err != nil {
		t.Fatal(err)
	}
	p := &parts{}
	factories := p.factories()
	factories.Verifiers["checker"] = func(_ context.Context, c verifierconfig.VerifierConfig, _ VerifierInput) (verifier.ReferenceVerifier, error) {
		return &checker{name: c["trust"].(string)}, nil
	}
	_, err = (&Builder{Factories: factories, Log: discard}).Build(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "verifier.plugins[0] (checker)") {
		t.Errorf("got %v", err)
	}
	if !p.stores[0].closed {
		t.Error("the store was left open")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(`{"store":{"plugins":[null]},"verifier":{"plugins":[{"verificationCerts":[1,"~/x"]}]}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := Parse("config.json", content, discard)
		if err != nil {
			return
		}
		_ = c.files()
		// Whatever it says, it must build or name a fault; external plugins are looked for in an empty directory.
		t.Setenv("RATIFY_CONFIG", "/nonexistent")
		if s, err := (&Builder{Factories: (&parts{}).factories(), Log: discard}).Build(t.Context(), c); (s == nil) == (err == nil) {
			t.Errorf("%v %v", s, err)
		}
	})
}
