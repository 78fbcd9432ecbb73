package authprovider

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestProvide has what is provided accepted by the token service of the registry.
func TestProvide(t *testing.T) {
	clearEnv(t)
	cloud := emulatortest.Start(t, emulator.Options{})
	if err := cloud.AddInstance(emulator.Instance{Name: "demo", ID: "cri-demo000000000001"}); err != nil {
		t.Fatal(err)
	}
	t.Setenv(rrsa.EnvRoleARN, cloud.RoleARN())
	t.Setenv(rrsa.EnvOIDCProviderARN, cloud.OIDCProviderARN())
	t.Setenv(rrsa.EnvOIDCTokenFile, cloud.WriteTokenFile(emulator.TokenOptions{}))
	transport := cloud.Transport()
	defer transport.CloseIdleConnections()

	p, err := New(map[string]any{"name": Name, "acrInstancesConfig": []map[string]any{{"demo": "cri-demo000000000001"}}}, // as the marketplace's page has it
		Options{Transport: transport, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	const artifact = "demo-registry.cn-hangzhou.cr.aliyuncs.com/ns/repo:v1@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	provide := func() AuthConfig {
		t.Helper()
		got, err := p.Provide(t.Context(), artifact)
		if left := time.Until(got.ExpiresOn); err != nil || left <= 0 || left > time.Hour-9*time.Second {
			t.Fatalf("got credentials ending %s, %v", got.ExpiresOn, err)
		}
		return got
	}
	const url = "https://dockerauth.cn-hangzhou.aliyuncs.com/auth?service=registry.aliyuncs.com:cn-hangzhou:cri-demo000000000001&scope=repository:ns/repo:pull"
	status := func(a AuthConfig) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(a.Username, a.Password)
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	first := provide()
	if got := status(first); got != http.StatusOK {
		t.Fatalf("the token service answers %d", got)
	}
	cloud.RevokePasswords()
	if got := status(first); got != http.StatusUnauthorized {
		t.Fatalf("the token service answers %d to a revoked password", got)
	}
	text := p.Refused(artifact, first)
	if !strings.Contains(text, "cri-demo000000000001") || strings.Contains(text, first.Password) {
		t.Errorf("explanation %q", text)
	}
	if got := status(provide()); got != http.StatusOK {
		t.Errorf("the token service answers %d to the new password", got)
	}
}
