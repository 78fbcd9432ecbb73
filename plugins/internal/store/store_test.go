package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratify-project/ratify/pkg/referrerstore/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore"
)

func TestOpen(t *testing.T) {
	disk := t.TempDir()
	for _, tt := range []struct {
		name string
		cfg  config.StorePluginConfig
		says string // of the error; "": there is none
	}{
		{"the plugin's store alone", config.StorePluginConfig{"name": Name}, ""},
		{"with what Ratify adds", config.StorePluginConfig{"name": Name, "version": "1.0.0", "source": map[string]any{"artifact": "a"}}, ""},
		{"with Docker's configuration", config.StorePluginConfig{"name": Name, "authProvider": map[string]any{"name": "dockerConfig"}}, ""},
		{"with two providers", config.StorePluginConfig{"name": Name, "AuthProviders": []any{map[string]any{"name": "alibabacloudAcrBasic"},
			map[string]any{"name": "dockerConfig", "registries": []any{"docker.io"}}}}, ""},
		{"Ratify's own store", config.StorePluginConfig{"name": "oras", "cosignEnabled": true, "localCachePath": filepath.Join(disk, "cache")}, ""},
		{"an unknown key", config.StorePluginConfig{"name": Name, "tokencache": "/dev/shm/x"}, `unknown key "tokencache"`},
		{"an instance with a mistake", config.StorePluginConfig{"name": Name, "authProvider": map[string]any{"name": "alibabacloudAcrBasic",
			"defaultInstanceId": "demo"}}, "defaultInstanceId"},
		{"image pull secrets outside of a cluster", config.StorePluginConfig{"name": Name, "authProvider": map[string]any{"name": "k8Secrets"}}, "k8Secrets"},
		{"an unknown provider", config.StorePluginConfig{"name": Name, "authProvider": map[string]any{"name": "mine"}}, "plugins have"},
		{"a cache on a disk", config.StorePluginConfig{"name": Name, "tokenCache": "/etc"}, "tokenCache: /etc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s *referrerstore.Store
			cache, err := OpenCache(tt.cfg)
			if err == nil {
				if s, err = Open(tt.cfg, "1.0.0", cache); err == nil {
					defer s.Close()
				}
			}
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Open() = %v, want %q", err, tt.says)
			}
		})
	}
}

// Passwords are for whom Alibaba Cloud's variables name, whatever their order and that of the keys.
func TestIdentity(t *testing.T) {
	whose := "me"
	identity := func(block map[string]any) string {
		t.Helper()
		text, err := identityOf(block, whose)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	block := map[string]any{"name": "alibabacloudAcrBasic", "region": "cn-hangzhou"}
	t.Setenv("ALIBABA_CLOUD_ROLE_ARN", "one")
	t.Setenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "a")
	first := identity(block)
	os.Unsetenv("ALIBABA_CLOUD_ROLE_ARN")
	os.Setenv("ALIBABA_CLOUD_ROLE_ARN", "one") // comes last now
	t.Setenv("UNRELATED", "x")
	if again := identity(block); again != first {
		t.Errorf("the order matters: %q, %q", first, again)
	}
	os.Setenv("ALIBABA_CLOUD_ROLE_ARN", "two")
	if other := identity(block); other == first {
		t.Error("another role has the same identity")
	}
	os.Setenv("ALIBABA_CLOUD_ROLE_ARN", "one")
	block["region"] = "cn-shanghai"
	if other := identity(block); other == first {
		t.Error("another region has the same identity")
	}
	block["region"], whose = "cn-hangzhou", "another"
	if other := identity(block); other == first {
		t.Error("another's sessions have the same identity")
	}
	whose = "me"
	os.Setenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "a\nALIBABA_CLOUD_ROLE_ARN=one")
	os.Unsetenv("ALIBABA_CLOUD_ROLE_ARN")
	if other := identity(block); other == first {
		t.Error("a variable that looks like two has the same identity")
	}
}
