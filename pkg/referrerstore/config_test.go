package referrerstore

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
)

func settingsOf(t *testing.T, keysAndValues ...any) settings {
	t.Helper()
	cfg := storeconfig.StorePluginConfig{}
	for i := 0; i < len(keysAndValues); i += 2 {
		cfg[keysAndValues[i].(string)] = keysAndValues[i+1]
	}
	s, err := parseConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConfig(t *testing.T) {
	defaults := settings{name: "oras", ttl: 10 * time.Second, allowAnonymous: true}
	for text, change := range map[string]func(*settings){
		`{}`: func(*settings) {},
		`{"name":"oras","version":"1.0.0","source":{"artifact":"x"}}`: func(*settings) {},
		`{"name":"store-2"}`:                 func(s *settings) { s.name = "store-2" },
		`{"useHttp":true}`:                   func(s *settings) { s.useHTTP = true },
		`{"useHTTP":"true"}`:                 func(s *settings) { s.useHTTP = true },
		`{"cosignEnabled":true}`:             func(s *settings) { s.cosign = true },
		`{"cacheEnabled":"true","ttl":"60"}`: func(s *settings) { s.cacheEnabled, s.ttl = true, time.Minute },
		`{"cacheEnabled":true,"ttl":60}`:     func(s *settings) { s.cacheEnabled, s.ttl = true, time.Minute },
		`{"ttl":0}`:                          func(*settings) {},
		`{"ttl":172800}`:                     func(s *settings) { s.ttl = 48 * time.Hour },
		`{"ttl":null}`:                       func(*settings) {},
		`{"localCachePath":"/cache"}`:        func(s *settings) { s.localCachePath = "/cache" },
		`{"allowAnonymous":false}`:           func(s *settings) { s.allowAnonymous = false },
		`{"registries":[{"host":"*.corp.example","useHttp":null},{"host":"a.corp.example:5000","useHttp":"true"},{"host":"[::1]:5000"}]}`: func(s *settings) {
			yes := true
			s.registries = []registrySettings{{pattern: pattern{host: "a.corp.example", port: "5000"}, useHTTP: &yes},
				{pattern: pattern{host: "[::1]", port: "5000"}}, {pattern: pattern{suffix: true, host: ".corp.example"}}}
		},
		`{"authProvider":{"name":"x"}}`: func(s *settings) {
			s.providers = []providerConfig{{field: "authProvider", block: map[string]any{"name": "x"}}}
		},
		`{"authProviders":[{"name":"x","registries":["A.b","*.c:5000"]}]}`: func(s *settings) {
			s.providers = []providerConfig{{field: "authProviders[0]", block: map[string]any{"name": "x"},
				patterns: []pattern{{host: "a.b"}, {suffix: true, host: ".c", port: "5000"}}}}
		},
	} {
		cfg := storeconfig.StorePluginConfig{}
		if err := json.Unmarshal([]byte(text), &cfg); err != nil {
			t.Fatal(err)
		}
		want := defaults
		change(&want)
		if got, err := parseConfig(cfg); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	directory := t.TempDir()
	key := filepath.Join(directory, "key.pem")
	if err := os.WriteFile(key, []byte("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`{"cosignEnable":true}`:            `unknown key "cosignEnable": did you mean cosignEnabled?`,
		`{"authProvder":{}}`:               `did you mean authProvider?`,
		`{"something":1}`:                  `unknown key "something": known are allowAnonymous`,
		`{"useHttp":true,"useHTTP":false}`: `the same key`,
		`{"useHttp":"maybe"}`:              `useHttp must be true or false, not "maybe"`,
		`{"useHttp":1}`:                    `useHttp must be`,
		`{"name":""}`:                      `name is empty`,
		`{"name":5}`:                       `name must be text, not 5`,
		`{"ttl":-1}`:                       `ttl must be`,
		`{"ttl":1.5}`:                      `ttl must be`,
		`{"ttl":"10s"}`:                    `ttl must be a number of whole seconds`,
		`{"ttl":2147483648}`:               `ttl must be`,
		`{"ttl":1e300}`:                    `ttl must be`,
		`{"ttl":true}`:                     `ttl must be`,
		`{"localCachePath":[]}`:            `localCachePath must be text`,
		`{"authProvider":"x"}`:             `authProvider must be a block`,
		`{"authProvider":{"name":"x"},"authProviders":[{"name":"y"}]}`:                `exclude each other`,
		`{"authProviders":{"name":"x"}}`:                                              `authProviders must be a list`,
		`{"authProviders":[]}`:                                                        `authProviders must be a list`,
		`{"authProviders":["x"]}`:                                                     `authProviders[0] must be a block`,
		`{"authProviders":[{"name":"x","registries":"a"}]}`:                           `authProviders[0].registries must be a list`,
		`{"authProviders":[{"name":"x","registries":[]}]}`:                            `authProviders[0].registries must be a list`,
		`{"authProviders":[{"name":"x","registries":["a","*"]}]}`:                     `authProviders[0].registries[1] must be`,
		`{"authProviders":[{"name":"x","registries":["*x.com"]}]}`:                    `registries[0]`,
		`{"authProviders":[{"name":"x","registries":["x.*"]}]}`:                       `registries[0]`,
		`{"authProviders":[{"name":"x","registries":["https://x"]}]}`:                 `registries[0]`,
		`{"authProviders":[{"name":"x","registries":["x/y"]}]}`:                       `registries[0]`,
		`{"authProviders":[{"name":"x","registries":["x:"]}]}`:                        `registries[0]`,
		`{"authProviders":[{"name":"x","registries":[""]}]}`:                          `registries[0]`,
		`{"authProviders":[{"name":"x","registries":[7]}]}`:                           `registries[0]`,
		`{"authProviders":[{"nam":"x"}]}`:                                             `authProviders[0].name must be`,
		`{"authProvider":{"name":"nosuch"}}`:                                          `authProvider: auth provider nosuch`,
		`{"registries":{"host":"a"}}`:                                                 `registries must be a list`,
		`{"registries":[]}`:                                                           `registries must be a list`,
		`{"registries":["a"]}`:                                                        `registries[0] must be a block`,
		`{"registries":[{"caBundle":null}]}`:                                          `registries[0].host must be`,
		`{"registries":[{"host":5}]}`:                                                 `registries[0].host must be text`,
		`{"registries":[{"host":"https://a"}]}`:                                       `registries[0].host must be`,
		`{"registries":[{"host":"*.[::1]"}]}`:                                         `registries[0].host must be`,
		`{"registries":[{"host":"[::1"}]}`:                                            `registries[0].host must be`,
		`{"registries":[{"host":"a","caBundel":"x"}]}`:                                `unknown key "registries[0].caBundel": did you mean caBundle?`,
		`{"registries":[{"host":"a","useHttp":"maybe"}]}`:                             `registries[0].useHttp must be true or false`,
		`{"registries":[{"host":"a","caBundle":"/nowhere/ca.pem"}]}`:                  `registries[0].caBundle must be certificates`,
		`{"registries":[{"host":"a"},{"host":"A:443"}]}`:                              `registries[1].host: registries[0] is for A:443, too`,
		`{"caBundle":""}`:                                                             `caBundle must be`,
		`{"caBundle":7}`:                                                              `caBundle must be text`,
		`{"caBundle":"/nowhere/ca.pem"}`:                                              `caBundle must be certificates in PEM, or the path`,
		`{"caBundle":"` + key + `"}`:                                                  `a private key (EC PRIVATE KEY)`,
		`{"caBundle":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}`: `not a valid X.509 certificate`,
		`{"caBundle":"-----BEGIN CERTIFICATE-----"}`:                                  `caBundle must be certificates in PEM`,
		`{"caBundle":"/dev/zero"}`:                                                    `caBundle must be`,
		`{"caBundle":"-----BEGIN` + strings.Repeat(" ", pemfile.MaxBytes) + `"}`:      `caBundle must be`,
	} {
		cfg := storeconfig.StorePluginConfig{}
		if err := json.Unmarshal([]byte(text), &cfg); err != nil {
			t.Fatal(text, err)
		}
		_, err := New(cfg, "", Options{})
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v; want %q", text, err, want)
		}
	}
}

func TestConfigIsKept(t *testing.T) {
	cfg := storeconfig.StorePluginConfig{"name": "oras", "useHttp": "true"}
	s, err := New(cfg, "1.0.0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.GetConfig(); s.Name() != "oras" || got.Version != "1.0.0" || !reflect.DeepEqual(got.Store, cfg) {
		t.Errorf("%s, %+v", s.Name(), got)
	}
}

func FuzzParsePattern(f *testing.F) {
	for _, seed := range []string{"a.b", "*.a.b:5000", "*", "*.*.a", "[::1]:5000", "a:443", "A.B", "a..b", "-a"} {
		f.Add(seed, "x."+strings.TrimPrefix(seed, "*."))
	}
	f.Fuzz(func(t *testing.T, text, registry string) {
		p, ok := parsePattern(text)
		if !ok {
			return
		}
		host, port, ok := splitHost(registry)
		if !ok || !p.matches(host, port) {
			return
		}
		// Whatever matches ends like the pattern, at a whole label.
		if p.suffix && !strings.HasSuffix(host, p.host) || !p.suffix && host != p.host {
			t.Errorf("pattern %q matches %q", text, registry)
		}
		if strings.ContainsAny(p.host, "*/@ ") {
			t.Errorf("pattern %q was taken", text)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add(`{"name":"oras","ttl":"10","authProviders":[{"name":"x","registries":["*.a.b"]}]}`)
	f.Add(`{"caBundle":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}`)
	f.Fuzz(func(t *testing.T, text string) {
		cfg := storeconfig.StorePluginConfig{}
		if strings.Contains(text, "caBundle") || json.Unmarshal([]byte(text), &cfg) != nil {
			return // not to open files of any name
		}
		if s, err := parseConfig(cfg); err == nil && (s.name == "" || s.ttl <= 0) {
			t.Errorf("%s: %+v", text, s)
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"a/b"},"layers":[{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}]}`), false)
	f.Add([]byte(`{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","artifactType":"a/b","blobs":[{"digest":"x","size":-1}]}`), true)
	f.Fuzz(func(t *testing.T, data []byte, artifact bool) {
		mediaType := "application/vnd.oci.image.manifest.v1+json"
		if artifact {
			mediaType = "application/vnd.oci.artifact.manifest.v1+json"
		}
		manifest, err := parseManifest(data, mediaType)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%v is not ErrMalformed", err)
			}
			return
		}
		for _, blob := range manifest.Blobs {
			if blob.Digest.Validate() != nil || blob.Size < 0 || manifest.MediaType != mediaType {
				t.Errorf("%s: %+v", data, manifest)
			}
		}
	})
}
