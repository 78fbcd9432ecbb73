package config

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"github.com/ratify-project/ratify/pkg/policyprovider"
	policyfactory "github.com/ratify-project/ratify/pkg/policyprovider/factory"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	storefactory "github.com/ratify-project/ratify/pkg/referrerstore/factory"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"
	verifierfactory "github.com/ratify-project/ratify/pkg/verifier/factory"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// defaultPluginVersion is the plugin protocol's version of a section that names none.
const defaultPluginVersion = "1.0.0"

// Factories make the parts of a configuration, by their type. A type that is not among them is one of upstream's registries, or
// an executable in the plugin directories.
type Factories struct {
	Stores                 map[string]StoreFactory
	Verifiers              map[string]VerifierFactory
	KeyManagementProviders map[string]KeyManagementProviderFactory
}

// StoreFactory makes a store of one entry of store.plugins.
type StoreFactory func(config storeconfig.StorePluginConfig, version string) (referrerstore.ReferrerStore, error)

// VerifierFactory makes a verifier of one entry of verifier.plugins.
type VerifierFactory func(config verifierconfig.VerifierConfig, in VerifierInput) (verifier.ReferenceVerifier, error)

// VerifierInput is what a verifier is made with besides its own configuration.
type VerifierInput struct {
	// Certificates returns the certificates of the KeyManagementProvider of that name.
	Certificates func(ctx context.Context, provider string) ([]*x509.Certificate, error)
	// PluginDir is the first plugin directory.
	PluginDir string
}

// KeyManagementProviderFactory makes a provider of one entry of keyManagementProvider.plugins.
type KeyManagementProviderFactory func(config kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error)

// Builder makes Snapshots of configurations.
type Builder struct {
	Factories Factories
	Log       *slog.Logger

	generation uint64
	published  material
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
	if scope.Stores, err = b.stores(c); err != nil {
		return nil, err
	}
	scope.Policy, err = made(func() (policyprovider.PolicyProvider, error) {
		return policyfactory.CreatePolicyProviderFromConfig(c.Policy)
	})
	if err != nil {
		return nil, fmt.Errorf("policy.plugin: %w", err)
	}
	material, err := b.keyMaterial(ctx, c)
	if err != nil {
		return nil, err
	}
	if scope.Verifiers, err = b.verifiers(c, material); err != nil {
		return nil, err
	}
	b.publishKeys(material)
	b.generation++
	return verification.NewSnapshot(b.generation, scope, verification.SnapshotOptions{
		VerifyTimeout: milliseconds(c.Executor.VerificationRequestTimeout),
		MutateTimeout: milliseconds(c.Executor.MutationRequestTimeout),
	}), nil
}

// BuildStores makes only the stores of c, for commands that verify nothing.
func (b *Builder) BuildStores(c *Config) ([]referrerstore.ReferrerStore, error) {
	return b.stores(c)
}

func (b *Builder) stores(c *Config) ([]referrerstore.ReferrerStore, error) {
	if len(c.Store.Stores) == 0 {
		return nil, errors.New("store.plugins is empty: at least one store is needed, for example {\"name\": \"oras\"}")
	}
	version := orDefault(c.Store.Version)
	paths := append(slices.Clone(c.Store.PluginBinDirs), PluginDir())
	var stores []referrerstore.ReferrerStore
	for i, entry := range c.Store.Stores {
		field := fmt.Sprintf("store.plugins[%d]", i)
		name, err := text(entry, "name")
		if err != nil {
			return stores, fmt.Errorf("%s.%w", field, err)
		}
		store, err := made(func() (referrerstore.ReferrerStore, error) {
			if make, ok := b.Factories.Stores[name]; ok {
				return make(entry, version)
			}
			return storefactory.CreateStoreFromConfig(entry, version, paths)
		})
		if err != nil {
			return stores, fmt.Errorf("%s (%s): %w", field, name, err)
		}
		stores = append(stores, store)
	}
	return stores, nil
}

func (b *Builder) verifiers(c *Config, m material) ([]verifier.ReferenceVerifier, error) {
	if len(c.Verifier.Verifiers) == 0 {
		return nil, errors.New("verifier.plugins is empty: at least one verifier is needed, for example {\"name\": \"notation\", …}")
	}
	version := orDefault(c.Verifier.Version)
	paths := c.Verifier.PluginBinDirs
	if len(paths) == 0 {
		paths = []string{PluginDir()}
	}
	var verifiers []verifier.ReferenceVerifier
	for i, entry := range c.Verifier.Verifiers {
		field := fmt.Sprintf("verifier.plugins[%d]", i)
		name, err := text(entry, "name")
		if err != nil {
			return nil, fmt.Errorf("%s.%w", field, err)
		}
		kind := name
		if _, ok := entry["type"]; ok {
			if kind, err = text(entry, "type"); err != nil {
				return nil, fmt.Errorf("%s.%w", field, err)
			}
		}
		v, err := made(func() (verifier.ReferenceVerifier, error) {
			if make, ok := b.Factories.Verifiers[kind]; ok {
				return make(entry, VerifierInput{Certificates: m.certificates, PluginDir: paths[0]})
			}
			return verifierfactory.CreateVerifierFromConfig(entry, version, paths, "")
		})
		if err != nil {
			return nil, fmt.Errorf("%s (%s): %w", field, name, err)
		}
		verifiers = append(verifiers, v)
	}
	return verifiers, nil
}

// made returns what a factory makes, with its panic as an error: upstream's take the types of some fields for granted, and a bad edit of
// the file must not end the process.
func made[T any](factory func() (T, error)) (_ T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a field is not of the type that is expected: %v", p)
		}
	}()
	return factory()
}

// material is what the KeyManagementProviders hold, by their names.
type material map[string]held

type held struct {
	kind         string
	certificates []*x509.Certificate
	keys         map[keymanagementprovider.KMPMapKey]crypto.PublicKey
}

func (m material) certificates(_ context.Context, provider string) ([]*x509.Certificate, error) {
	found, ok := m[provider]
	if !ok {
		return nil, fmt.Errorf("there is no key management provider %q; configured: %s", provider, orNone(slices.Sorted(maps.Keys(m))))
	}
	return found.certificates, nil
}

// publishKeys hands the public keys to upstream's cosign verifier, which looks providers up in a map of the process when it verifies.
// That is outside of the Snapshot: a verification in flight may see the keys of the next configuration.
func (b *Builder) publishKeys(m material) {
	for name, found := range m {
		keymanagementprovider.SaveSecrets(name, found.kind, found.keys, nil)
	}
	for name := range b.published {
		if _, ok := m[name]; !ok {
			keymanagementprovider.DeleteResourceFromMap(name)
		}
	}
	b.published = m
}

func (b *Builder) keyMaterial(ctx context.Context, c *Config) (material, error) {
	m := make(material)
	for i, entry := range c.KeyManagementProvider.KeyManagementProviders {
		field := fmt.Sprintf("keyManagementProvider.plugins[%d]", i)
		name, err := text(entry, "name")
		if err != nil {
			return nil, fmt.Errorf("%s.%w", field, err)
		}
		if _, ok := m[name]; ok {
			return nil, fmt.Errorf("%s.name: %q is the name of another entry", field, name)
		}
		kind, err := text(entry, "type")
		if err != nil {
			return nil, fmt.Errorf("%s.%w", field, err)
		}
		make, ok := b.Factories.KeyManagementProviders[kind]
		if !ok {
			return nil, fmt.Errorf("%s.type: %q is not one of %s", field, kind, orNone(slices.Sorted(maps.Keys(b.Factories.KeyManagementProviders))))
		}
		provider, err := made(func() (keymanagementprovider.KeyManagementProvider, error) { return make(entry) })
		if err != nil {
			return nil, fmt.Errorf("%s (%s): %w", field, name, err)
		}
		certificates, certificateStatus, err := provider.GetCertificates(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s (%s): %w", field, name, err)
		}
		keys, keyStatus, err := provider.GetKeys(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s (%s): %w", field, name, err)
		}
		b.Log.Info("key material loaded", "provider", name, "certificates", certificateStatus, "keys", keyStatus)
		m[name] = held{kind: kind, certificates: sortedCertificates(certificates), keys: keys}
	}
	return m, nil
}

// sortedCertificates returns all certificates of a provider in the order of their names and versions.
func sortedCertificates(byKey map[keymanagementprovider.KMPMapKey][]*x509.Certificate) []*x509.Certificate {
	keys := slices.SortedFunc(maps.Keys(byKey), func(a, b keymanagementprovider.KMPMapKey) int {
		return strings.Compare(a.Name+"\x00"+a.Version, b.Name+"\x00"+b.Version)
	})
	certificates := []*x509.Certificate{}
	for _, key := range keys {
		certificates = append(certificates, byKey[key]...)
	}
	return certificates
}

// text returns the text of a field that must have one.
func text(entry map[string]any, field string) (string, error) {
	value, ok := entry[field]
	if !ok {
		return "", fmt.Errorf("%s is missing", field)
	}
	s, ok := value.(string)
	if !ok || s == "" {
		return "", fmt.Errorf("%s: %v is not a name", field, value)
	}
	return s, nil
}

func orDefault(version string) string {
	if version == "" {
		return defaultPluginVersion
	}
	return version
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
