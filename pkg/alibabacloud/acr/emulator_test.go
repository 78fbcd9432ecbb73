package acr

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
)

const (
	demoID  = "cri-demo000000000001"
	stsHost = "sts.cn-hangzhou.aliyuncs.com"
	crHost  = "cr.cn-hangzhou.aliyuncs.com"
)

// startCloud starts the emulator with instance demo, and gives this process the environment of a pod in it.
func startCloud(t *testing.T, o emulator.Options) *emulator.Cloud {
	t.Helper()
	clearEnv(t)
	cloud := emulatortest.Start(t, o)
	if err := cloud.AddInstance(emulator.Instance{Name: "demo", ID: demoID}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ALIBABA_CLOUD_ROLE_ARN", cloud.RoleARN())
	t.Setenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", cloud.OIDCProviderARN())
	t.Setenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE", cloud.WriteTokenFile(emulator.TokenOptions{}))
	t.Setenv("ALIBABA_CLOUD_STS_REGION", "cn-hangzhou")
	return cloud
}

func clientOf(t *testing.T, cloud *emulator.Cloud, manifest string, now func() time.Time) *Client {
	t.Helper()
	cfg, err := parse(t, manifest)
	if err != nil {
		t.Fatal(err)
	}
	tr := cloud.Transport()
	t.Cleanup(tr.CloseIdleConnections)
	c, err := New(cfg, Options{Transport: tr, Now: now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCloudEndpoints(t *testing.T) {
	cloud := startCloud(t, emulator.Options{})
	for _, i := range []emulator.Instance{{Name: "inner", ID: "cri-inner00000000001", Region: "cn-heyuan"}, {Name: "own", ID: "cri-own0000000000001", Domains: []string{"registry.example.com"}}} {
		if err := cloud.AddInstance(i); err != nil {
			t.Fatal(err)
		}
	}
	const instances = "acrInstancesConfig: [{instanceName: inner, instanceId: cri-inner00000000001}, {instanceId: cri-own0000000000001, region: cn-hangzhou, domains: [registry.example.com]}]\n"
	for _, tc := range []struct{ config, host, id, sts, cr string }{
		{"defaultInstanceId: " + demoID, demoHost, demoID, stsHost, crHost},
		{"{network: vpc, defaultInstanceId: " + demoID + "}", demoHost, demoID, "sts-vpc.cn-hangzhou.aliyuncs.com", "cr-vpc.cn-hangzhou.aliyuncs.com"},
		{instances + "network: vpc", "inner-registry.cn-heyuan.cr.aliyuncs.com", "cri-inner00000000001", "sts-vpc.cn-hangzhou.aliyuncs.com", "cr.cn-heyuan.aliyuncs.com"},
		{instances, "registry.example.com", "cri-own0000000000001", stsHost, crHost},
		{"stsEndpoint: sts.aliyuncs.com", demoHost, demoID, "sts.aliyuncs.com", crHost}, // discovered
	} {
		cloud.ResetCalls()
		c := clientOf(t, cloud, tc.config, nil)
		token, err := c.Token(t.Context(), tc.host)
		if err != nil || token.InstanceID != tc.id || token.Username == "" || token.Password == "" {
			t.Errorf("%s: %v, %v", tc.config, token, err)
		}
		if calls := cloud.Calls(); calls[tc.sts+" AssumeRoleWithOIDC"] != 1 || calls[tc.cr+" GetAuthorizationToken"] != 1 {
			t.Errorf("%s: calls %v", tc.config, calls)
		}
	}
}

func TestCloudManyAtOnce(t *testing.T) {
	cloud := startCloud(t, emulator.Options{})
	cloud.Endpoint(stsHost).SetLatency(20 * time.Millisecond)
	cloud.Endpoint(crHost).SetLatency(20 * time.Millisecond)
	c := clientOf(t, cloud, "defaultInstanceId: "+demoID, nil)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := c.Token(t.Context(), demoHost); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s, r := cloud.Endpoint(stsHost).Calls(), cloud.Endpoint(crHost).Calls(); s != 1 || r != 1 {
		t.Errorf("%d STS and %d CR calls, want 1 and 1", s, r)
	}
}

func TestCloudRefusals(t *testing.T) {
	cloud := startCloud(t, emulator.Options{})
	for _, i := range []emulator.Instance{{Name: "denied", ID: "cri-denied0000000001", Denied: true}, {Name: "far", ID: "cri-far0000000000001", Region: "cn-beijing"}} {
		if err := cloud.AddInstance(i); err != nil {
			t.Fatal(err)
		}
	}
	id, secret := cloud.AddAccessKey()
	for name, tc := range map[string]struct {
		shape200 bool
		config   string
		words    string
	}{
		"no permission":             {false, "defaultInstanceId: cri-denied0000000001", "NoPermission|cr:GetAuthorizationToken|" + cloud.RoleARN()},
		"unknown, 404":              {false, "defaultInstanceId: cri-nonesuch", "INSTANCE_NOT_EXIST|HTTP 404|region cn-hangzhou"},
		"unknown, 200":              {true, "defaultInstanceId: cri-nonesuch", "INSTANCE_NOT_EXIST|HTTP 200|region cn-hangzhou"},
		"of another region":         {false, "defaultInstanceId: cri-far0000000000001", "INSTANCE_NOT_EXIST|region cn-hangzhou"},
		"wrong secret":              {false, "{defaultInstanceId: " + demoID + ", credential: {type: access_key, accessKeyId: " + id + ", accessKeySecret: hush}}", "SignatureDoesNotMatch|secret"},
		"unknown key":               {false, "{defaultInstanceId: " + demoID + ", credential: {type: access_key, accessKeyId: nobody, accessKeySecret: hush}}", "InvalidAccessKeyId.NotFound|still exists"},
		"not found by discovery":    {false, "{}", "ACR instance not found|acrInstancesConfig"},
		"access key, right (no id)": {false, "{credential: {type: access_key, accessKeyId: " + id + ", accessKeySecret: " + secret + "}}", "ACR instance not found|type access_key"},
	} {
		t.Run(name, func(t *testing.T) {
			cloud.SetErrorShape200(tc.shape200)
			_, err := clientOf(t, cloud, tc.config, nil).Token(t.Context(), "other-registry.cn-hangzhou.cr.aliyuncs.com")
			if err == nil {
				t.Fatal("no error")
			}
			for _, word := range strings.Split(tc.words, "|") {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%v lacks %q", err, word)
				}
			}
			if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), secret) {
				t.Errorf("%v shows a secret", err)
			}
			var failed *Error
			if errors.As(err, &failed) && failed.RequestID == "" {
				t.Errorf("%v has no request ID", err)
			}
		})
	}
}

func TestCloudOIDCRefusals(t *testing.T) {
	cloud := startCloud(t, emulator.Options{})
	for code, o := range map[string]emulator.TokenOptions{
		"AuthenticationFail.OIDCToken.AudienceNotMatch": {Audience: "kubernetes"},
		"AuthenticationFail.NoPermission":               {Subject: "system:serviceaccount:default:default"},
		"AuthenticationFail.OIDCToken.Expired":          {TTL: -time.Minute},
		"AuthenticationFail.OIDCToken.InvalidSignature": {BadSignature: true},
		"AuthenticationFail.OIDCToken.IssuerNotMatch":   {Issuer: "https://oidc.example.com"},
	} {
		cloud.WriteTokenFile(o)
		_, err := clientOf(t, cloud, "defaultInstanceId: "+demoID, nil).Token(t.Context(), demoHost)
		var failed *rrsa.Error
		if !errors.As(err, &failed) || failed.Code != code || failed.RequestID == "" || failed.Remedy() == "" || strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func TestCloudClock(t *testing.T) {
	start := time.Now()
	var offset atomic.Int64
	now := func() time.Time { return start.Add(time.Duration(offset.Load())) }
	cloud := startCloud(t, emulator.Options{Now: now, TokenLifetime: 30 * time.Minute})
	cloud.WriteTokenFile(emulator.TokenOptions{TTL: 12 * time.Hour})
	c := clientOf(t, cloud, "defaultInstanceId: "+demoID, now)
	get := func(at time.Duration) Token {
		t.Helper()
		offset.Store(int64(at))
		token, err := c.Token(t.Context(), demoHost)
		if err != nil {
			t.Fatalf("at %s: %v", at, err)
		}
		if !token.Expires.After(now()) {
			t.Errorf("at %s: a token that ended at %s", at, token.Expires.Sub(start))
		}
		return token
	}
	first := get(0)
	if again := get(20 * time.Minute); again != first {
		t.Error("fetched again while valid")
	}
	if served := get(25 * time.Minute); served != first { // and renewed in the background
		t.Error("waited for the renewal of a valid token")
	}
	eventually(t, "renewal", func() bool { return get(25*time.Minute) != first })

	fail := emulator.Fault{Status: http.StatusServiceUnavailable, Body: "<html>"}
	cloud.Endpoint(crHost).SetFault(fail)
	second := get(49 * time.Minute)
	if again := get(54*time.Minute + 30*time.Second); again != second {
		t.Error("a failing renewal changed the token")
	}
	offset.Store(int64(56 * time.Minute))
	if token, err := c.Token(t.Context(), demoHost); err == nil {
		t.Errorf("a token that ends at %s was handed out at its end", token.Expires.Sub(start))
	}
	cloud.Endpoint(crHost).SetFault(emulator.Fault{})
	get(56 * time.Minute)
	get(3 * time.Hour) // and the session has ended, too
	if n := cloud.Endpoint(stsHost).Calls(); n < 2 {
		t.Errorf("%d sessions in three hours", n)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no ", what)
		}
	}
}

func TestCloudRevocation(t *testing.T) {
	cloud := startCloud(t, emulator.Options{})
	c := clientOf(t, cloud, "defaultInstanceId: "+demoID, nil)
	first, err := c.Token(t.Context(), demoHost)
	if err != nil {
		t.Fatal(err)
	}
	cloud.RevokeSessions()
	cloud.RevokePasswords()
	if text := c.Refused(demoHost, first.Password); !strings.Contains(text, demoID) {
		t.Errorf("explanation %q", text)
	}
	second, err := c.Token(t.Context(), demoHost)
	if err != nil || second.Password == first.Password {
		t.Errorf("after revocation: %v", err)
	}
	if s, r := cloud.Endpoint(stsHost).Calls(), cloud.Endpoint(crHost).Calls(); s != 2 || r != 3 {
		t.Errorf("%d STS and %d CR calls, want 2 and 3 (one of them with the revoked session)", s, r)
	}
}

func TestCloudFaults(t *testing.T) {
	cloud := startCloud(t, emulator.Options{})
	faults := map[string]emulator.Fault{
		"hang": {Hang: true}, "reset": {Reset: true}, "drip": {Drip: true}, "corrupt": {Corrupt: true}, "oversize": {Oversize: true},
		"500": {Status: 500, Body: `{"Code":"SystemError","RequestId":"R"}`}, "html": {Status: 502, Body: "<html>Bad gateway</html>"},
		"429": {Status: 429, Body: `{"Code":"Throttling.User","RequestId":"R"}`, Header: http.Header{"Retry-After": {"60"}}},
	}
	for _, host := range []string{stsHost, crHost} {
		for name, fault := range faults {
			t.Run(fmt.Sprint(host, " ", name), func(t *testing.T) {
				endpoint := cloud.Endpoint(host)
				c := clientOf(t, cloud, "{timeout: 400ms, defaultInstanceId: "+demoID+"}", nil)
				endpoint.SetFault(fault)
				defer endpoint.SetFault(emulator.Fault{})
				start := time.Now()
				token, err := c.Token(t.Context(), demoHost)
				if took := time.Since(start); err == nil || took > 2*time.Second {
					t.Fatalf("after %s: %v, %v", took, token, err)
				}
				if text := err.Error(); (name == "hang" || name == "drip") &&
					(strings.Count(text, "HTTPS_PROXY") != 1 || strings.Count(text, " at "+host) != 1 || strings.Contains(text, "check that "+host+" is")) {
					t.Errorf("%v: want the call and what to do about silence once", err)
				}
				if !strings.Contains(err.Error(), host) || strings.Contains(err.Error(), "eyJ") {
					t.Errorf("%v: want %s named, and no token", err, host)
				}
				endpoint.SetFault(emulator.Fault{})
				if _, err := c.Token(t.Context(), demoHost); err != nil {
					t.Errorf("after the fault: %v", err)
				}
			})
		}
	}
}

func TestCloudPassingFault(t *testing.T) {
	cloud := startCloud(t, emulator.Options{})
	cloud.Endpoint(stsHost).SetFault(emulator.Fault{Reset: true, Times: 1})
	cloud.Endpoint(crHost).SetFault(emulator.Fault{Status: 503, Body: "<html>", Times: 2})
	if _, err := clientOf(t, cloud, "defaultInstanceId: "+demoID, nil).Token(t.Context(), demoHost); err != nil {
		t.Error(err)
	}
}
