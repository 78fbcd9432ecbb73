package config

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// DefaultPluginVersion is the plugin protocol's version of a configuration that names none.
const DefaultPluginVersion = "1.0.0"

// Builder makes Snapshots of configurations.
type Builder struct {
	Factories Factories
	Log       *slog.Logger

	generation uint64
}

// Build makes a Snapshot of c, whole or not at all. An error names the entry at fault. A Builder numbers its Snapshots and is not
// safe for concurrent use.
func (b *Builder) Build(ctx context.Context, c *Config) (_ *verification.Snapshot, err error) {
	var scope verification.Scope
	defer func() {
		if err != nil {
			for _, store := range scope.Stores {
				if closer, ok := store.(io.Closer); ok {
					_ = closer.Close()
				}
			}
		}
	}()
	if scope.Stores, err = b.stores(ctx, c); err != nil {
		return nil, err
	}
	if scope.Policy, err = b.Factories.Policy(c.Policy); err != nil {
		return nil, fmt.Errorf("policy.plugin: %w", err)
	}
	material, err := b.keyMaterial(ctx, c)
	if err != nil {
		return nil, err
	}
	if scope.Verifiers, err = b.verifiers(ctx, c, material); err != nil {
		return nil, err
	}
	b.generation++
	return verification.NewSnapshot(b.generation, scope, verification.SnapshotOptions{
		VerifyTimeout: milliseconds(c.Executor.VerificationRequestTimeout),
		MutateTimeout: milliseconds(c.Executor.MutationRequestTimeout),
	}), nil
}

// BuildStores makes only the stores of c, for commands that verify nothing.
func (b *Builder) BuildStores(ctx context.Context, c *Config) ([]referrerstore.ReferrerStore, error) {
	return b.stores(ctx, c)
}

func (b *Builder) stores(ctx context.Context, c *Config) ([]referrerstore.ReferrerStore, error) {
	if len(c.Store.Stores) == 0 {
		return nil, errors.New("store.plugins is empty: at least one store is needed, for example {\"name\": \"oras\"}")
	}
	in := StoreInput{Version: orDefault(c.Store.Version), PluginDirs: append(slices.Clone(c.Store.PluginBinDirs), PluginDir())}
	var stores []referrerstore.ReferrerStore
	for i, block := range c.Store.Stores {
		store, err := b.Factories.Store(ctx, block, in)
		if err != nil {
			return stores, inEntry("store", i, block, err)
		}
		stores = append(stores, store)
	}
	return stores, nil
}

func (b *Builder) verifiers(ctx context.Context, c *Config, m material) ([]verifier.ReferenceVerifier, error) {
	if len(c.Verifier.Verifiers) == 0 {
		return nil, errors.New("verifier.plugins is empty: at least one verifier is needed, for example {\"name\": \"notation\", …}")
	}
	in := VerifierInput{Certificates: m.certificates, Keys: m.keys, Version: orDefault(c.Verifier.Version), PluginDirs: c.Verifier.PluginBinDirs}
	if len(in.PluginDirs) == 0 {
		in.PluginDirs = []string{PluginDir()}
	}
	var verifiers []verifier.ReferenceVerifier
	for i, block := range c.Verifier.Verifiers {
		v, err := b.Factories.Verifier(ctx, block, in)
		if err != nil {
			return nil, inEntry("verifier", i, block, err)
		}
		verifiers = append(verifiers, v)
	}
	return verifiers, nil
}

// material is what the KeyManagementProviders hold, by their names.
type material map[string]KeyMaterial

func (m material) find(provider string) (KeyMaterial, error) {
	found, ok := m[provider]
	if !ok {
		return KeyMaterial{}, fmt.Errorf("there is no key management provider %q; configured: %s", provider, names(m))
	}
	return found, nil
}

func (m material) certificates(_ context.Context, provider string) ([]*x509.Certificate, error) {
	found, err := m.find(provider)
	return found.Certificates, err
}

func (m material) keys(_ context.Context, provider string) (map[keymanagementprovider.KMPMapKey]keymanagementprovider.PublicKey, error) {
	found, err := m.find(provider)
	return found.Keys, err
}

func (b *Builder) keyMaterial(ctx context.Context, c *Config) (material, error) {
	m := make(material)
	for i, block := range c.KeyManagementProvider.KeyManagementProviders {
		name, err := text(block, "name")
		if err != nil {
			return nil, inEntry("keyManagementProvider", i, block, err)
		}
		if _, ok := m[name]; ok {
			return nil, inEntry("keyManagementProvider", i, block, fmt.Errorf("name: %q is the name of another entry", name))
		}
		held, err := b.Factories.KeyMaterial(ctx, block)
		if err != nil {
			return nil, inEntry("keyManagementProvider", i, block, err)
		}
		b.Log.Info("key material loaded", "provider", name, "certificates", held.CertificateStatus, "keys", held.KeyStatus)
		m[name] = held
	}
	return m, nil
}

// inEntry says in which entry of which section a mistake is.
func inEntry(section string, i int, block map[string]any, err error) error {
	if name, _ := block["name"].(string); name != "" {
		return fmt.Errorf("%s.plugins[%d] (%s): %w", section, i, name, err)
	}
	return fmt.Errorf("%s.plugins[%d].%w", section, i, err)
}

func orDefault(version string) string {
	if version == "" {
		return DefaultPluginVersion
	}
	return version
}
