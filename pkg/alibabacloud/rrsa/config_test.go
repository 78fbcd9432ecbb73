package rrsa

import (
	"errors"
	"strings"
	"testing"
)

// complete is a Config that lacks nothing.
func complete() Config {
	return Config{RoleARN: "acs:ram::1:role/r", OIDCProviderARN: "acs:ram::1:oidc-provider/p", TokenFile: "token"}
}

func TestEndpointChoice(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*Config)
		want string
	}{
		"nothing known":     {func(*Config) {}, "sts.aliyuncs.com"},
		"region":            {func(c *Config) { c.Region = "cn-beijing" }, "sts.cn-beijing.aliyuncs.com"},
		"region and VPC":    {func(c *Config) { c.Region, c.VPC = "cn-beijing", true }, "sts-vpc.cn-beijing.aliyuncs.com"},
		"VPC alone":         {func(c *Config) { c.VPC = true }, "sts.aliyuncs.com"},
		"finance":           {func(c *Config) { c.Region = "cn-hangzhou-finance" }, "sts.cn-hangzhou.aliyuncs.com"},
		"finance VPC":       {func(c *Config) { c.Region, c.VPC = "cn-hangzhou-finance", true }, "sts-vpc.cn-hangzhou.aliyuncs.com"},
		"endpoint over all": {func(c *Config) { c.Region, c.VPC, c.Endpoint = "cn-beijing", true, "https://sts.example" }, "sts.example"},
	} {
		c := complete()
		tc.edit(&c)
		if p, err := New(c); err != nil || p.Endpoint() != tc.want {
			t.Errorf("%s: %v, %v; want %s", name, p, err, tc.want)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	for want, edit := range map[string]func(*Config){
		EnvRoleARN + " not set":                                          func(c *Config) { c.RoleARN = "" },
		EnvOIDCProviderARN + " not set":                                  func(c *Config) { c.OIDCProviderARN = "" },
		EnvOIDCTokenFile + " not set":                                    func(c *Config) { c.TokenFile = "" },
		EnvRoleARN + ", " + EnvOIDCProviderARN + ", " + EnvOIDCTokenFile: func(c *Config) { *c = Config{} },
		"over https only":                                                func(c *Config) { c.Endpoint = "http://sts.example" },
		EnvSTSRegion:                                                     func(c *Config) { c.Region = "evil.example/" },
		EnvRoleSessionName:                                               func(c *Config) { c.SessionName = "a b" },
	} {
		c := complete()
		edit(&c)
		_, err := New(c)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if strings.Contains(want, "not set") && (!errors.Is(err, ErrNoIdentity) || !strings.Contains(err.Error(), "pod-identity.alibabacloud.com/injection") ||
			!strings.Contains(err.Error(), "pod-identity.alibabacloud.com/role-name")) {
			t.Errorf("%v: want ErrNoIdentity and what to check", err)
		}
	}
}

func TestFromEnv(t *testing.T) {
	for name, value := range map[string]string{EnvRoleARN: "role", EnvOIDCProviderARN: "provider", EnvOIDCTokenFile: "file", EnvRoleSessionName: "session",
		EnvSTSEndpoint: "endpoint", EnvSTSRegion: "region", EnvVPCEndpointEnabled: "True"} {
		t.Setenv(name, value)
	}
	got := FromEnv()
	if got.RoleARN != "role" || got.OIDCProviderARN != "provider" || got.TokenFile != "file" || got.SessionName != "session" ||
		got.Endpoint != "endpoint" || got.Region != "region" || !got.VPC {
		t.Errorf("got %+v", got)
	}
}
