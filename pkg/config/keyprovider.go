package config

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/keymaterial"
)

// RefreshInterval is the key of a provider's block that says after which time it is read again.
const RefreshInterval = "refreshInterval"

const (
	// minRefresh is the shortest interval that is taken: each read of each replica is one call for each key.
	minRefresh = time.Second
	// retryAfter is when a provider that could never be read is tried again, whatever its interval.
	retryAfter = 30 * time.Second
)

// KeyMaterial is what a KeyManagementProvider holds.
type KeyMaterial struct {
	Certificates []*x509.Certificate // in the order of their names and versions
	Keys         map[keymanagementprovider.KMPMapKey]keymanagementprovider.PublicKey
	// CertificateStatus and KeyStatus are the provider's words about them.
	CertificateStatus, KeyStatus keymanagementprovider.KeyManagementProviderStatus
}

// Same tells whether m has the certificates and keys of other. The provider's words may differ.
func (m KeyMaterial) Same(other KeyMaterial) bool {
	if len(m.Certificates) != len(other.Certificates) {
		return false
	}
	for i, c := range m.Certificates {
		if !c.Equal(other.Certificates[i]) {
			return false
		}
	}
	return maps.EqualFunc(m.Keys, other.Keys, func(a, b keymanagementprovider.PublicKey) bool {
		key, comparable := a.Key.(interface{ Equal(crypto.PublicKey) bool })
		return a.ProviderType == b.ProviderType && comparable && key.Equal(b.Key)
	})
}

// FirstExpiry returns when the first of the certificates expires; zero if there are none.
func (m KeyMaterial) FirstExpiry() time.Time {
	var first time.Time
	for _, c := range m.Certificates {
		if first.IsZero() || c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}

// KeyProvider is a KeyManagementProvider and what it held when it was last read. It is safe for concurrent use.
type KeyProvider struct {
	kind     string
	provider keymanagementprovider.KeyManagementProvider
	interval time.Duration // between two reads; 0: it is read once

	reading chan struct{} // holds one while the provider is read

	mu sync.Mutex
	state
}

// state is what is known of a provider.
type state struct {
	held     KeyMaterial
	err      error // why nothing is held; nil: something is
	degraded error // why what is held could not be read again
	since    time.Time
	readAt   time.Time // when the last read ended; zero: there was none
}

// errUnread is why a provider that was never read holds nothing.
var errUnread = errors.New("it has not been read yet")

// KeyProvider makes a provider of one block of configuration. It reads nothing.
func (f Factories) KeyProvider(block kmpconfig.KeyManagementProviderConfig) (*KeyProvider, error) {
	kind, err := text(block, "type")
	if err != nil {
		return nil, err
	}
	factory, ok := f.KeyManagementProviders[kind]
	if leftOut, known := f.LeftOut[kind]; !ok && known {
		return nil, leftOut
	}
	if !ok {
		return nil, fmt.Errorf("type: %q is not one of %s", kind, names(f.KeyManagementProviders))
	}
	interval, err := refreshInterval(block)
	if err != nil {
		return nil, err
	}
	block = maps.Clone(block)
	delete(block, RefreshInterval)
	provider, err := made(func() (keymanagementprovider.KeyManagementProvider, error) { return factory(block) })
	if err != nil {
		return nil, err
	}
	if refreshed, ok := provider.(keymaterial.Refreshed); ok && interval == 0 {
		interval = refreshed.DefaultRefreshInterval()
	}
	if !provider.IsRefreshable() {
		interval = 0
	}
	return &KeyProvider{kind: kind, provider: provider, interval: interval, reading: make(chan struct{}, 1), state: state{err: errUnread}}, nil
}

func refreshInterval(block kmpconfig.KeyManagementProviderConfig) (time.Duration, error) {
	value, ok := block[RefreshInterval]
	if !ok || value == "" {
		return 0, nil
	}
	words, _ := value.(string)
	interval, err := time.ParseDuration(words)
	if err != nil || interval < minRefresh {
		return 0, fmt.Errorf("%s is %v: it must be a duration of at least %s, such as \"10m\"", RefreshInterval, value, minRefresh)
	}
	return interval, nil
}

// Read reads the provider now, and tells whether it holds something else than before. After a read that failed, what was read before is
// still held, unless the provider found out that it is gone; Degraded then tells the error, which is returned only if nothing is held.
func (p *KeyProvider) Read(ctx context.Context) (changed bool, err error) {
	select {
	case p.reading <- struct{}{}:
		defer func() { <-p.reading }()
	case <-ctx.Done():
		_, err := p.Material()
		return false, err
	}
	held, readErr := made(func() (KeyMaterial, error) { return p.read(ctx) })
	var since time.Time
	degraded := readErr
	if provider, ok := p.provider.(keymaterial.Degraded); ok && readErr == nil {
		since, degraded = provider.Degraded()
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.readAt = time.Now()
	switch {
	case degraded == nil:
		since = time.Time{}
	case since.IsZero() && p.since.IsZero():
		since = p.readAt
	case since.IsZero():
		since = p.since
	}
	p.degraded, p.since = degraded, since
	switch {
	case readErr == nil:
		changed = p.err != nil || !p.held.Same(held)
		p.held, p.err = held, nil
	case p.err != nil || errors.Is(readErr, keymaterial.ErrGone):
		changed = p.err == nil
		p.held, p.err = KeyMaterial{}, readErr
	}
	return changed, p.err
}

func (p *KeyProvider) read(ctx context.Context) (KeyMaterial, error) {
	certificates, certificateStatus, err := p.provider.GetCertificates(ctx)
	if err != nil {
		return KeyMaterial{}, err
	}
	keys, keyStatus, err := p.provider.GetKeys(ctx)
	if err != nil {
		return KeyMaterial{}, err
	}
	return KeyMaterial{sortedCertificates(certificates), typedKeys(p.kind, keys), certificateStatus, keyStatus}, nil
}

// Material returns what is held, or why nothing is.
func (p *KeyProvider) Material() (KeyMaterial, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held, p.err
}

// Degraded tells since when what is held could not be read again in full, and why. A nil error: it could.
func (p *KeyProvider) Degraded() (since time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since, p.degraded
}

// current returns all that is known.
func (p *KeyProvider) current() state {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Due returns when the provider is to be read the next time; zero: never.
func (p *KeyProvider) Due() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.readAt.IsZero():
		return time.Now()
	case p.err != nil && (p.interval == 0 || p.interval > retryAfter):
		return p.readAt.Add(retryAfter)
	case p.interval == 0:
		return time.Time{}
	}
	return p.readAt.Add(p.interval)
}
