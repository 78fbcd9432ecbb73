package alibabacloudkms

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/keymaterial"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/identity"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// Type is the name by which configurations ask for this provider.
const Type = "alibabacloudkms"

const (
	// DefaultRefreshInterval is how soon a certificate that was rotated, or a key that was disabled, counts, where the configuration names no
	// interval. Each read costs a call for each secret, and two or more for each key, in every replica.
	DefaultRefreshInterval = 10 * time.Minute

	// readTimeout bounds one read of all certificates, or of all keys. A configuration waits for both, 30 s at most.
	readTimeout = 15 * time.Second
)

// Options are what a provider needs of its process. The zero value is usable.
type Options struct {
	Transport *http.Transport                  // default http.DefaultTransport, which honours HTTPS_PROXY and SSL_CERT_FILE
	Now       func() time.Time                 // default time.Now
	Log       *slog.Logger                     // default slog.Default()
	OnRequest func(service string, status int) // told of each request to "sts" and "kms"; status 0 is one without an answer
	Sessions  func(*rrsa.Provider) rrsa.Source // if set, makes what hands out RRSA's sessions in the place of the Provider
}

// Provider reads certificates and keys, and keeps what it read last. Make one with New. It is safe for concurrent use.
type Provider struct {
	client *kms.OpenAPI
	now    func() time.Time
	log    *slog.Logger

	reading chan struct{} // holds one while entries are read

	mu           sync.Mutex // over what the entries keep
	certificates entries[[]*x509.Certificate]
	keys         entries[crypto.PublicKey]
}

var (
	_ keymanagementprovider.KeyManagementProvider = (*Provider)(nil)
	_ keymaterial.Degraded                        = (*Provider)(nil)
	_ keymaterial.Refreshed                       = (*Provider)(nil)
)

// New returns a Provider for an entry of the configuration. It asks nobody. Errors wrap ErrConfig and name the parameter.
func New(cfg config.KeyManagementProviderConfig, o Options) (*Provider, error) {
	p, err := parse(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	client, err := newClient(p, o)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	provider := &Provider{client: client, now: o.Now, log: o.Log, reading: make(chan struct{}, 1)}
	for i, c := range p.certificates {
		provider.certificates = append(provider.certificates, newCertificateEntry(client, indexed("certificates", i), c))
	}
	for i, k := range p.keys {
		provider.keys = append(provider.keys, newKeyEntry(client, indexed("keys", i), k))
	}
	return provider, nil
}

func newClient(p parameters, o Options) (*kms.OpenAPI, error) {
	whose := identity.Config{
		Credential: p.credential,
		RoleARN:    p.RoleARN, OIDCProviderARN: p.OIDCProviderARN, OIDCTokenFile: p.OIDCTokenFile, RoleSessionName: p.RoleSessionName,
		STSEndpoint: p.STSEndpoint, Region: p.Region, VPC: p.Network == kms.NetworkVPC || p.Network == "" && rrsa.FromEnv().VPC,
		Timeout: p.timeout, Now: o.Now, Log: o.Log, OnRequest: o.OnRequest, Sessions: o.Sessions,
	}
	if o.Transport != nil { // a nil pointer would not be a nil interface
		whose.Transport = o.Transport
	}
	source, err := identity.New(whose)
	if err != nil {
		return nil, err
	}
	return kms.NewOpenAPI(kms.Config{Region: p.Region, Network: p.Network, Endpoint: p.Endpoint, CABundle: []byte(p.CABundle),
		Identity: source, Timeout: p.timeout, Transport: o.Transport, Now: o.Now, OnRequest: o.OnRequest})
}

// GetCertificates reads the certificates. They are in the map by the secret's name and the version's ID, each chain in the order of the secret.
//
// An entry that cannot be read keeps what was read last; if that is nothing yet, the error names it. After the first read that succeeds the
// only other errors are that of a ctx which ends while another read goes on, and one that wraps keymaterial.ErrGone: KMS has nothing left of what
// is configured, neither certificates nor keys.
func (p *Provider) GetCertificates(ctx context.Context) (map[keymanagementprovider.KMPMapKey][]*x509.Certificate,
	keymanagementprovider.KeyManagementProviderStatus, error) {
	if len(p.certificates) == 0 {
		return map[keymanagementprovider.KMPMapKey][]*x509.Certificate{}, nil, nil // the description is that of the keys
	}
	chains, status, err := refresh(ctx, p, p.certificates, "Certificates")
	if err != nil {
		return nil, nil, err
	}
	if len(chains) == 0 && len(p.keys) == 0 { // where there are keys, GetKeys tells
		if err := p.gone(); err != nil {
			return nil, nil, err
		}
	}
	if w := warnings(chains, p.now()); len(w) > 0 {
		status["Warnings"] = w
	}
	return chains, status, nil
}

// GetKeys reads the keys. They are in the map by the key's ID, as the configuration has it, and the version's ID. Errors are those of
// GetCertificates, which goes first: where certificates are configured, too, KMS has nothing left if it found none and there are no keys.
func (p *Provider) GetKeys(ctx context.Context) (map[keymanagementprovider.KMPMapKey]crypto.PublicKey,
	keymanagementprovider.KeyManagementProviderStatus, error) {
	if len(p.keys) == 0 {
		return map[keymanagementprovider.KMPMapKey]crypto.PublicKey{}, nil, nil
	}
	keys, status, err := refresh(ctx, p, p.keys, "Keys")
	if err != nil {
		return nil, nil, err
	}
	if len(keys) == 0 {
		if err := p.gone(); err != nil {
			return nil, nil, err
		}
	}
	return keys, status, nil
}

// refresh reads entries of p, and returns what they hold then. Reads take turns, so that the entries are left as the last one found KMS.
func refresh[V any](ctx context.Context, p *Provider, es entries[V], kind string) (map[keymanagementprovider.KMPMapKey]V,
	keymanagementprovider.KeyManagementProviderStatus, error) {
	select {
	case p.reading <- struct{}{}: // even if ctx has ended: the entries keep what they hold, and no error hides what GetCertificates found out
	default:
		select {
		case p.reading <- struct{}{}:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("%s: another read has not ended: %w", p.client, context.Cause(ctx))
		}
	}
	defer func() { <-p.reading }()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	outcomes := es.read(ctx)

	p.mu.Lock()
	defer p.mu.Unlock()
	if err := es.settle(outcomes, p.now(), p.log); err != nil {
		return nil, nil, err
	}
	return es.material(), es.status(kind), nil
}

// gone returns why nothing is trusted any more, nil if something is.
func (p *Provider) gone() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.certificates.material()) > 0 || len(p.keys.material()) > 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", keymaterial.ErrGone, joined(append(p.certificates.reasons(), p.keys.reasons()...)))
}

// Degraded implements keymaterial.Degraded.
func (p *Provider) Degraded() (since time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	since, certificates := p.certificates.degraded()
	sinceKeys, keys := p.keys.degraded()
	if certificates == nil || keys != nil && sinceKeys.Before(since) {
		since = sinceKeys
	}
	return since, joined(slices.DeleteFunc([]error{certificates, keys}, func(err error) bool { return err == nil }))
}

// IsRefreshable returns true: what KMS holds changes.
func (p *Provider) IsRefreshable() bool { return true }

// DefaultRefreshInterval implements keymaterial.Refreshed.
func (p *Provider) DefaultRefreshInterval() time.Duration { return DefaultRefreshInterval }
