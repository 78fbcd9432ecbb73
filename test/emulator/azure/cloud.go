package azure

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/acr"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/network"
)

const (
	// TenantID and ClientID are of the identity that pods have.
	TenantID = "11111111-2222-3333-4444-555555555555"
	ClientID = "66666666-7777-8888-9999-000000000000"
	// LoginHost is Entra ID's, RegistryHost and VaultHost are of a registry and a vault.
	LoginHost    = "login.microsoftonline.com"
	RegistryHost = "wabbitnetworks.azurecr.io"
	VaultHost    = "wabbit.vault.azure.net"

	// The audiences of tokens.
	registryAudience = "https://containerregistry.azure.net"
	vaultAudience    = "https://vault.azure.net"
)

// Cloud is a running cloud. End it with Close.
type Cloud struct {
	*network.Network

	dir      string
	registry http.Handler // without its lock

	mu        sync.Mutex
	assertion string              // the token of the pod's service account that Entra ID takes
	access    map[string]string   // audience by access token
	refresh   map[string]bool     // the registry's refresh tokens
	bearer    map[string]string   // scope by the registry's access token
	objects   map[string][]object // of the vault, by kind/name; the latest version is the last
}

// Start starts a cloud, and writes the pod's token and the cloud's certificate authority to files in dir.
func Start(dir string) (*Cloud, error) {
	c := &Cloud{dir: dir, registry: acr.OpenRegistry(), access: map[string]string{}, refresh: map[string]bool{}, bearer: map[string]string{},
		objects: map[string][]object{}}
	var err error
	if c.Network, err = network.New(c.resolve, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	if err = c.Rotate(); err == nil {
		err = os.WriteFile(c.caFile(), c.CAPEM(), 0o600)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Rotate replaces the token of the pod's service account; the old one is not taken any more.
func (c *Cloud) Rotate() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.assertion = "assertion-" + rand.Text()
	return os.WriteFile(c.tokenFile(), []byte(c.assertion), 0o600)
}

// OpenRegistry is the registry without its lock, for who pushes.
func (c *Cloud) OpenRegistry() http.Handler { return c.registry }

func (c *Cloud) tokenFile() string { return filepath.Join(c.dir, "azure-token") }
func (c *Cloud) caFile() string    { return filepath.Join(c.dir, "azure-ca.pem") }

// IdentityEnv returns KEY=value of what a pod has by the webhook of Azure's workload identity.
func (c *Cloud) IdentityEnv() []string {
	return []string{"AZURE_TENANT_ID=" + TenantID, "AZURE_CLIENT_ID=" + ClientID, "AZURE_AUTHORITY_HOST=https://" + LoginHost + "/",
		"AZURE_FEDERATED_TOKEN_FILE=" + c.tokenFile()}
}

// PodEnv is IdentityEnv, and how the cloud is reached.
func (c *Cloud) PodEnv() []string {
	return append(c.IdentityEnv(), "HTTPS_PROXY="+c.ProxyURL(), "SSL_CERT_FILE="+c.caFile())
}

func (c *Cloud) resolve(host string) network.Service {
	switch host {
	case LoginHost, "login.microsoft.com":
		return c.service(c.login, func(r *http.Request) string { return r.Method + r.URL.Path[strings.LastIndexByte(r.URL.Path, '/'):] })
	case RegistryHost:
		return c.service(c.serveRegistry, func(r *http.Request) string { return r.Method + " " + strings.Trim(r.URL.Path, "/") })
	case VaultHost:
		return c.service(c.vault, func(r *http.Request) string { return r.Method + " " + strings.Trim(r.URL.Path, "/") })
	}
	return nil
}

func (c *Cloud) service(handle http.HandlerFunc, action func(*http.Request) string) network.Service {
	return service{handle, action}
}

type service struct {
	http.HandlerFunc
	action func(*http.Request) string
}

func (s service) Action(r *http.Request) string { return s.action(r) }

// answer sends JSON.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
