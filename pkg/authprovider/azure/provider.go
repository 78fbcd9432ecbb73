package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/httplimit"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

// The providers' names in configurations.
const (
	WorkloadIdentity = "azureWorkloadIdentity"
	ManagedIdentity  = "azureManagedIdentity"
)

const (
	// callTimeout bounds one request to Entra ID, the node's metadata service or a registry's token exchange.
	callTimeout = 5 * time.Second
	// maxAnswer bounds an answer. Tokens have a few KiB.
	maxAnswer = 256 << 10
	// maxRetries and retryDelay are of one request; the caller's context bounds them all.
	maxRetries = 2
	retryDelay = 200 * time.Millisecond
	// scope is the audience of tokens that registries take.
	scope = "https://containerregistry.azure.net/.default"
	// user is the name that goes with a registry's refresh token.
	user = "00000000-0000-0000-0000-000000000000"
	// refreshTokenLife is that of a registry's refresh token, 3 hours, less a margin.
	refreshTokenLife = 3*time.Hour - 5*time.Minute
)

// Options are what a provider needs of its process. The zero value is usable.
type Options struct {
	Transport *http.Transport  // nil: http.DefaultTransport, with the proxy of the environment
	Now       func() time.Time // nil: time.Now
}

// Provider exchanges tokens of an identity for a registry's. Make one with New. It is safe for concurrent use.
type Provider struct {
	name       string
	settings   settings
	credential azcore.TokenCredential
	client     azcore.ClientOptions
	now        func() time.Time
}

var _ authprovider.AuthProvider = (*Provider)(nil)

// New returns the provider of a name, WorkloadIdentity or ManagedIdentity, for the authProvider block of a store. An error names the key or
// the environment's variable. It asks nobody yet.
func New(name string, block map[string]any, o Options) (*Provider, error) {
	s, err := parse(block, name == ManagedIdentity)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport)
	if o.Transport != nil {
		transport = o.Transport
	}
	if name == ManagedIdentity {
		transport = direct(transport)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Provider{name: name, settings: s, now: o.Now, client: policy.ClientOptions{
		Transport: httplimit.Client(transport, callTimeout, maxAnswer),
		Retry:     policy.RetryOptions{MaxRetries: maxRetries, RetryDelay: retryDelay},
	}}
	if name == ManagedIdentity {
		p.credential, err = azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
			ClientOptions: p.client, ID: azidentity.ClientID(s.clientID)})
	} else {
		for _, variable := range []string{"AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST"} {
			if os.Getenv(variable) == "" {
				return nil, fmt.Errorf("environment variable %s is not set: label the pod azure.workload.identity/use: \"true\"", variable)
			}
		}
		p.credential, err = azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: p.client, ClientID: s.clientID, TenantID: s.tenantID})
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// direct is a transport that goes to addresses of the node's own link and of this machine without a proxy: that is where managed identities
// are asked for, and no proxy can reach it for us.
func direct(t *http.Transport) *http.Transport {
	t = t.Clone()
	if proxy := t.Proxy; proxy != nil {
		t.Proxy = func(req *http.Request) (*url.URL, error) {
			if address, err := netip.ParseAddr(req.URL.Hostname()); err == nil && (address.IsLinkLocalUnicast() || address.IsLoopback()) {
				return nil, nil
			}
			return proxy(req)
		}
	}
	return t
}

// Provide returns the credentials for an artifact, host/repository with or without tag and digest. The error wraps
// authprovider.ErrNotCovered if the host is none of the endpoints.
func (p *Provider) Provide(ctx context.Context, artifact string) (authprovider.AuthConfig, error) {
	registry, _, _ := strings.Cut(artifact, "/")
	host := strings.TrimSuffix(strings.ToLower(registry), ":443")
	if !p.settings.covers(host) {
		return authprovider.AuthConfig{}, fmt.Errorf("%w %s: %s is none of its endpoints (%s)",
			authprovider.ErrNotCovered, p.name, registry, strings.Join(p.settings.endpoints, ", "))
	}
	token, err := p.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		return authprovider.AuthConfig{}, fmt.Errorf("getting a token of client %s in tenant %s: %w", p.settings.clientID, p.settings.tenantID, plain(err))
	}
	client, err := azcontainerregistry.NewAuthenticationClient("https://"+host, &azcontainerregistry.AuthenticationClientOptions{ClientOptions: p.client})
	if err != nil {
		return authprovider.AuthConfig{}, err
	}
	answer, err := client.ExchangeAADAccessTokenForACRRefreshToken(ctx, azcontainerregistry.PostContentSchemaGrantTypeAccessToken, host,
		&azcontainerregistry.AuthenticationClientExchangeAADAccessTokenForACRRefreshTokenOptions{AccessToken: &token.Token, Tenant: &p.settings.tenantID})
	if err != nil {
		return authprovider.AuthConfig{}, fmt.Errorf("exchanging the token of client %s at %s: %w (check that it has the role AcrPull)",
			p.settings.clientID, host, plain(err))
	}
	if answer.RefreshToken == nil || *answer.RefreshToken == "" {
		return authprovider.AuthConfig{}, fmt.Errorf("the answer of %s/oauth2/exchange holds no refresh_token", host)
	}
	ends := p.now().Add(refreshTokenLife)
	if token.ExpiresOn.Before(ends) {
		ends = token.ExpiresOn
	}
	return authprovider.AuthConfig{Username: user, Password: *answer.RefreshToken, ExpiresOn: ends}, nil
}

// plain words errors of Azure's SDK in a line: its own have a dozen, with the whole answer.
func plain(err error) error {
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return fmt.Errorf("%s answered %d %s %s", hostOf(e.RawResponse), e.StatusCode, http.StatusText(e.StatusCode), e.ErrorCode)
	}
	if e, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && e.RawResponse != nil {
		return fmt.Errorf("%s answered %s %s: check the identity, its federated credential, client ID and tenant",
			hostOf(e.RawResponse), e.RawResponse.Status, entraCode.FindString(e.Error()))
	}
	return err
}

// entraCode matches the code of an error of Entra ID, which its documentation explains.
var entraCode = regexp.MustCompile(`AADSTS[0-9]+`)

func hostOf(resp *http.Response) string {
	if resp == nil || resp.Request == nil {
		return "it"
	}
	return resp.Request.URL.Host
}
