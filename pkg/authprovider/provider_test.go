package authprovider

import (
	"errors"
	"strings"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/acr"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// clearEnv unsets what a developer's environment may hold.
func clearEnv(t *testing.T) {
	for _, name := range []string{acr.EnvInstanceID, rrsa.EnvRoleARN, rrsa.EnvOIDCProviderARN, rrsa.EnvOIDCTokenFile, rrsa.EnvRoleSessionName,
		rrsa.EnvSTSEndpoint, rrsa.EnvSTSRegion, rrsa.EnvVPCEndpointEnabled} {
		t.Setenv(name, "")
	}
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
}

func TestNewNamesTheField(t *testing.T) {
	clearEnv(t)
	for field, cfg := range map[string]map[string]any{
		"defaultInstanceId":                {"defaultInstanceId": "nonsense"},
		"acrInstancesConfig[0].instanceId": {"acrInstancesConfig": []any{map[string]any{"instanceName": "a"}}},
		"timeout":                          {"timeout": 5},
	} {
		_, err := New(cfg, Options{})
		var mistake *acr.ConfigError
		if !errors.As(err, &mistake) || mistake.Field != field || !strings.Contains(err.Error(), Name) {
			t.Errorf("got %v, want a mistake in %s", err, field)
		}
	}
	if _, err := New(map[string]any{"name": "awsEcrBasic"}, Options{}); err == nil {
		t.Error("accepts the configuration of another provider")
	}
}

func TestProvideWithoutCredentials(t *testing.T) {
	clearEnv(t)
	p, err := New(map[string]any{"defaultInstanceId": "cri-demo"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for artifact, want := range map[string]error{
		"docker.io/library/nginx:latest":                      ErrNotCovered,
		"registry.cn-hangzhou.aliyuncs.com/a/b:c":             ErrNotCovered,
		"localhost:5000/a@sha256:0":                           ErrNotCovered,
		"demo-registry.cn-hangzhou.cr.aliyuncs.com:5000/a":    ErrNotCovered,
		"x@demo-registry.cn-hangzhou.cr.aliyuncs.com/a":       ErrNotCovered,
		"demo-registry.cn-hangzhou.cr.aliyuncs.com/ns/repo:v": rrsa.ErrNoIdentity,
	} {
		got, err := p.Provide(t.Context(), artifact)
		if !errors.Is(err, want) || got != (AuthConfig{}) {
			t.Errorf("%s: %+v, %v; want %v", artifact, got, err, want)
		}
		if want != ErrNotCovered && errors.Is(err, ErrNotCovered) {
			t.Errorf("%s: a failure passes for not covered: %v", artifact, err)
		}
	}
	for _, artifact := range []string{"", "nginx", "/a", "demo-registry.cn-hangzhou.cr.aliyuncs.com", "demo-registry.cn-hangzhou.cr.aliyuncs.com/"} {
		if _, err := p.Provide(t.Context(), artifact); err == nil || errors.Is(err, ErrNotCovered) {
			t.Errorf("%q: %v", artifact, err)
		}
		if text := p.Refused(artifact, AuthConfig{}); text != "" {
			t.Errorf("%q refused: %s", artifact, text)
		}
	}
}
