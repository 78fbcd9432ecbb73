package acr

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/identity"
)

// parse reads a configuration as it stands in a manifest.
func parse(t *testing.T, manifest string) (Config, error) {
	t.Helper()
	var raw map[string]any
	if err := yaml.Unmarshal([]byte(manifest), &raw); err != nil {
		t.Fatal(err)
	}
	return ParseConfig(raw)
}

// clearEnv unsets what a developer's or another test's environment may hold.
func clearEnv(t *testing.T) {
	for _, name := range []string{EnvInstanceID, "ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
		"ALIBABA_CLOUD_ROLE_SESSION_NAME", "ALIBABA_CLOUD_STS_ENDPOINT", "ALIBABA_CLOUD_STS_REGION", "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED",
		"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"} {
		t.Setenv(name, "")
	}
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
}

func TestParseConfig(t *testing.T) {
	clearEnv(t)
	c, err := parse(t, `
name: alibabacloudAcrBasic
defaultInstanceId: cri-ccccccccc
acrInstancesConfig:
- instanceName: name1
  instanceId: cri-aaaaaaaaaaaa
- instanceName: Name2
  instanceid: cri-bbbbbbbbbbbb   # keys are not case-sensitive
  region: cn-shanghai
  domains: [Registry.Example.com, "reg.example.com:8443", "tls.example.com:443"]
  endpoint: https://cr.example.com/
- marketplace: cri-dddddddddddd
discoverInstances: "true"
region: cn-beijing
network: vpc
endpoint:
timeout: 1500ms
credential: {type: access_key, accessKeyId: id, accessKeySecret: secret}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{Name: "alibabacloudAcrBasic", DefaultInstanceID: "cri-ccccccccc", DiscoverInstances: true, Region: "cn-beijing", Network: "vpc",
		Timeout: 1500 * time.Millisecond, Instances: []Instance{
			{Name: "name1", ID: "cri-aaaaaaaaaaaa"},
			{Name: "name2", ID: "cri-bbbbbbbbbbbb", Region: "cn-shanghai", Domains: []string{"registry.example.com", "reg.example.com:8443", "tls.example.com"}, Endpoint: "cr.example.com"},
			{Name: "marketplace", ID: "cri-dddddddddddd"}},
		Credential: &identity.Credential{Type: "access_key", AccessKeyID: "id", AccessKeySecret: "secret"}}
	got, expected := asJSON(t, c), asJSON(t, want)
	if got != expected {
		t.Errorf("got  %s\nwant %s", got, expected)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestParseConfigFromEnv(t *testing.T) {
	clearEnv(t)
	t.Setenv(EnvInstanceID, "cri-fromenv")
	t.Setenv("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", "true")
	t.Setenv("ALIBABA_CLOUD_STS_REGION", "cn-qingdao")
	// What the chart renders of its default values.
	c, err := parse(t, "name: alibabacloudAcrBasic\ndefaultInstanceId:\nacrInstancesConfig:\n  []\n")
	if err != nil || c.DefaultInstanceID != "cri-fromenv" || c.Network != NetworkVPC || c.Region != "cn-qingdao" || c.Timeout != defaultTimeout {
		t.Errorf("got %+v, %v", c, err)
	}
	if c, err = parse(t, "{defaultInstanceId: cri-explicit, network: public, region: cn-beijing}"); err != nil ||
		c.DefaultInstanceID != "cri-explicit" || c.Network != NetworkPublic || c.Region != "cn-beijing" {
		t.Errorf("the environment overrides what is explicit: %+v, %v", c, err)
	}
	t.Setenv(EnvInstanceID, "not-an-id")
	if _, err = parse(t, "{}"); err == nil || !strings.Contains(err.Error(), EnvInstanceID) {
		t.Errorf("malformed ID in the environment: %v", err)
	}
}

func TestParseConfigMistakes(t *testing.T) {
	clearEnv(t)
	instances := func(s string) string { return "acrInstancesConfig: [" + s + "]" }
	for manifest, want := range map[string][2]string{ // field, and words of the problem
		"defaultInstanceID1: cri-a":                                      {"defaultInstanceID1", "did you mean defaultInstanceId?"},
		"acrInstanceConfig: []":                                          {"acrInstanceConfig", "did you mean acrInstancesConfig?"},
		"registry: x":                                                    {"registry", "unknown key; known are acrInstancesConfig, credential,"},
		"{network: vpc, Network: vpc}":                                   {"network", "twice"},
		"defaultInstanceId: 123":                                         {"defaultInstanceId", "want text, got a number"},
		"defaultInstanceId: [cri-a]":                                     {"defaultInstanceId", "want text, got a list"},
		"defaultInstanceId: instance":                                    {"defaultInstanceId", `"instance" is not an instance ID`},
		"defaultInstanceId: cri-ABC":                                     {"defaultInstanceId", "is not an instance ID"},
		"defaultInstanceId: ' cri-abc'":                                  {"defaultInstanceId", "is not an instance ID"},
		"defaultInstanceId: cri-":                                        {"defaultInstanceId", "is not an instance ID"},
		"acrInstancesConfig: {name1: cri-a}":                             {"acrInstancesConfig", "want a list, got keys and values"},
		instances("cri-a"):                                               {"acrInstancesConfig[0]", "want keys and values, got text"},
		instances("{}"):                                                  {"acrInstancesConfig[0].instanceName", "must not be empty"},
		instances("{instanceId: cri-a}"):                                 {"acrInstancesConfig[0].instanceName", "must not be empty"},
		instances("{instanceName: a}"):                                   {"acrInstancesConfig[0].instanceId", "must not be empty"},
		instances("{name1: nonsense}"):                                   {"acrInstancesConfig[0].name1", "unknown key"},
		instances("{instanceIdd: cri-a}"):                                {"acrInstancesConfig[0].instanceIdd", "did you mean instanceId?"},
		instances("{a: cri-a, b: cri-b}"):                                {"acrInstancesConfig[0].a", "unknown key"},
		instances("{name1: cri-a}, {name2: cri-b, region: cn-hangzhou}"): {"acrInstancesConfig[1].name2", "unknown key"},
		instances("{instanceName: a, instanceId: cri-A}"):                {"acrInstancesConfig[0].instanceId", "is not an instance ID"},
		instances("{instanceName: a b, instanceId: cri-a}"):              {"acrInstancesConfig[0].instanceName", "is not the name"},
		instances("{instanceName: a, instanceId: cri-a}, {instanceName: A, instanceId: cri-b}"):              {"acrInstancesConfig[1].instanceName", "acrInstancesConfig[0] already"},
		instances("{instanceName: demo-registry.cn-hangzhou.cr.aliyuncs.com, instanceId: cri-a}"):            {"acrInstancesConfig[0].instanceName", "its instance is demo"},
		instances("{instanceName: a, instanceId: cri-a, region: Hangzhou}"):                                  {"acrInstancesConfig[0].region", "is not a region ID"},
		instances("{instanceId: cri-a, domains: [r.example.com]}"):                                           {"acrInstancesConfig[0].region", "custom domains do not name one"},
		instances("{instanceId: cri-a, region: cn-hangzhou, domains: ['*.example.com']}"):                    {"acrInstancesConfig[0].domains[0]", "is not a host"},
		instances("{instanceId: cri-a, region: cn-hangzhou, domains: [https://r.example.com]}"):              {"acrInstancesConfig[0].domains[0]", "is not a host"},
		instances("{instanceId: cri-a, region: cn-hangzhou, domains: [r.example.com, 'R.example.com:443']}"): {"acrInstancesConfig[0].domains[1]", "already"},
		instances("{instanceName: a, instanceId: cri-a, endpoint: 'http://cr.example.com'}"):                 {"acrInstancesConfig[0].endpoint", "https only"},
		"network: VPN":                        {"network", `want vpc or public, got "VPN"`},
		"region: cn":                          {"region", "is not a region ID"},
		"endpoint: cr.example.com/path":       {"endpoint", "is not a host"},
		"stsEndpoint: 'http://sts.example'":   {"stsEndpoint", "https only"},
		"timeout: 5":                          {"timeout", "want a duration with its unit"},
		"timeout: -1s":                        {"timeout", "more than 0"},
		"timeout: 2h":                         {"timeout", "at most 1m0s"},
		"discoverInstances: sometimes":        {"discoverInstances", "want true or false"},
		"credential: access_key":              {"credential", "want keys and values"},
		"credential: {}":                      {"credential.type", `"" is not one of access_key, credentials_uri,`},
		"credential: {type: bearer}":          {"credential.type", `"bearer" is not one of`},
		"credential: {type: oidc_role_arn}":   {"credential.type", "needs no credential block"},
		"credential: {type: access_key}":      {"credential.accessKeyId", "is needed by type access_key"},
		"credential: {type: credentials_uri}": {"credential.url", "is needed"},
		"credential: {type: sts, accessKeyId: a, accessKeySecret: hush-hush}":              {"credential.securityToken", "is needed"},
		"credential: {type: ram_role_arn, accessKeyId: a, accessKeySecret: hush-hush}":     {"credential.roleArn", "is needed"},
		"credential: {type: access_key, accessKeySecrett: hush-hush}":                      {"credential.accessKeySecrett", "did you mean accessKeySecret?"},
		"credential: {type: access_key, accessKeySecret: {value: hush-hush}}":              {"credential.accessKeySecret", "want text, got keys and values"},
		"credential: {type: access_key, accessKeyId: 'hush-hush', accessKeySecret: 97531}": {"credential.accessKeySecret", "put it in quotes"},
	} {
		_, err := parse(t, manifest)
		var mistake *ConfigError
		if !errors.As(err, &mistake) || mistake.Field != want[0] || !strings.Contains(err.Error(), want[1]) {
			t.Errorf("%s:\n got %v\nwant %s: … %s …", manifest, err, want[0], want[1])
		}
		if err != nil && (strings.Contains(err.Error(), "hush-hush") || strings.Contains(err.Error(), "97531")) {
			t.Errorf("%s: the error shows a secret: %v", manifest, err)
		}
	}
}

func TestCredentialFromEnv(t *testing.T) {
	clearEnv(t)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "hush-hush")
	t.Setenv("ALIBABA_CLOUD_SECURITY_TOKEN", "hush-token")
	c, err := parse(t, "credential: {type: sts}")
	if err != nil || *c.Credential != (identity.Credential{Type: "sts", AccessKeyID: "id", AccessKeySecret: "hush-hush", SecurityToken: "hush-token"}) {
		t.Fatalf("got %v, %v", c, err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, c); strings.Contains(text, "hush") {
			t.Errorf("%s shows a secret: %s", format, text)
		}
		if text := fmt.Sprintf(format, *c.Credential); strings.Contains(text, "hush") {
			t.Errorf("%s shows a secret: %s", format, text)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Setenv(EnvInstanceID, "")
	for _, seed := range []string{
		`{"name":"alibabacloudAcrBasic","defaultInstanceId":"cri-a","acrInstancesConfig":[{"instanceName":"a","instanceId":"cri-a","domains":["a.b"],"region":"cn-hangzhou"}]}`,
		`{"acrInstancesConfig":[{"name1":"cri-a"}],"timeout":"1s","credential":{"type":"sts"}}`, `{"discoverInstances":"true","endpoint":"https://a/"}`,
		`{"credential":null,"acrInstancesConfig":[null]}`, `{"Network":"vpc","network":1e999}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var raw map[string]any
		if json.Unmarshal(content, &raw) != nil {
			return
		}
		c, err := ParseConfig(raw)
		if err != nil {
			return
		}
		for _, i := range c.Instances {
			if !instanceID.MatchString(i.ID) || i.Name == "" && len(i.Domains) == 0 {
				t.Errorf("%s gave instance %+v", content, i)
			}
		}
	})
}
