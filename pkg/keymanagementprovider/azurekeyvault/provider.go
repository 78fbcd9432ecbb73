package azurekeyvault

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	upstream "github.com/ratify-project/ratify/pkg/keymanagementprovider/azurekeyvault"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider/factory"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/keymaterial"
)

// Type is the name by which configurations ask for this provider.
const Type = upstream.ProviderName

// timeout bounds the reading of all certificates, or of all keys, of one entry, with the SDK's repeats. A configuration waits for it.
const timeout = 15 * time.Second

// Provider reads a vault. Make one with New.
type Provider struct {
	inner keymanagementprovider.KeyManagementProvider
	vault string
}

var _ keymanagementprovider.KeyManagementProvider = (*Provider)(nil)

// New returns a Provider for an entry of the configuration: vaultURI, tenantID, clientID, and certificates and keys, each with name and
// version. It asks nobody yet.
func New(c config.KeyManagementProviderConfig) (*Provider, error) {
	inner, err := factory.CreateKeyManagementProviderFromConfig(c, "", "")
	if err != nil {
		return nil, plain(err)
	}
	return &Provider{inner: inner, vault: fmt.Sprint(c["vaultURI"])}, nil
}

// GetCertificates returns the chains of the certificates that are enabled, and the status of all.
func (p *Provider) GetCertificates(ctx context.Context) (map[keymanagementprovider.KMPMapKey][]*x509.Certificate, keymanagementprovider.KeyManagementProviderStatus, error) {
	certificates, status, err := read(ctx, p.vault, p.inner.GetCertificates)
	if err != nil {
		return nil, nil, err
	}
	for key, chain := range certificates {
		if len(chain) == 0 {
			return nil, nil, fmt.Errorf("vault %s: the secret of certificate %s holds none in PEM", p.vault, key.Name)
		}
	}
	return certificates, status, nil
}

// GetKeys returns the keys that are enabled, and the status of all.
func (p *Provider) GetKeys(ctx context.Context) (map[keymanagementprovider.KMPMapKey]crypto.PublicKey, keymanagementprovider.KeyManagementProviderStatus, error) {
	return read(ctx, p.vault, p.inner.GetKeys)
}

// IsRefreshable returns true: what a vault holds changes.
func (p *Provider) IsRefreshable() bool { return p.inner.IsRefreshable() }

// read reads one kind of object. Upstream takes for granted that answers are complete; one that is not makes it panic.
func read[V any](ctx context.Context, vault string,
	get func(context.Context) (map[keymanagementprovider.KMPMapKey]V, keymanagementprovider.KeyManagementProviderStatus, error),
) (objects map[keymanagementprovider.KMPMapKey]V, status keymanagementprovider.KeyManagementProviderStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			objects, status, err = nil, nil, fmt.Errorf("vault %s: an answer lacks what it must have: %v", vault, p)
		}
	}()
	objects, status, err = get(ctx)
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok && e.StatusCode == http.StatusNotFound {
		return nil, nil, fmt.Errorf("vault %s: %w: %w", vault, plain(err), keymaterial.ErrGone)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("vault %s: %w", vault, plain(err))
	}
	maps.DeleteFunc(objects, func(key keymanagementprovider.KMPMapKey, _ V) bool { return !key.Enabled })
	return objects, status, nil
}

// reworded is an error with another text.
type reworded struct {
	text string
	err  error
}

func (e *reworded) Error() string { return e.text }
func (e *reworded) Unwrap() error { return e.err }

// plain keeps the first line of an error's text, which says on what it was, and adds what the vault, or Entra ID, answered. The others are the
// whole answer.
func plain(err error) error {
	text, _, more := strings.Cut(err.Error(), "\n")
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok {
		text = fmt.Sprintf("%s: %d %s %s", text, e.StatusCode, http.StatusText(e.StatusCode), e.ErrorCode)
		if e.StatusCode == http.StatusForbidden || e.StatusCode == http.StatusUnauthorized {
			text += ": give the identity the roles Key Vault Secrets User and Key Vault Crypto User, or check the vault's network rules"
		}
	} else if more {
		if code := entraCode(err.Error()); code != "" {
			text += ": " + code + ": check clientID, tenantID and the identity's federated credential"
		}
	}
	return &reworded{text: text, err: err}
}

// entraCode returns the line of an error of Entra ID, which begins with AADSTS and a number.
func entraCode(text string) string {
	i := strings.Index(text, "AADSTS")
	if i < 0 {
		return ""
	}
	end := strings.IndexAny(text[i:], ":\n\"")
	if end < 0 {
		return text[i:]
	}
	return text[i : i+end]
}
