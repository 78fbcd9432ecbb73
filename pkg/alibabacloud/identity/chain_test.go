package identity

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
)

// setEnv gives this process an environment without credentials, files of them and metadata service, and then the variables.
func setEnv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "ALIBABA") || strings.HasPrefix(name, "ALICLOUD_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	for name, value := range env {
		t.Setenv(name, value)
	}
}

func TestChainFromTheEnvironment(t *testing.T) {
	key := map[string]string{EnvAccessKeyID: "id", EnvAccessKeySecret: "hush"}
	session := map[string]string{EnvAccessKeyID: "id", EnvAccessKeySecret: "hush", EnvSecurityToken: "token"}
	for name, tc := range map[string]struct {
		kind string
		env  map[string]string
		who  string // of String
		id   string // of the access key; empty if asking would go out
		err  string
	}{
		"access key":              {env: key, who: "access_key", id: "id"},
		"session":                 {env: session, who: "sts", id: "id"},
		"the key of a session":    {kind: "access_key", env: session, who: "access_key", id: "id"},
		"old SDK's names":         {env: map[string]string{"ALICLOUD_ACCESS_KEY": "old", "ALICLOUD_SECRET_KEY": "hush"}, who: "access_key", id: "old"},
		"old SDK's session":       {env: map[string]string{"ALICLOUD_ACCESS_KEY": "old", "ALICLOUD_SECRET_KEY": "hush", "ALICLOUD_ACCESS_KEY_STS_TOKEN": "t"}, who: "sts", id: "old"},
		"the command's names":     {env: map[string]string{"ALICLOUD_ACCESS_KEY_ID": "cli", "ALICLOUD_ACCESS_KEY_SECRET": "hush"}, who: "access_key", id: "cli"},
		"names by precedence":     {env: map[string]string{EnvAccessKeyID: "id", EnvAccessKeySecret: "hush", "ALICLOUD_ACCESS_KEY": "old"}, who: "access_key", id: "id"},
		"key without secret":      {env: map[string]string{EnvAccessKeyID: "id"}, err: EnvAccessKeySecret + " not set"},
		"secret without key":      {env: map[string]string{EnvAccessKeySecret: "hush"}, err: EnvAccessKeyID + " not set"},
		"sts without token":       {kind: "sts", env: key, err: EnvSecurityToken + " not set"},
		"no access key":           {kind: "access_key", err: EnvAccessKeyID + ", " + EnvAccessKeySecret + " not set"},
		"RRSA":                    {env: podEnv, who: "RRSA"},
		"RRSA, asked for":         {kind: "oidc_role_arn", env: podEnv, who: "RRSA"},
		"key before RRSA":         {env: merge(podEnv, key), who: "access_key", id: "id"},
		"no RRSA":                 {kind: "oidc_role_arn", err: "ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN, ALIBABA_CLOUD_OIDC_TOKEN_FILE"},
		"role":                    {kind: "ram_role_arn", env: merge(key, map[string]string{"ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/r"}), who: "ram_role_arn"},
		"role without its ARN":    {kind: "ram_role_arn", env: key, err: "ALIBABA_CLOUD_ROLE_ARN not set"},
		"no URI":                  {kind: "credentials_uri", err: EnvCredentialsURI + " not set"},
		"nonsense":                {kind: "nonsense", err: `credential_type: "nonsense" is not one of default, access_key`},
		"default, asked for":      {kind: KindDefault, env: key, who: "access_key", id: "id"},
		"broken STS endpoint":     {env: merge(podEnv, map[string]string{"ALIBABA_CLOUD_STS_ENDPOINT": "http://sts"}), err: "ALIBABA_CLOUD_STS_ENDPOINT"},
		"nothing but the chain":   {who: "default credential chain"},
		"ECS role, not asked yet": {kind: "ecs_ram_role", env: map[string]string{EnvECSRole: "r", "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "false"}, who: "ecs_ram_role"},
	} {
		t.Run(name, func(t *testing.T) {
			setEnv(t, tc.env)
			source, err := Chain(tc.kind, Config{Region: "cn-hangzhou"})
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), "hush") {
					t.Errorf("got %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || !strings.Contains(source.String(), tc.who) {
				t.Fatalf("got %v, %v; want %s", source, err, tc.who)
			}
			if tc.id == "" {
				return
			}
			if c, err := source.Credential(t.Context()); err != nil || c.AccessKeyID != tc.id || c.AccessKeySecret != "hush" ||
				(c.SecurityToken != "") != (tc.who == "sts") {
				t.Errorf("got %v, %v", c, err)
			}
		})
	}
	setEnv(t, nil)
	_, err := Chain("nonsense", Config{})
	if mistake, ok := errors.AsType[*parameter.Error](err); !ok || mistake.Field != "credential_type" {
		t.Errorf("%v is no *parameter.Error about credential_type", err)
	}
}

var podEnv = map[string]string{"ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/r", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/p",
	"ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/var/run/token"}

func merge(all ...map[string]string) map[string]string {
	merged := make(map[string]string)
	for _, m := range all {
		for name, value := range m {
			merged[name] = value
		}
	}
	return merged
}

func TestChainFromAURI(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // credentials-go makes a transport for each call
		fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":"STS.uri","AccessKeySecret":"s","SecurityToken":"t","Expiration":%q}`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(server.Close)
	for _, kind := range []string{"", "credentials_uri"} {
		setEnv(t, map[string]string{EnvCredentialsURI: server.URL})
		source, err := Chain(kind, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := source.Credential(t.Context()); err != nil || c.AccessKeyID != "STS.uri" {
			t.Errorf("%q: got %v, %v", kind, c, err)
		}
	}
}

func TestChainFromFiles(t *testing.T) {
	setEnv(t, nil)
	source, err := Chain("", Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.Credential(t.Context()); err == nil || !strings.Contains(err.Error(), EnvAccessKeyID) || !strings.Contains(err.Error(), "aliyun configure") {
		t.Errorf("without any credentials: %v", err)
	}
	// What was not there may be there later.
	home := os.Getenv("HOME")
	if err := os.Mkdir(filepath.Join(home, ".aliyun"), 0o700); err != nil {
		t.Fatal(err)
	}
	profile := `{"current":"p","profiles":[{"name":"p","mode":"AK","access_key_id":"profile","access_key_secret":"s"}]}`
	if err := os.WriteFile(filepath.Join(home, ".aliyun", "config.json"), []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := source.Credential(t.Context()); err != nil || c.AccessKeyID != "profile" {
		t.Errorf("with a profile: %v, %v", c, err)
	}
}
