package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/ratify-project/ratify/pkg/common"

	runner "github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/plugin"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/store"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// The signatures of each kind of image get the right verdict, with anchors from both places and with both stores, by tag and by digest.
func TestVerify(t *testing.T) {
	w := newWorld(t)
	w.Cloud.KMS().PutSecret("anchors", w.Anchors())
	acr := map[string]any{"name": store.Name}
	oras := map[string]any{"name": "oras", "authProvider": map[string]any{"name": "alibabacloudAcrBasic"}}
	for _, tt := range []struct {
		repository string
		kind       scenario.Kind
		success    bool
		says       string
	}{
		{"jws", scenario.SignedJWS, true, "signed by CN=releases"},
		{"cose", scenario.SignedCOSE, true, "signed by CN=releases"},
		{"self", scenario.SelfSigned, true, "signed by CN=kms"},
		{"tampered", scenario.Tampered, false, "integrity"},
		{"stranger", scenario.Stranger, false, "no trust store holds"},
		{"another", scenario.AnothersSignature, false, "not for this image"},
		{"expired", scenario.Expired, false, "CN=retired"},
	} {
		t.Run(tt.repository, func(t *testing.T) {
			s := push(t, w, tt.repository, tt.kind)
			for _, stdin := range []string{
				input(t, inlineConfig(w.Anchors()), acr, s.desc),
				input(t, kmsConfig(), oras, s.desc),
			} {
				for _, subject := range []string{s.tagged, s.digested} {
					if got := verdict(t, stdin, subject); got.IsSuccess != tt.success || !strings.Contains(got.Message, tt.says) {
						t.Errorf("isSuccess=%t, %s; want %t, %q", got.IsSuccess, got.Message, tt.success, tt.says)
					}
				}
			}
		})
	}
}

// With a cache, runs share one session for the registry and KMS with the store's, and each signature still costs a read of the anchors. A session
// that has ended is fetched anew by the run that finds out, and one that KMS refuses admits nothing.
func TestSessionCache(t *testing.T) {
	w := newWorld(t)
	w.Cloud.KMS().PutSecret("anchors", w.Anchors())
	t.Setenv("ALIBABA_CLOUD_STS_REGION", "cn-hangzhou") // which the webhook sets: else each region that is configured has an STS of its own
	s := push(t, w, "app", scenario.SignedJWS)
	folder, err := os.MkdirTemp("/dev/shm", "alibabacloudnotation-test-")
	if err != nil {
		t.Skipf("there is no file system in memory: %v", err)
	}
	defer os.RemoveAll(folder)
	stdin := input(t, kmsConfig(), map[string]any{"name": store.Name, "tokenCache": folder}, s.desc)
	for _, step := range []struct {
		name         string
		before       func()
		sts, cr, kms int
	}{
		{"the first run", func() {}, 1, 1, 1},
		{"the next one", func() {}, 0, 0, 1},
		{"after the token was renewed", func() { w.Cloud.WriteTokenFile(emulator.TokenOptions{}) }, 0, 0, 1},
		{"after the session was revoked", w.Cloud.RevokeSessions, 1, 0, 2},
		{"with the new session", func() {}, 0, 0, 1},
	} {
		step.before()
		w.Cloud.ResetCalls()
		if got := verdict(t, stdin, s.digested); !got.IsSuccess {
			t.Errorf("%s: %s", step.name, got.Message)
		}
		sts, cr, kms := w.Cloud.Endpoint("sts.cn-hangzhou.aliyuncs.com").Calls(), w.Cloud.Endpoint("cr.cn-hangzhou.aliyuncs.com").Calls(),
			w.Cloud.Endpoint("kms.cn-hangzhou.aliyuncs.com").Calls()
		if sts != step.sts || cr != step.cr || kms != step.kms {
			t.Errorf("%s: %d calls to STS, %d to the registry's API and %d to KMS; want %d, %d and %d", step.name, sts, cr, kms, step.sts, step.cr, step.kms)
		}
	}
	w.Cloud.RevokeSessions()
	w.Cloud.Endpoint("sts.cn-hangzhou.aliyuncs.com").SetFault(emulator.Fault{Status: http.StatusForbidden})
	if e := failure(t, stdin, call(s.digested)...); e.Code != 8 || !strings.Contains(e.Details, "sts.cn-hangzhou.aliyuncs.com") {
		t.Errorf("without a session: %+v", e)
	}
}

// Our own runner of plugins takes the results, too.
func TestOwnRunner(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		repository string
		kind       scenario.Kind
		success    bool
	}{{"good", scenario.SignedCOSE, true}, {"bad", scenario.Stranger, false}} {
		s := push(t, w, tt.repository, tt.kind)
		v, err := runner.New(inlineConfig(w.Anchors()), runner.Options{Version: "1.0.0", Directories: []string{all.Folder(t)}})
		if err != nil {
			t.Fatal(err)
		}
		path, _, _ := strings.Cut(s.digested, "@")
		got, err := v.Verify(t.Context(), common.Reference{Path: path, Tag: "v1", Original: s.tagged}, s.desc, openedBy(t, w))
		if err != nil || got.IsSuccess != tt.success || got.VerifierName != name {
			t.Errorf("%s: Verify() = %+v, %v", tt.kind, got, err)
		}
	}
}

// What cannot be found out is an error that names who failed, and no verdict.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	w.Cloud.KMS().PutSecret("anchors", w.Anchors())
	s := push(t, w, "app", scenario.SignedJWS)
	stdin := input(t, kmsConfig(), map[string]any{"name": store.Name}, s.desc)
	for _, host := range []string{"sts.aliyuncs.com", "cr.cn-hangzhou.aliyuncs.com", "kms.cn-hangzhou.aliyuncs.com", "dockerauth.cn-hangzhou.aliyuncs.com",
		scenario.Demo.Host} {
		service := w.Cloud.Endpoint(host)
		service.SetFault(emulator.Fault{Status: http.StatusForbidden})
		if e := failure(t, stdin, call(s.digested)...); e.Code != 8 || !strings.Contains(e.Details, host) {
			t.Errorf("%s fails: %+v", host, e)
		}
		service.SetFault(emulator.Fault{})
	}
	if e := failure(t, stdin, call(strings.Replace(s.digested, "/app", "/none", 1))...); e.Code != 8 || !strings.Contains(e.Details, "/none") {
		t.Errorf("an image that is not there: %+v", e)
	}
	w.Cloud.KMS().PutSecret("anchors", "text")
	if e := failure(t, stdin, call(s.digested)...); e.Code != 8 || !strings.Contains(e.Details, "secret anchors") {
		t.Errorf("a secret without certificates: %+v", e)
	}
}

// Every bad input gets the protocol's error, and nobody is asked.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	s := push(t, w, "app", scenario.SignedJWS)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	ours := map[string]any{"name": store.Name}
	with := func(key string, value any) string {
		c := inlineConfig(w.Anchors())
		c[key] = value
		return input(t, c, ours, s.desc)
	}
	provider := func(block map[string]any) string { return with("keyManagementProviders", []any{block}) }
	good := input(t, inlineConfig(w.Anchors()), ours, s.desc)
	for _, tt := range []struct {
		name  string
		stdin string
		env   []string
		code  uint
		says  string
	}{
		{"no environment", good, []string{"RATIFY_VERIFIER_COMMAND="}, 4, "RATIFY_VERIFIER_COMMAND"},
		{"unknown command", good, []string{"RATIFY_VERIFIER_COMMAND=SIGN"}, 3, "SIGN"},
		{"unknown version", good, []string{"RATIFY_VERIFIER_VERSION=3"}, 6, `"3"`},
		{"bad subject", good, []string{"RATIFY_VERIFIER_SUBJECT=A b"}, 7, "RATIFY_VERIFIER_SUBJECT"},
		{"no input", "", nil, 1, "standard input"},
		{"no object", "[]", nil, 1, "standard input"},
		{"another shape", `{"config":[]}`, nil, 1, "standard input"},
		{"empty object", "{}", nil, 2, "no name"},
		{"no digest", `{"config":{"name":"a"}}`, nil, 7, "referenceDesc.digest"},
		{"no store", input(t, inlineConfig(""), nil, s.desc), nil, 2, "storeConfig.store.name"},
		{"another store", input(t, inlineConfig(""), map[string]any{"name": "mine"}, s.desc), nil, 2, "mine"},
		{"a store that is a list", input(t, inlineConfig(""), map[string]any{"name": []any{"oras"}}, s.desc), nil, 2, "storeConfig.store.name"},
		{"unknown key of the store", input(t, inlineConfig(""), map[string]any{"name": "oras", "cosign": true}, s.desc), nil, 2, "cosignEnabled"},
		{"unknown key", with("trustPolicy", 1), nil, 2, "trustPolicy"},
		{"providers that are no list", with("keyManagementProviders", map[string]any{}), nil, 2, "keyManagementProviders"},
		{"a provider without a name", provider(map[string]any{"type": "inline"}), nil, 2, "keyManagementProviders[0].name"},
		{"a provider without a type", provider(map[string]any{"name": "a"}), nil, 2, "inline, alibabacloudkms"},
		{"a provider with a mistake", provider(map[string]any{"name": "a", "type": "alibabacloudkms", "certs": 1}), nil, 2, "keyManagementProviders[0]"},
		{"a provider twice", with("keyManagementProviders", []any{map[string]any{"name": "a", "type": "inline", "contentType": "certificate", "value": w.Root()},
			map[string]any{"name": "a", "type": "inline"}}), nil, 2, "keyManagementProviders[1].name"},
		{"a certificate that is none", input(t, inlineConfig("text"), ours, s.desc), nil, 2, "value"},
		{"a provider that is not there", provider(map[string]any{"name": "b", "type": "inline", "contentType": "certificate", "value": w.Root()}), nil, 8,
			`"anchors" in keyManagementProviders; configured: b`},
		{"no policy", with("trustPolicyDoc", nil), nil, 2, "trustPolicyDoc"},
		{"nobody there", good, nil, 8, "127.0.0.1:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if e := failure(t, tt.stdin, append(call(s.digested), tt.env...)...); e.Code != tt.code || !strings.Contains(e.Error(), tt.says) {
				t.Errorf("it prints %+v; want code %d and %q", e, tt.code, tt.says)
			}
		})
	}
}

// Whatever the configuration is, reading it asks nobody and ends with an error or with what it says.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"name":"a","keyManagementProviders":[{"name":"a","type":"inline","contentType":"certificate","value":"x"}]}`))
	f.Add([]byte(`{"keyManagementProviders":[{"name":"a","type":"alibabacloudkms","region":"cn-hangzhou","certificates":[{"secretName":"a"}]}]}`))
	f.Add([]byte(`{"keyManagementProviders":null}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		var cfg map[string]any
		if json.Unmarshal(content, &cfg) != nil {
			t.Skip("refused before")
		}
		rest, material, err := takeKeyMaterial(cfg, nil)
		if err == nil && (rest["keyManagementProviders"] != nil || material == nil) {
			t.Errorf("it keeps %v and takes %v", rest, material)
		}
	})
}
