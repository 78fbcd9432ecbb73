package emulator_test

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/alibabacloud-go/tea/tea"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

// refused reports whether a registry answered 401.
func refused(err error) bool {
	var response *errcode.ErrorResponse
	return errors.As(err, &response) && response.StatusCode == http.StatusUnauthorized
}

func TestLifetimes(t *testing.T) {
	now := testclock.At(time.Now())
	cloud := start(t, emulator.Options{Now: now.Now, SessionLifetime: 20 * time.Minute, TokenLifetime: 30 * time.Minute, BearerLifetime: time.Minute})
	image := push(t, cloud, demoID, demoHost+"/team/app")
	byRole := crClient(t, cloud, crHost, session(t, cloud, stsHost))
	byKey := crClient(t, cloud, crHost, accessKey(t, cloud))

	response, err := getToken(byRole, demoID)
	if err != nil {
		t.Fatal(err)
	}
	if end, want := time.UnixMilli(tea.Int64Value(response.Body.ExpireTime)), now.Now().Add(20*time.Minute); end.After(want) || want.Sub(end) > time.Second {
		t.Errorf("the password of a session ends at %s, want the session's end %s", end, want)
	}
	if response, err = getToken(byKey, demoID); err != nil {
		t.Fatal(err)
	}
	if end, want := tea.Int64Value(response.Body.ExpireTime), now.Now().Add(30*time.Minute).UnixMilli(); end != want {
		t.Errorf("the password of an access key ends at %d, want %d", end, want)
	}

	credential := password(t, byRole, demoID)
	token := bearer(t, cloud, credential, demoID, "repository:team/app:pull")
	manifest := "/v2/team/app/manifests/" + image.Digest.String()
	if got := getWithBearer(t, cloud, demoHost, manifest, token); got.StatusCode != http.StatusOK {
		t.Errorf("fresh Bearer token: %s", got.Status)
	}
	now.Advance(time.Minute)
	if got := getWithBearer(t, cloud, demoHost, manifest, token); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("Bearer token after a minute: %s", got.Status)
	}
	bearer(t, cloud, credential, demoID, "repository:team/app:pull") // the password outlives it
	now.Advance(19 * time.Minute)
	if _, err := repository(t, cloud.Transport(), demoHost+"/team/app", credential).Resolve(soon(t), "v1"); !refused(err) {
		t.Errorf("password after the session's end: error %v, want 401", err)
	}
}

func TestSessionsEnd(t *testing.T) {
	now := testclock.At(time.Now())
	cloud := start(t, emulator.Options{Now: now.Now, SessionLifetime: 10 * time.Minute})
	live, err := session(t, cloud, stsHost).GetCredential()
	if err != nil {
		t.Fatal(err)
	}
	client := crClient(t, cloud, crHost, static(t, tea.StringValue(live.AccessKeyId), tea.StringValue(live.AccessKeySecret), tea.StringValue(live.SecurityToken)))
	password(t, client, demoID)
	now.Advance(10 * time.Minute)
	_, err = getToken(client, demoID)
	refusedWith(t, err, 400, "InvalidSecurityToken.Expired")
}

func TestRevocation(t *testing.T) {
	cloud := start(t, emulator.Options{})
	image := push(t, cloud, demoID, demoHost+"/team/app")
	live, err := session(t, cloud, stsHost).GetCredential()
	if err != nil {
		t.Fatal(err)
	}
	client := crClient(t, cloud, crHost, static(t, tea.StringValue(live.AccessKeyId), tea.StringValue(live.AccessKeySecret), tea.StringValue(live.SecurityToken)))
	credential := password(t, client, demoID)
	token := bearer(t, cloud, credential, demoID, "repository:team/app:pull")
	manifest := "/v2/team/app/manifests/" + image.Digest.String()

	cloud.RevokeSessions()
	_, err = getToken(client, demoID)
	refusedWith(t, err, 400, "InvalidSecurityToken.Expired")
	password(t, crClient(t, cloud, crHost, accessKey(t, cloud)), demoID)
	bearer(t, cloud, credential, demoID, "repository:team/app:pull")

	cloud.RevokePasswords()
	if _, err := repository(t, cloud.Transport(), demoHost+"/team/app", credential).Resolve(soon(t), "v1"); !refused(err) {
		t.Errorf("revoked password: error %v, want 401", err)
	}
	if got := getWithBearer(t, cloud, demoHost, manifest, token); got.StatusCode != http.StatusOK {
		t.Errorf("Bearer token of a revoked password: %s", got.Status)
	}

	cloud.RevokeBearers()
	if got := getWithBearer(t, cloud, demoHost, manifest, token); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("revoked Bearer token: %s", got.Status)
	}
}

// TestFaultsReachTheSDKs checks one fault per service through its real client; the network package tests each kind.
func TestFaultsReachTheSDKs(t *testing.T) {
	cloud := start(t, emulator.Options{})
	push(t, cloud, demoID, demoHost+"/team/app")
	client := crClient(t, cloud, crHost, accessKey(t, cloud))
	credential := password(t, client, demoID)

	cloud.Endpoint(stsHost).SetFault(emulator.Fault{Status: 503, Body: "<html>", Times: 1})
	role := session(t, cloud, stsHost)
	if _, err := role.GetCredential(); err == nil || !strings.Contains(err.Error(), "<html>") {
		t.Errorf("STS down: error %v", err)
	}
	if _, err := role.GetCredential(); err != nil {
		t.Errorf("STS up again: error %v", err)
	}
	throttled := `{"Code":"Throttling.User","Message":"Request was denied due to user flow control.","RequestId":"R"}`
	cloud.Endpoint(crHost).SetFault(emulator.Fault{Status: 429, Body: throttled, Header: http.Header{"Content-Type": {"application/json"}}, Times: 1})
	_, err := getToken(client, demoID)
	refusedWith(t, err, 429, "Throttling.User")
	password(t, client, demoID)

	for _, host := range []string{authHost, demoHost} {
		cloud.Endpoint(host).SetFault(emulator.Fault{Reset: true})
		if _, err := repository(t, cloud.Transport(), demoHost+"/team/app", credential).Resolve(soon(t), "v1"); err == nil {
			t.Errorf("%s resets connections, and the pull succeeded", host)
		}
		cloud.Endpoint(host).SetFault(emulator.Fault{})
		if _, err := repository(t, cloud.Transport(), demoHost+"/team/app", credential).Resolve(soon(t), "v1"); err != nil {
			t.Errorf("%s serves again: error %v", host, err)
		}
	}
}

func TestHosts(t *testing.T) {
	cloud := start(t, emulator.Options{})
	add(t, cloud, emulator.Instance{Name: "open", NoVPC: true, Region: "cn-heyuan"})
	add(t, cloud, emulator.Instance{Name: "new", Region: "xx-new-1"})
	transport := cloud.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	for host, want := range map[string]bool{
		"sts.aliyuncs.com":                                    true,
		"STS.eu-central-1.aliyuncs.com":                       true,
		"sts-vpc.cn-shanghai.aliyuncs.com":                    true,
		"cr.xx-new-1.aliyuncs.com":                            true,
		"cr-vpc.xx-new-1.aliyuncs.com":                        true,
		"new-registry.xx-new-1.cr.aliyuncs.com":               true,
		"cr.cn-heyuan.aliyuncs.com":                           true,
		"cr-vpc.cn-heyuan.aliyuncs.com":                       false,
		"cr-vpc.cn-wulanchabu.aliyuncs.com":                   false,
		"open-registry.cn-heyuan.cr.aliyuncs.com":             true,
		"open-registry-vpc.cn-heyuan.cr.aliyuncs.com":         false,
		"open-registry.cn-hangzhou.cr.aliyuncs.com":           false,
		"sts.xx-old-1.aliyuncs.com":                           false,
		"kms.cn-hangzhou.aliyuncs.com":                        true,
		"kms-vpc.cn-heyuan.aliyuncs.com":                      true,
		"kms.xx-old-1.aliyuncs.com":                           false,
		"kst-hzz0.cryptoservice.kms.aliyuncs.com":             false,
		"aliyuncs.com":                                        false,
		demoHost + ".evil.aliyuncs.com":                       false,
		"registry.cn-hangzhou.aliyuncs.com":                   false,
		"100.100.100.200":                                     false,
		"demo-registry.cn-hangzhou.personal.cr.aliyuncs.com":  false,
		"demo-registry-vpc.distributed.cr-hangzhou.evil.test": false,
	} {
		request, err := http.NewRequestWithContext(soon(t), http.MethodGet, "https://"+host+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err == nil {
			response.Body.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: served is %t, want %t (%v)", host, err == nil, want, err)
		}
	}
	if got := cloud.Calls()["100.100.100.200 CONNECT"]; got != 1 {
		t.Errorf("%d attempts to reach the metadata service counted, want 1", got)
	}
}

func TestMistakesInInstances(t *testing.T) {
	cloud := start(t, emulator.Options{})
	add(t, cloud, emulator.Instance{Name: "shop", Domains: []string{"registry.example.com"}})
	for _, test := range []struct {
		instance emulator.Instance
		text     string
	}{
		{emulator.Instance{Name: "Demo"}, "name"},
		{emulator.Instance{Name: ""}, "name"},
		{emulator.Instance{Name: "demo", ID: "cri-x"}, "id"},
		{emulator.Instance{Name: "again", ID: demoID}, "taken"},
		{emulator.Instance{Name: "demo", ID: "cri-demo000000000009"}, demoHost},
		{emulator.Instance{Name: "late", Domains: []string{"Registry.example.com"}}, "registry.example.com"},
		{emulator.Instance{Name: "late", Domains: []string{"https://registry"}}, "domain"},
		{emulator.Instance{Name: "late", Region: "Hangzhou"}, "region"},
	} {
		if err := cloud.AddInstance(test.instance); err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%+v: error %v, want one with %q", test.instance, err, test.text)
		}
	}
	if _, err := emulator.Start(emulator.Options{Region: "Hangzhou"}); err == nil {
		t.Error("a malformed region was accepted")
	}
}

func TestTokenFile(t *testing.T) {
	cloud := start(t, emulator.Options{})
	var path string
	for _, entry := range cloud.PodEnv() {
		if value, found := strings.CutPrefix(entry, "ALIBABA_CLOUD_OIDC_TOKEN_FILE="); found {
			path = value
		}
	}
	before, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(string(before), "\n") {
		t.Fatalf("%s: %q, error %v", path, before, err)
	}
	if got := cloud.WriteTokenFile(emulator.TokenOptions{}); got != path {
		t.Errorf("another path: %s, want %s", got, path)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) == string(before) {
		t.Errorf("the token is the same as before, error %v", err)
	}
	if err := cloud.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("after Close: %v, want no file", err)
	}
}
