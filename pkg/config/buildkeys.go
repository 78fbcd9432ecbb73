package config

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
)

// ErrKeyMaterial is wrapped by errors of Build about a key management provider that could not be read. The same configuration may be taken later.
var ErrKeyMaterial = errors.New("there is no key material")

// ErrDownload is wrapped by errors of factories about a program that could not be downloaded. The same configuration may be taken later.
var ErrDownload = errors.New("could not be downloaded")

// namedProvider is a provider and the block it was made of.
type namedProvider struct {
	*KeyProvider
	block kmpconfig.KeyManagementProviderConfig
}

// namedProviders are the providers of config.json by their names.
type namedProviders map[string]namedProvider

func (p namedProviders) find(name string) (KeyMaterial, error) {
	found, ok := p[name]
	if !ok {
		return KeyMaterial{}, fmt.Errorf("there is no key management provider %q; configured: %s", name, names(p))
	}
	return found.Material()
}

// all returns the providers without their blocks.
func (p namedProviders) all() KeyProviders {
	all := make(KeyProviders, len(p))
	for name, provider := range p {
		all[name] = provider.KeyProvider
	}
	return all
}

// keyProviders makes and reads the providers of c. One whose block has not changed is kept, with what it holds.
func (b *Builder) keyProviders(ctx context.Context, c *Config) (namedProviders, error) {
	last, providers := b.namedProviders(), make(namedProviders)
	blocks := c.KeyManagementProvider.KeyManagementProviders
	for i, block := range blocks {
		name, err := text(block, "name")
		if err != nil {
			return nil, inEntry("keyManagementProvider", i, block, err)
		}
		if _, ok := providers[name]; ok {
			return nil, inEntry("keyManagementProvider", i, block, fmt.Errorf("name: %q is the name of another entry", name))
		}
		if known, ok := last[name]; ok && reflect.DeepEqual(known.block, block) {
			providers[name] = known
			continue
		}
		made, err := b.Factories.KeyProvider(block)
		if err != nil {
			return nil, inEntry("keyManagementProvider", i, block, err)
		}
		providers[name] = namedProvider{made, block}
	}
	b.read(ctx, providers.all(), func(string) bool { return true })
	for i, block := range blocks {
		if _, err := providers.find(block["name"].(string)); err != nil {
			return nil, inEntry("keyManagementProvider", i, block, fmt.Errorf("%w: %w", ErrKeyMaterial, err))
		}
	}
	return providers, nil
}

// namedProviders returns those of the last configuration.
func (b *Builder) namedProviders() namedProviders {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.providers
}

// KeyProviders returns the key management providers of the last configuration.
func (b *Builder) KeyProviders() KeyProviders { return b.namedProviders().all() }

// Due returns when Refresh is to be called the next time; zero: not before the next Build.
func (b *Builder) Due() time.Time {
	due := b.KeyProviders().Due()
	b.mu.Lock()
	defer b.mu.Unlock()
	if again := b.failed.Add(retryAfter); !b.failed.IsZero() && (due.IsZero() || again.Before(due)) {
		return again
	}
	return due
}

// Refresh reads the key management providers that are due, and tells whether Rebuild is needed: because the last Snapshot is stale, or because
// the last Rebuild failed.
func (b *Builder) Refresh(ctx context.Context) bool {
	providers := b.KeyProviders()
	b.read(ctx, providers, providers.IsDue)
	stale := b.Stale()
	b.mu.Lock()
	defer b.mu.Unlock()
	return stale || !b.failed.IsZero()
}

// Stale tells whether a key management provider holds something else than when the last Snapshot was made. A Build that failed may have read it.
func (b *Builder) Stale() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.holdings.same(b.providers.all().holdings())
}

// remindAfter is after which time it is logged again that a provider still cannot be read.
const remindAfter = 10 * time.Minute

// read reads providers and logs what is new.
func (b *Builder) read(ctx context.Context, providers KeyProviders, wanted func(name string) bool) {
	before := make(map[string]state)
	for name, p := range providers {
		before[name] = p.current()
	}
	providers.Read(ctx, wanted, func(string, bool) {})
	if ctx.Err() != nil {
		return // the process ends, which is no news of providers
	}
	for name, p := range providers {
		was, is := before[name], p.current()
		differs := (is.err == nil) != (was.err == nil) || (is.degraded == nil) != (was.degraded == nil)
		// Errors are not compared: each names another request.
		news := differs || is.readAt.Sub(is.since)/remindAfter > was.readAt.Sub(is.since)/remindAfter
		switch {
		case is.err != nil && news && !was.readAt.IsZero(): // else Build returns the error
			b.Log.Error("a key management provider holds nothing", "provider", name, "since", is.since, "error", is.err)
		case is.err == nil && is.degraded != nil && news:
			b.Log.Warn("a key management provider could not be read in full; what it held stays in use", "provider", name, "since", is.since,
				"error", is.degraded)
		case is.err == nil && (differs || !is.held.Same(was.held)):
			b.Log.Info("key material loaded", "provider", name, "certificates", is.held.CertificateStatus, "keys", is.held.KeyStatus)
		}
	}
}
