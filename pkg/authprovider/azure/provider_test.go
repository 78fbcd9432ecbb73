package azure

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/azure"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/network"
)

const artifact = azure.RegistryHost + "/team/app"

func TestMain(m *testing.M) {
	os.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	os.Exit(m.Run())
}

// start starts a cloud whose pod this process is. The transport reaches the metadata service of the node, too.
func start(t *testing.T) (*azure.Cloud, *http.Transport) {
	t.Helper()
	cloud, err := azure.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Close() })
	for _, variable := range cloud.IdentityEnv() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	metadata := httptest.NewServer(cloud.Metadata())
	t.Cleanup(metadata.Close)
	transport := cloud.Transport()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "169.254.169.254:80" {
			address = metadata.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return cloud, transport
}

// provider makes a provider whose connections end with the test.
func provider(t *testing.T, name string, transport *http.Transport, block map[string]any) *Provider {
	t.Helper()
	p, err := New(name, block, Options{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// admitted tells whether the registry's token service takes the credentials.
func admitted(t *testing.T, transport *http.Transport, config authprovider.AuthConfig) bool {
	t.Helper()
	query := url.Values{"service": {azure.RegistryHost}, "scope": {"repository:team/app:pull"}}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+azure.RegistryHost+"/oauth2/token?"+query.Encode(), nil)
	req.SetBasicAuth(config.Username, config.Password)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func TestProvide(t *testing.T) {
	for _, name := range []string{WorkloadIdentity, ManagedIdentity} {
		t.Run(name, func(t *testing.T) {
			cloud, transport := start(t)
			p := provider(t, name, transport, map[string]any{"name": name})
			for range 2 {
				got, err := p.Provide(t.Context(), artifact)
				if err != nil {
					t.Fatal(err)
				}
				if !admitted(t, transport, got) {
					t.Error("the registry does not take the credentials")
				}
				if left := time.Until(got.ExpiresOn); left < 50*time.Minute || left > time.Hour {
					t.Errorf("they are used for %s", left)
				}
			}
			if calls := cloud.Calls(); calls[azure.LoginHost+" POST/token"] > 1 || calls[azure.RegistryHost+" POST oauth2/exchange"] != 2 {
				t.Errorf("calls %v: an access token serves several exchanges", calls)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	cloud, transport := start(t)
	p := provider(t, WorkloadIdentity, transport, nil)
	for host, covered := range map[string]bool{
		azure.RegistryHost: true, "WabbitNetworks.azurecr.io:443": true,
		azure.RegistryHost + ".evil.com": false, "azurecr.io": false, "a.b.azurecr.io": false, "evil-azurecr.io": false,
		azure.RegistryHost + ":5000": false, "docker.io": false, "": false,
	} {
		cloud.ResetCalls()
		_, err := p.Provide(t.Context(), host+"/app")
		if errors.Is(err, authprovider.ErrNotCovered) == covered || covered != (err == nil) {
			t.Errorf("%s: %v", host, err)
		}
		if calls := cloud.Calls(); !covered && len(calls) > 0 {
			t.Errorf("%s: calls %v", host, calls)
		}
	}
	custom := provider(t, WorkloadIdentity, transport, map[string]any{"endpoints": []any{"*.Corp.example", "registry.example", "edge.example:5000"}})
	for host, covered := range map[string]bool{"edge.example:5000": true, "edge.example": false, "registry.example:5000": false, "a.corp.example": true, "registry.example": true, "a.b.corp.example": false, azure.RegistryHost: false} {
		if custom.settings.covers(host) != covered {
			t.Errorf("endpoints: %s is covered: %t", host, !covered)
		}
	}
}

// A token does not follow a redirect.
func TestRedirect(t *testing.T) {
	for _, host := range []string{azure.LoginHost, azure.RegistryHost} {
		cloud, transport := start(t)
		e, err := cloud.Endpoint(host)
		if err != nil {
			t.Fatal(err)
		}
		e.SetFault(network.Fault{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"https://elsewhere.example.com/"}},
			Match: func(r *http.Request) bool { return r.Method == http.MethodPost }})
		_, err = provider(t, WorkloadIdentity, transport, nil).Provide(t.Context(), artifact)
		if err == nil || !strings.Contains(err.Error(), "307") {
			t.Errorf("%s: %v", host, err)
		}
		for call := range cloud.Calls() {
			if strings.HasPrefix(call, "elsewhere") {
				t.Errorf("%s: the redirect was followed", host)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		host  string
		fault network.Fault
		want  []string
	}{
		"login fails":            {azure.LoginHost, network.Fault{Status: 500}, []string{"token of client " + azure.ClientID}},
		"login never answers":    {azure.LoginHost, network.Fault{Hang: true}, []string{"token of client"}},
		"exchange refuses":       {azure.RegistryHost, network.Fault{Status: 401}, []string{azure.RegistryHost + " answered 401", "AcrPull"}},
		"exchange fails":         {azure.RegistryHost, network.Fault{Status: 500}, []string{azure.RegistryHost}},
		"exchange is hollow":     {azure.RegistryHost, network.Fault{Status: 200, Body: `{}`}, []string{"no refresh_token"}},
		"exchange is no JSON":    {azure.RegistryHost, network.Fault{Status: 200, Body: `<html>`}, []string{azure.RegistryHost}},
		"exchange is endless":    {azure.RegistryHost, network.Fault{Oversize: true}, []string{"more than"}},
		"exchange never answers": {azure.RegistryHost, network.Fault{Hang: true}, []string{azure.RegistryHost}},
	} {
		t.Run(name, func(t *testing.T) {
			cloud, transport := start(t)
			e, err := cloud.Endpoint(test.host)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.fault.Hang { // given up once it is reached, however long that takes
				test.fault.Match = func(*http.Request) bool { cancel(); return true }
			}
			e.SetFault(test.fault)
			_, err = provider(t, WorkloadIdentity, transport, nil).Provide(ctx, artifact)
			if err == nil || errors.Is(err, authprovider.ErrNotCovered) {
				t.Fatalf("got %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "aad-") || strings.Contains(err.Error(), "assertion-") {
				t.Errorf("token in %q", err)
			}
		})
	}
}

// Entra ID does not know the identity, or its federated credential.
func TestWrongIdentity(t *testing.T) {
	_, transport := start(t)
	_, err := provider(t, WorkloadIdentity, transport, map[string]any{"clientID": "another"}).Provide(t.Context(), artifact)
	if err == nil || !strings.Contains(err.Error(), "client another") || !strings.Contains(err.Error(), "AADSTS700016") {
		t.Error(err)
	}
	t.Setenv("AZURE_CLIENT_ID", "")
	_, err = provider(t, ManagedIdentity, transport, map[string]any{"clientID": "another"}).Provide(t.Context(), artifact)
	if err == nil || !strings.Contains(err.Error(), "client another") {
		t.Error(err)
	}
}

// The token file is read anew, so that a rotated one is taken.
func TestTokenRotation(t *testing.T) {
	cloud, transport := start(t)
	p := provider(t, WorkloadIdentity, transport, nil)
	if err := cloud.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Provide(t.Context(), artifact); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	_, transport := start(t)
	for name, test := range map[string]struct {
		block map[string]any
		unset string
		want  string
	}{
		"unknown key":        {map[string]any{"clientid2": "x"}, "", `unknown key "clientid2"`},
		"client is a number": {map[string]any{"clientID": 7}, "", "clientID must be text"},
		"endpoints are text": {map[string]any{"endpoints": "*.azurecr.io"}, "", "endpoints must be a list"},
		"global wildcard":    {map[string]any{"endpoints": []any{"*"}}, "", "endpoints must be a list"},
		"inner wildcard":     {map[string]any{"endpoints": []any{"a.*.io"}}, "", "endpoints must be a list"},
		"no tenant":          {nil, "AZURE_TENANT_ID", "AZURE_TENANT_ID"},
		"no client":          {nil, "AZURE_CLIENT_ID", "AZURE_CLIENT_ID"},
		"no token file":      {nil, "AZURE_FEDERATED_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.unset != "" {
				t.Setenv(test.unset, "")
			}
			if _, err := New(WorkloadIdentity, test.block, Options{Transport: transport}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
		})
	}
}
