package azurekeyvault

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"github.com/sirupsen/logrus"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/keymaterial"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/azure"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/network"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// cloud is what this process takes for Azure: the SDK's transport cannot be handed in, only told by the environment, which is read once.
var cloud *azure.Cloud

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard)
	os.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	dir, err := os.MkdirTemp("", "azure-")
	if err == nil {
		cloud, err = azure.Start(dir)
	}
	if err != nil {
		log.Fatal(err)
	}
	os.Unsetenv("NO_PROXY")
	os.Unsetenv("no_proxy")
	for _, variable := range cloud.PodEnv() {
		name, value, _ := strings.Cut(variable, "=")
		os.Setenv(name, value)
		os.Unsetenv(strings.ToLower(name))
	}
	code := m.Run()
	_ = cloud.Close()
	os.RemoveAll(dir)
	os.Exit(code)
}

// entry is one of keyManagementProvider.plugins.
func entry(change map[string]any) config.KeyManagementProviderConfig {
	c := config.KeyManagementProviderConfig{"name": "vault", "type": Type, "vaultURI": "https://" + azure.VaultHost + "/",
		"tenantID": azure.TenantID, "clientID": azure.ClientID}
	maps.Copy(c, change)
	return c
}

func named(names ...string) []any {
	var list []any
	for _, name := range names {
		name, version, _ := strings.Cut(name, "/")
		list = append(list, map[string]any{"name": name, "version": version})
	}
	return list
}

func identity(t *testing.T) signing.Identity {
	t.Helper()
	root, err := signing.Root("Vault root")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestCertificates(t *testing.T) {
	first, second, disabled := identity(t), identity(t), identity(t)
	cloud.AddCertificate("root", "v1", first.PEM(), false)
	cloud.AddCertificate("chain", "v7", first.PEM()+second.PEM(), false)
	cloud.AddCertificate("old", "v2", disabled.PEM(), true)
	p, err := New(entry(map[string]any{"certificates": named("root", "chain/v7", "old")}))
	if err != nil {
		t.Fatal(err)
	}
	certificates, status, err := p.GetCertificates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for key, chain := range certificates {
		got[key.Name] = len(chain)
	}
	if want := map[string]int{"root": 1, "chain": 2}; !maps.Equal(got, want) {
		t.Errorf("certificates %v, want %v", got, want)
	}
	if list, _ := status["Certificates"].([]map[string]string); len(list) != 4 || !slices.ContainsFunc(list, func(s map[string]string) bool {
		return s["Name"] == "old" && s["Version"] == "v2" && s["Enabled"] == "false"
	}) {
		t.Errorf("status %v does not tell that a certificate is disabled", status)
	}
	if !p.IsRefreshable() {
		t.Error("not refreshable")
	}
}

// Rotation: versions of one certificate side by side, and the latest where none is named.
func TestVersions(t *testing.T) {
	old, current := identity(t), identity(t)
	cloud.AddCertificate("rotated", "v1", old.PEM(), false)
	cloud.AddCertificate("rotated", "v2", current.PEM(), false)
	for _, test := range []struct {
		names []string
		want  []string
	}{
		{[]string{"rotated"}, []string{current.PEM()}},
		{[]string{"rotated/v1"}, []string{old.PEM()}},
		{[]string{"rotated/v1", "rotated/v2"}, []string{old.PEM(), current.PEM()}},
	} {
		p, err := New(entry(map[string]any{"certificates": named(test.names...)}))
		if err != nil {
			t.Fatal(err)
		}
		certificates, _, err := p.GetCertificates(t.Context())
		var got []string
		for _, chain := range certificates {
			for _, c := range chain {
				got = append(got, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
			}
		}
		if slices.Sort(got); err != nil || !slices.Equal(got, slices.Sorted(slices.Values(test.want))) {
			t.Errorf("%v: %d certificates, %v", test.names, len(got), err)
		}
	}
}

func TestKeys(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	modulus, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]interface{ Equal(crypto.PublicKey) bool }{"ec": &ec.PublicKey, "rsa": &modulus.PublicKey}
	for name, key := range want {
		if err := cloud.AddKey(name, "v1", key, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := cloud.AddKey("off", "v1", &ec.PublicKey, true); err != nil {
		t.Fatal(err)
	}
	p, err := New(entry(map[string]any{"keys": named("ec", "rsa/v1", "off")}))
	if err != nil {
		t.Fatal(err)
	}
	keys, status, err := p.GetKeys(t.Context())
	if err != nil || len(keys) != len(want) {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for name, key := range keys {
		if !want[name.Name].Equal(key) || name.Version != "v1" {
			t.Errorf("%v: another key", name)
		}
	}
	if list, _ := status["Keys"].([]map[string]string); len(list) != 3 {
		t.Errorf("status %v", status)
	}
}

// authorized matches requests that are not the SDK's first, which only asks for a challenge.
func authorized(r *http.Request) bool { return r.Header.Get("Authorization") != "" }

func TestFaults(t *testing.T) {
	root := identity(t)
	cloud.AddCertificate("fine", "v1", root.PEM(), false)
	cloud.AddCertificate("text", "v1", "no PEM", false)
	for name, test := range map[string]struct {
		change map[string]any
		host   string
		fault  network.Fault
		want   []string
	}{
		"no such certificate": {map[string]any{"certificates": named("missing")}, "", network.Fault{}, []string{azure.VaultHost, "missing", "404", "SecretNotFound", keymaterial.ErrGone.Error()}},
		"no such version":     {map[string]any{"certificates": named("fine/v9")}, "", network.Fault{}, []string{"fine", "v9", "404"}},
		"no such key":         {map[string]any{"keys": named("missing")}, "", network.Fault{}, []string{"missing", "404", "KeyNotFound", keymaterial.ErrGone.Error()}},
		"not allowed": {map[string]any{"certificates": named("fine")}, azure.VaultHost,
			network.Fault{Status: 403, Body: `{"error":{"code":"Forbidden","innererror":{"code":"ForbiddenByRbac"}}}`}, []string{"403 Forbidden", "Key Vault Secrets User"}},
		"never answers":    {map[string]any{"certificates": named("fine")}, azure.VaultHost, network.Fault{Hang: true}, []string{azure.VaultHost, "canceled"}},
		"no PEM":           {map[string]any{"certificates": named("text")}, "", network.Fault{}, []string{azure.VaultHost, "text", "holds none"}},
		"no bundle":        {map[string]any{"certificates": named("fine")}, azure.VaultHost, network.Fault{Status: 200, Body: `{}`, Match: authorized}, []string{azure.VaultHost, "lacks"}},
		"no key":           {map[string]any{"keys": named("fine")}, azure.VaultHost, network.Fault{Status: 200, Body: `{"attributes":{"enabled":true}}`, Match: authorized}, []string{"lacks"}},
		"unknown identity": {map[string]any{"certificates": named("fine"), "clientID": "another"}, "", network.Fault{}, []string{azure.VaultHost, "AADSTS700016", "clientID"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.host != "" {
				if test.fault.Hang { // given up once it is reached, however long that takes
					test.fault.Match = func(*http.Request) bool { cancel(); return true }
				}
				e, err := cloud.Endpoint(test.host)
				if err != nil {
					t.Fatal(err)
				}
				e.SetFault(test.fault)
				defer e.SetFault(network.Fault{})
			}
			p, err := New(entry(test.change))
			if err != nil {
				t.Fatal(err)
			}
			certificates, _, err := p.GetCertificates(ctx)
			if err == nil {
				if _, _, err = p.GetKeys(ctx); err == nil {
					t.Fatalf("%v without an error", certificates)
				}
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("several lines: %q", err)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	for name, test := range map[string]struct {
		change map[string]any
		want   string
	}{
		"no vault":     {map[string]any{"certificates": named("a"), "vaultURI": ""}, "vaultURI"},
		"no tenant":    {map[string]any{"certificates": named("a"), "tenantID": ""}, "tenantID"},
		"no client":    {map[string]any{"certificates": named("a"), "clientID": ""}, "clientID"},
		"nothing":      {nil, "no keyvault certificates or keys"},
		"without name": {map[string]any{"keys": named("")}, "name"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(entry(test.change)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
		})
	}
}
