package inline

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider/types"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
)

// Type is the name by which configurations ask for this provider.
const Type = "inline"

const (
	contentTypeKey = "contentType"
	valueKey       = "value"

	contentTypeCertificate = "certificate"
	contentTypePublicKey   = "key"
)

// ErrConfig marks every error of New: only a change of the configuration helps.
var ErrConfig = errors.New("inline key management provider")

// Provider holds the certificates or the keys of one configuration. It never changes, so it is safe for concurrent use.
type Provider struct {
	certs  map[keymanagementprovider.KMPMapKey][]*x509.Certificate
	keys   map[keymanagementprovider.KMPMapKey]crypto.PublicKey
	status func(now time.Time) keymanagementprovider.KeyManagementProviderStatus
	now    func() time.Time
}

var _ keymanagementprovider.KeyManagementProvider = (*Provider)(nil)

// New reads the provider's parameters; cfg may also hold the "type", "name", "resource" and "version" with which Ratify passes them. now
// tells which certificates have expired when the status is asked for. Errors wrap ErrConfig and name the parameter.
func New(cfg config.KeyManagementProviderConfig, now func() time.Time) (*Provider, error) {
	for _, key := range slices.Sorted(maps.Keys(cfg)) {
		switch key {
		case contentTypeKey, valueKey, types.Type, types.Resource, types.Version, "name":
		default:
			return nil, fmt.Errorf("%w: unknown parameter %q; it takes %s and %s", ErrConfig, key, contentTypeKey, valueKey)
		}
	}
	contentType, err := stringParameter(cfg, contentTypeKey)
	if err != nil {
		return nil, err
	}
	value, err := stringParameter(cfg, valueKey)
	if err != nil {
		return nil, err
	}
	switch contentType {
	case contentTypeCertificate:
		certs, err := pemfile.Certificates([]byte(value))
		if err != nil {
			return nil, fmt.Errorf("%w: parameter %s: %w", ErrConfig, valueKey, err)
		}
		return newCertificates(certs, now), nil
	case contentTypePublicKey:
		keys, err := pemfile.PublicKeys([]byte(value))
		if err != nil {
			return nil, fmt.Errorf("%w: parameter %s: %w", ErrConfig, valueKey, err)
		}
		return newKeys(keys, now)
	}
	return nil, fmt.Errorf("%w: parameter %s is %q; it must be %q or %q", ErrConfig, contentTypeKey, contentType,
		contentTypeCertificate, contentTypePublicKey)
}

func stringParameter(cfg config.KeyManagementProviderConfig, key string) (string, error) {
	value, ok := cfg[key]
	if !ok {
		return "", fmt.Errorf("%w: parameter %s is missing", ErrConfig, key)
	}
	text, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("%w: parameter %s must be text, not %T", ErrConfig, key, value)
	}
	if strings.TrimSpace(text) == "" {
		return "", fmt.Errorf("%w: parameter %s is empty", ErrConfig, key)
	}
	return text, nil
}

func newCertificates(certs []*x509.Certificate, now func() time.Time) *Provider {
	return &Provider{
		// One entry without a name for all of them, as in Ratify: a trust store takes a provider's certificates together.
		certs: map[keymanagementprovider.KMPMapKey][]*x509.Certificate{{}: certs},
		now:   now,
		status: func(now time.Time) keymanagementprovider.KeyManagementProviderStatus {
			return certificateStatus(certs, now)
		},
	}
}

func newKeys(keys []crypto.PublicKey, now func() time.Time) (*Provider, error) {
	p := &Provider{keys: make(map[keymanagementprovider.KMPMapKey]crypto.PublicKey, len(keys)), now: now}
	described := make([]map[string]any, 0, len(keys))
	for i, key := range keys {
		description, err := describeKey(key)
		if err != nil {
			return nil, fmt.Errorf("%w: parameter %s: key %d: %w", ErrConfig, valueKey, i+1, err)
		}
		// A single key has no name, as in Ratify; of several each needs its own, and keeps it when the order changes.
		var id keymanagementprovider.KMPMapKey
		if len(keys) > 1 {
			id.Name = description["fingerprint"].(string)
		}
		p.keys[id] = key
		described = append(described, description)
	}
	p.status = func(time.Time) keymanagementprovider.KeyManagementProviderStatus {
		return keymanagementprovider.KeyManagementProviderStatus{"keys": described}
	}
	return p, nil
}

// GetCertificates returns the certificates under one key, none when contentType is "key", and their description. The maps are the caller's.
func (p *Provider) GetCertificates(context.Context) (map[keymanagementprovider.KMPMapKey][]*x509.Certificate,
	keymanagementprovider.KeyManagementProviderStatus, error) {
	certs := make(map[keymanagementprovider.KMPMapKey][]*x509.Certificate, len(p.certs))
	for id, c := range p.certs {
		certs[id] = slices.Clone(c)
	}
	if len(certs) == 0 {
		return certs, nil, nil // the description is that of the keys
	}
	return certs, p.status(p.now()), nil
}

// GetKeys returns the keys, none when contentType is "certificate", and their description. The maps are the caller's.
func (p *Provider) GetKeys(context.Context) (map[keymanagementprovider.KMPMapKey]crypto.PublicKey,
	keymanagementprovider.KeyManagementProviderStatus, error) {
	if len(p.keys) == 0 {
		return map[keymanagementprovider.KMPMapKey]crypto.PublicKey{}, nil, nil
	}
	return maps.Clone(p.keys), p.status(p.now()), nil
}

// IsRefreshable returns false: the material changes only with the configuration.
func (p *Provider) IsRefreshable() bool { return false }
