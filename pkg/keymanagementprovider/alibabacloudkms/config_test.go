package alibabacloudkms

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

func TestNewRefuses(t *testing.T) {
	podWithoutIdentity(t)
	const (
		secret = `"certificates": [{"secretName": "a"}]`
		rights = `"credential": {"type": "access_key", "accessKeyId": "LTAIx", "accessKeySecret": "s3cr3t"}`
	)
	many := func(entry string) string {
		var list []string
		for i := range maxEntries + 1 {
			list = append(list, fmt.Sprintf(entry, i))
		}
		return strings.Join(list, ",")
	}
	for _, test := range []struct{ parameters, want string }{
		{`{"region": "cn-hangzhou",` + rights + `}`, "parameter certificates: neither certificates nor keys"},
		{`{"certificates": "a"}`, "parameter certificates: is a JSON string where a list is expected"},
		{`{"certificates": ["a"]}`, "parameter certificates[0]: is a JSON string where an object is expected"},
		{`{"certificates": [{"secretName": "a"}, {"secretname": 1}]}`, "parameter certificates[1].secretName: is a JSON number"},
		{`{"certificates": [null]}`, "parameter certificates[0].secretName: is missing"},
		{`{"certificates": [{"name": "a"}]}`, "parameter certificates[0].name: is unknown; known are secretName"},
		{`{"certificates": [{"secretName": "a", "version": "v"}]}`, "parameter certificates[0].version: is unknown"},
		{`{"certificates": [{"secretName": "a", "versionStage": "ACSCurrent", "versionId": "v"}]}`,
			"parameter certificates[0].versionId: cannot be used together with versionStage"},
		{`{"certificates": [{"secretName": "a"}, {"secretName": "b"}, {"secretName": "a", "versionStage": "ACSCurrent"}]}`,
			"parameter certificates[2]: is the same as certificates[0]"},
		{`{"certificates": [` + many(`{"secretName": "s%d"}`) + `]}`, "parameter certificates: has 51 entries; at most 50"},
		{`{"keys": [` + many(`{"keyId": "k%d"}`) + `]}`, "parameter keys: has 51 entries; at most 50"},
		{`{"keys": [{"keyVersionId": "v"}]}`, "parameter keys[0].keyId: is missing"},
		{`{"keys": [{"keyid": "k"}, {"keyId": "k"}]}`, "parameter keys[1]: is the same as keys[0]"},
		{`{"keys": [{"keyId": "k"}, {"keyId": "k", "keyVersionId": "v"}]}`, "parameter keys[1]: is of the same key as keys[0]"},
		{`{` + secret + `, "timeout": "5"}`, `parameter timeout: want a duration with its unit, such as "10s", and at most 15s; got "5"`},
		{`{` + secret + `, "timeout": "-1s"}`, "parameter timeout"},
		{`{` + secret + `, "timeout": "1m"}`, "parameter timeout"},
		{`{` + secret + `, "timeout": 5}`, "parameter timeout: is a JSON number where a string is expected"},
		{`{"keys": [{"keyId": "k"}], "endpoint": "kst-a.cryptoservice.kms.aliyuncs.com",` + rights + `}`,
			"parameter region: is needed for keys, and ALIBABA_CLOUD_KMS_REGION_ID"},
		{`{` + secret + `, ` + rights + `}`, "parameter region"},
		{`{` + secret + `, "region": "Hangzhou", ` + rights + `}`, "parameter region"},
		{`{` + secret + `, "region": "cn-hangzhou", "network": "internal", ` + rights + `}`, "parameter network"},
		{`{` + secret + `, "endpoint": "http://kms.example.com", ` + rights + `}`, "parameter endpoint"},
		{`{` + secret + `, "endpoint": "kms.example.com", "caBundle": "hello", ` + rights + `}`, "parameter caBundle"},
		{`{` + secret + `, "region": "cn-hangzhou"}`, rrsa.ErrNoIdentity.Error()},
		{`{` + secret + `, "region": "cn-hangzhou", "credential": {"type": "key"}}`, `parameter credential.type: "key" is not one of`},
		{`{` + secret + `, "region": "cn-hangzhou", "credential": {"type": "access_key", "accessKeyId": "LTAIx"}}`,
			"parameter credential.accessKeySecret: is needed"},
		{`{` + secret + `, "region": "cn-hangzhou", "credential": "s3cr3t"}`, "parameter credential: is a JSON string where an object is expected"},
		{`{` + secret + `, "regoin": "cn-hangzhou"}`, "parameter regoin: is unknown; did you mean region?"},
	} {
		_, err := New(block(t, test.parameters), Options{})
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v; want ErrConfig with %q", test.parameters, err, test.want)
		}
	}
	if _, err := New(config.KeyManagementProviderConfig{"certificates": func() {}}, Options{}); !errors.Is(err, ErrConfig) {
		t.Errorf("a function as a parameter: %v", err)
	}
}

// New succeeds while nothing answers, with the region of the environment, and without one where none is needed.
func TestNewAsksNobody(t *testing.T) {
	cloud := startCloud(t)
	for name, test := range map[string]struct{ env, parameters string }{
		"KMS's region": {EnvRegion, `{"keys": [{"keyId": "k"}]}`},
		"STS's region": {rrsa.EnvSTSRegion, `{"keys": [{"keyId": "k"}], "credential": null}`},
		"an endpoint":  {"", `{"certificates": [{"secretName": "a"}], "endpoint": "https://kst-a.cryptoservice.kms.aliyuncs.com/"}`},
		"all that there is": {"", `{"certificates": [{"secretName": "a", "versionId": "v"}, {"secretName": "a", "versionId": "w"}, {"secretName": "a"}],
			"keys": [{"keyId": "k", "keyVersionId": "v"}, {"keyId": "k", "keyVersionId": "w"}], "region": "cn-hangzhou", "network": "vpc", "timeout": "3s",
			"stsEndpoint": "sts.example.com", "roleArn": "r", "oidcProviderArn": "o", "oidcTokenFile": "/t", "roleSessionName": "name"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if test.env != "" {
				t.Setenv(test.env, "cn-beijing")
			}
			p, err := New(block(t, test.parameters), Options{Transport: cloud.Transport()})
			if err != nil {
				t.Fatal(err)
			}
			if test.env != "" && !strings.Contains(p.client.String(), "kms.cn-beijing.aliyuncs.com") {
				t.Errorf("asks %s", p.client)
			}
			if !p.IsRefreshable() || p.DefaultRefreshInterval() != DefaultRefreshInterval {
				t.Error("is not read again")
			}
		})
	}
	if calls := cloud.Calls(); len(calls) > 0 {
		t.Errorf("calls %v", calls)
	}
}
