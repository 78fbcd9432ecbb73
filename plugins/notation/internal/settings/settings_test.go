package settings

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// official is the environment of Alibaba Cloud's documentation of its own plugin.
func official(t testing.TB) map[string]string {
	return map[string]string{
		"ALIBABA_CLOUD_ACCESS_KEY_ID": "AKID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hush-secret",
		EnvEndpoint: "kst-hzz1.cryptoservice.kms.aliyuncs.com", EnvClientKeyFile: filepath.Join(t.TempDir(), "clientkey"), EnvPassword: "hush-password\n",
		EnvCAFile: filepath.Join(t.TempDir(), "privatekmsca"),
	}
}

// setenv makes env the environment, as far as settings go by it.
func setenv(t testing.TB, env map[string]string) {
	for _, name := range os.Environ() {
		if name, _, _ := strings.Cut(name, "="); strings.HasPrefix(name, "ALIBABA") || strings.HasPrefix(name, "ALICLOUD") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	for name, value := range env {
		t.Setenv(name, value)
	}
}

func TestParse(t *testing.T) {
	setenv(t, nil)
	s, err := Parse(nil)
	if err != nil || s.CredentialType != "default" || s.ByClientKey() || s.Region != "cn-hangzhou" || s.Endpoint != "" || s.OutputCertDir != "." ||
		s.Timeout != 30*time.Second || s.CertValidity != 365*24*time.Hour || s.CertSubject != nil {
		t.Errorf("nothing: %+v, %v", s, err)
	}

	setenv(t, official(t))
	s, err = Parse(map[string]string{"output_cert_dir": "/certs"})
	if err != nil || !s.ByClientKey() || s.Endpoint != "kst-hzz1.cryptoservice.kms.aliyuncs.com" || s.OutputCertDir != "/certs" || s.password != "hush-password" {
		t.Errorf("official: %+v, %v", s, err)
	}

	setenv(t, map[string]string{EnvRegion: "cn-beijing", EnvEndpoint: "one", EnvClientKeyFile: "file"})
	s, err = Parse(map[string]string{"credential_type": "access_key", "endpoint": "two", "region": "cn-shanghai", "network": "vpc", "key_version": "v1",
		"timeout": "1m", "cert_subject": "C=CN,ST=Zhejiang,O=Example", "cert_validity": "30d"})
	if err != nil || s.ByClientKey() || s.Endpoint != "two" || s.Region != "cn-shanghai" || s.Network != "vpc" || s.KeyVersion != "v1" ||
		s.Timeout != time.Minute || s.CertValidity != 30*24*time.Hour || s.CertSubject.String() != "O=Example,ST=Zhejiang,C=CN" {
		t.Errorf("plugin-config over environment: %+v, %v", s, err)
	}
}

func TestParseRefuses(t *testing.T) {
	without := func(names ...string) map[string]string {
		env := official(t)
		for _, name := range names {
			delete(env, name)
		}
		return env
	}
	for name, tt := range map[string]struct {
		env    map[string]string
		config map[string]string
		want   []string
	}{
		"misspelt":               {nil, map[string]string{"output_certs_dir": "x"}, []string{"plugin-config output_certs_dir", "did you mean output_cert_dir?"}},
		"unknown":                {nil, map[string]string{"self_signed": "true"}, []string{"plugin-config self_signed", "known are output_cert_dir, ca_certs"}},
		"empty":                  {nil, map[string]string{"ca_certs": ""}, []string{"plugin-config ca_certs", "is empty"}},
		"folder of ~":            {nil, map[string]string{"output_cert_dir": "~/certs"}, []string{"plugin-config output_cert_dir", "~/certs", "$HOME"}},
		"file of ~":              {map[string]string{EnvClientKeyFile: "~/clientkey"}, nil, []string{EnvClientKeyFile, "~/clientkey", "$HOME"}},
		"file and secret":        {nil, map[string]string{"ca_certs": "x", "cert_secret": "y"}, []string{"plugin-config ca_certs", "cert_secret exclude"}},
		"file and subject":       {nil, map[string]string{"ca_certs": "x", "cert_subject": "y"}, []string{"plugin-config cert_subject", "ca_certs exclude"}},
		"secret and validity":    {nil, map[string]string{"cert_secret": "x", "cert_validity": "y"}, []string{"plugin-config cert_validity", "cert_secret exclude"}},
		"subject":                {nil, map[string]string{"cert_subject": "CN=x"}, []string{"plugin-config cert_subject", "lacks C"}},
		"validity":               {nil, map[string]string{"cert_validity": "1h"}, []string{"plugin-config cert_validity", "between 2d and 3650d"}},
		"timeout":                {nil, map[string]string{"timeout": "30"}, []string{"plugin-config timeout", "30s"}},
		"short timeout":          {nil, map[string]string{"timeout": "1ms"}, []string{"plugin-config timeout", "between"}},
		"credential type":        {nil, map[string]string{"credential_type": "magic"}, []string{"plugin-config credential_type", `"magic"`, "client_key, default"}},
		"no client key":          {nil, map[string]string{"credential_type": "client_key"}, []string{EnvClientKeyFile, "is not set"}},
		"no password":            {without(EnvPassword), nil, []string{EnvPassword, "is not set", "Password.txt"}},
		"no endpoint":            {without(EnvEndpoint), nil, []string{EnvEndpoint, "is not set", "cryptoservice"}},
		"version and client key": {official(t), map[string]string{"key_version": "v1"}, []string{"plugin-config key_version", "client keys"}},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, tt.env)
			_, err := Parse(tt.config)
			checkError(t, err, tt.want)
		})
	}
}

// checkError checks that err names what is wrong and shows no secret.
func checkError(t *testing.T, err error, want []string) {
	t.Helper()
	mistake, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %T %v, want an *Error", err, err)
	}
	if mistake.Name != want[0] {
		t.Errorf("the error is about %q, want %q", mistake.Name, want[0])
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("a secret in %v", err)
	}
}

func TestClientRefuses(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("hush-garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(changes map[string]string) map[string]string {
		env := official(t)
		env[EnvClientKeyFile] = garbage
		delete(env, EnvCAFile)
		maps.Copy(env, changes)
		return env
	}
	ak := map[string]string{"credential_type": "access_key"}
	for name, tt := range map[string]struct {
		env    map[string]string
		config map[string]string
		want   []string
	}{
		"client key absent":    {with(map[string]string{EnvClientKeyFile: "/absent/clientkey"}), nil, []string{EnvClientKeyFile, "/absent/clientkey"}},
		"client key garbage":   {with(nil), nil, []string{EnvClientKeyFile}},
		"CA absent":            {with(map[string]string{EnvCAFile: "/absent/ca"}), nil, []string{EnvCAFile, "/absent/ca"}},
		"CA garbage":           {with(map[string]string{EnvCAFile: garbage}), ak, []string{EnvCAFile}},
		"CA empty":             {with(map[string]string{EnvCAFile: empty}), ak, []string{EnvCAFile, "is empty"}},
		"CA without endpoint":  {with(map[string]string{EnvCAFile: garbage, EnvEndpoint: ""}), ak, []string{EnvCAFile}},
		"endpoint in env":      {with(map[string]string{EnvEndpoint: "http://kms"}), ak, []string{EnvEndpoint, "https"}},
		"endpoint in config":   {with(nil), map[string]string{"credential_type": "access_key", "endpoint": "a b"}, []string{"plugin-config endpoint", `"a b"`}},
		"region in env":        {with(map[string]string{EnvRegion: "hangzhou"}), ak, []string{EnvRegion, `"hangzhou"`}},
		"region in config":     {with(nil), map[string]string{"credential_type": "access_key", "region": "x"}, []string{"plugin-config region", `"x"`}},
		"network":              {with(nil), map[string]string{"credential_type": "access_key", "network": "lan"}, []string{"plugin-config network", `"lan"`}},
		"client key is a pipe": {with(map[string]string{EnvClientKeyFile: t.TempDir()}), nil, []string{EnvClientKeyFile, "regular"}},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, tt.env)
			s, err := Parse(tt.config)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Client()
			checkError(t, err, tt.want)
		})
	}
}

func TestClientWithoutCredentials(t *testing.T) {
	setenv(t, map[string]string{"HOME": t.TempDir()})
	for _, kind := range []string{"access_key", "sts", "ram_role_arn", "oidc_role_arn", "credentials_uri"} {
		s, err := Parse(map[string]string{"credential_type": kind})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Client(); !errors.Is(err, ErrNoCredentials) || !strings.Contains(err.Error(), "ALIBABA_CLOUD_") {
			t.Errorf("%s: %v, want ErrNoCredentials that names a variable", kind, err)
		}
	}
	s, err := Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := s.Client()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.DescribeKey(t.Context(), "key-hzz1"); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("default: %v, want ErrNoCredentials", err)
	}
}

func TestClientOfTheSharedGateway(t *testing.T) {
	env := official(t) // whose CA file does not exist, and is the dedicated instance's
	setenv(t, env)
	for _, host := range []string{"kms.cn-hangzhou.aliyuncs.com", "https://kms-vpc.cn-hangzhou.aliyuncs.com"} {
		s, err := Parse(map[string]string{"credential_type": "access_key", "endpoint": host})
		if err != nil {
			t.Fatal(err)
		}
		if client, err := s.Client(); err != nil || !strings.Contains(client.String(), strings.TrimPrefix(host, "https://")) {
			t.Errorf("%s: %v, %v", host, client, err)
		}
	}
}

// Only a shared gateway is known to have a certificate of a public authority.
func TestCAFile(t *testing.T) {
	for host, shared := range map[string]bool{"kms.cn-hangzhou.aliyuncs.com": true, "https://kms-vpc.cn-hangzhou.aliyuncs.com": true,
		"kst-hzz1.cryptoservice.kms.aliyuncs.com": false, "kms.example.com": false, "127.0.0.1:8443": false} {
		setenv(t, map[string]string{EnvCAFile: "ca.pem"})
		s, err := Parse(map[string]string{"endpoint": host})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CAFile(); (got == "") != shared {
			t.Errorf("%s: %q", host, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("timeout", "30s", "cert_subject", "C=CN,ST=Zhejiang,O=Example")
	f.Add("cert_validity", "365d", "network", "vpc")
	f.Add("tiemout", "\x00", "endpoint", "a:1")
	setenv(f, nil)
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 string) {
		s, err := Parse(map[string]string{key1: value1, key2: value2})
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		if s.Timeout < minTimeout || s.CertValidity < 48*time.Hour || s.OutputCertDir == "" {
			t.Errorf("%+v", s)
		}
	})
}
