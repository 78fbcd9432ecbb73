package alibabacloudkms

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const gateway = "kms.cn-hangzhou.aliyuncs.com"

// startCloud starts a cloud, and makes this process a pod with RRSA in it.
func startCloud(t *testing.T) *emulator.Cloud {
	t.Helper()
	podWithoutIdentity(t)
	cloud := emulatortest.Start(t, emulator.Options{})
	for _, variable := range cloud.PodEnv() {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "ALIBABA_CLOUD_") {
			t.Setenv(name, value)
		}
	}
	return cloud
}

func podWithoutIdentity(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "ALIBABA_CLOUD_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
}

// block is an entry of the configuration, as JSON has it.
func block(t *testing.T, parameters string) config.KeyManagementProviderConfig {
	t.Helper()
	c := config.KeyManagementProviderConfig{}
	if err := json.Unmarshal([]byte(parameters), &c); err != nil {
		t.Fatal(err)
	}
	maps.Copy(c, map[string]any{"type": Type, "name": "kms", "resource": "ns/kms", "version": "1.0.0", "refreshInterval": "1m"})
	return c
}

// newProvider makes a provider in region cn-hangzhou whose clock is its second result.
func newProvider(t *testing.T, cloud *emulator.Cloud, parameters string) (*Provider, *testclock.Clock) {
	t.Helper()
	clock := testclock.At(time.Now())
	transport := cloud.Transport()
	c := block(t, parameters)
	if _, named := c["region"]; !named {
		c["region"] = "cn-hangzhou"
	}
	p, err := New(c, Options{Transport: transport, Now: clock.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transport.CloseIdleConnections(); p.client.CloseIdleConnections() })
	return p, clock
}

// read is both reads of one refresh.
type read struct {
	certificates map[keymanagementprovider.KMPMapKey][]*x509.Certificate
	keys         map[keymanagementprovider.KMPMapKey]crypto.PublicKey
	status       string // of both, in JSON
	err          error
}

func refreshed(ctx context.Context, t *testing.T, p *Provider) read {
	t.Helper()
	certificates, certificateStatus, err := p.GetCertificates(ctx)
	if err != nil {
		return read{err: err}
	}
	keys, keyStatus, err := p.GetKeys(ctx)
	if err != nil {
		return read{err: err}
	}
	status, err := json.Marshal([]any{certificateStatus, keyStatus})
	if err != nil {
		t.Fatal(err)
	}
	return read{certificates, keys, string(status), nil}
}

// good is a refresh without an error.
func good(t *testing.T, p *Provider) read {
	t.Helper()
	r := refreshed(t.Context(), t, p)
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r
}

// holds checks the versions that were read, each "name/version".
func holds[V any](t *testing.T, held map[keymanagementprovider.KMPMapKey]V, want ...string) {
	t.Helper()
	got := make(map[string]bool)
	for key := range held {
		got[key.Name+"/"+key.Version] = true
		if key.Enabled {
			t.Errorf("%v: verifiers look it up without Enabled", key)
		}
	}
	wanted := make(map[string]bool)
	for _, w := range want {
		wanted[w] = true
	}
	if !maps.Equal(got, wanted) {
		t.Errorf("holds %v, want %v", got, wanted)
	}
}

// says checks that text has all of want.
func says(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s\ndoes not say %q", text, w)
		}
	}
}

func root(t *testing.T, name string) signing.Identity {
	t.Helper()
	identity, err := signing.Root(name)
	if err != nil {
		t.Fatal(err)
	}
	return identity
}
