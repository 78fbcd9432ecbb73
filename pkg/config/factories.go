package config

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"github.com/ratify-project/ratify/pkg/policyprovider"
	policyconfig "github.com/ratify-project/ratify/pkg/policyprovider/config"
	policyfactory "github.com/ratify-project/ratify/pkg/policyprovider/factory"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/executable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/spelling"
)

// Factories make the parts of a configuration, by their type.
type Factories struct {
	Stores                 map[string]StoreFactory
	Verifiers              map[string]VerifierFactory
	KeyManagementProviders map[string]KeyManagementProviderFactory
	// ExternalStore and ExternalVerifier make those of any other type: executables in the plugin directories.
	ExternalStore    StoreFactory
	ExternalVerifier VerifierFactory
	// LeftOut are types of verifiers and key management providers that this build lacks and another has, each with the error that says which.
	LeftOut map[string]error
}

// StoreFactory makes a store of its configuration.
type StoreFactory func(ctx context.Context, config storeconfig.StorePluginConfig, in StoreInput) (referrerstore.ReferrerStore, error)

// StoreInput is what a store is made with besides its own configuration.
type StoreInput struct {
	// Version is that of the plugin protocol.
	Version string
	// PluginDirs are the directories of external plugins.
	PluginDirs []string
}

// VerifierFactory makes a verifier of its configuration.
type VerifierFactory func(ctx context.Context, config verifierconfig.VerifierConfig, in VerifierInput) (verifier.ReferenceVerifier, error)

// VerifierInput is what a verifier is made with besides its own configuration.
type VerifierInput struct {
	// Namespace is that of the Verifier resource, empty for a cluster-wide one and outside a cluster.
	Namespace string
	// Certificates and Keys return what the KeyManagementProvider of that name holds: "name" for a cluster-wide one, or "namespace/name". They are for
	// the factory, which calls one at a time: a verifier is kept as long as what it was made of stays the same.
	Certificates func(ctx context.Context, provider string) ([]*x509.Certificate, error)
	Keys         func(ctx context.Context, provider string) (map[keymanagementprovider.KMPMapKey]keymanagementprovider.PublicKey, error)
	// Version is that of the plugin protocol.
	Version string
	// PluginDirs are the directories of external plugins, one at least.
	PluginDirs []string
}

// KeyManagementProviderFactory makes a provider of its configuration.
type KeyManagementProviderFactory func(config kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error)

// Store makes a store of one block of configuration, whose name is the store's type.
func (f Factories) Store(ctx context.Context, block storeconfig.StorePluginConfig, in StoreInput) (referrerstore.ReferrerStore, error) {
	kind, err := text(block, "name")
	if err != nil {
		return nil, err
	}
	make, ok := f.Stores[kind]
	if !ok {
		make = f.ExternalStore
	}
	if make == nil {
		return nil, fmt.Errorf("name: %q is not one of %s", kind, names(f.Stores))
	}
	store, err := made(func() (referrerstore.ReferrerStore, error) { return make(ctx, block, in) })
	return store, f.orBuiltIn(err, kind, maps.Keys(f.Stores))
}

// Verifier makes a verifier of one block of configuration. Its type is the block's, else its name.
func (f Factories) Verifier(ctx context.Context, block verifierconfig.VerifierConfig, in VerifierInput) (verifier.ReferenceVerifier, error) {
	kind, err := text(block, "name")
	if err != nil {
		return nil, err
	}
	if _, ok := block["type"]; ok {
		if kind, err = text(block, "type"); err != nil {
			return nil, err
		}
	}
	make, ok := f.Verifiers[kind]
	if !ok {
		make = f.ExternalVerifier
	}
	if make == nil {
		return nil, fmt.Errorf("type: %q is not one of %s", kind, names(f.Verifiers))
	}
	v, err := made(func() (verifier.ReferenceVerifier, error) { return make(ctx, block, in) })
	return v, f.orBuiltIn(err, kind, maps.Keys(f.Verifiers))
}

// orBuiltIn adds to the error that there is no executable of a type which types need none: the type may be misspelt. For a type that is left out
// it says that instead.
func (f Factories) orBuiltIn(err error, kind string, builtIn iter.Seq[string]) error {
	if !errors.Is(err, executable.ErrNotFound) {
		return err
	}
	if leftOut, ok := f.LeftOut[kind]; ok {
		return leftOut
	}
	types := slices.Sorted(builtIn)
	if nearest := spelling.Nearest(kind, types); nearest != "" {
		return fmt.Errorf("%w; did you mean %s, which is built in?", err, nearest)
	}
	return fmt.Errorf("%w; built in are %s", err, strings.Join(types, ", "))
}

// Policy makes a policy of one block of configuration; its types are upstream's.
func (f Factories) Policy(block policyconfig.PoliciesConfig) (policyprovider.PolicyProvider, error) {
	return made(func() (policyprovider.PolicyProvider, error) {
		return policyfactory.CreatePolicyProviderFromConfig(block)
	})
}

// made returns what a factory makes, with its panic as an error: upstream's take the types of some fields for granted, and a bad edit of
// the configuration must not end the process.
func made[T any](factory func() (T, error)) (_ T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a field is not of the type that is expected: %v", p)
		}
	}()
	return factory()
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

func typedKeys(kind string, keys map[keymanagementprovider.KMPMapKey]crypto.PublicKey) map[keymanagementprovider.KMPMapKey]keymanagementprovider.PublicKey {
	typed := make(map[keymanagementprovider.KMPMapKey]keymanagementprovider.PublicKey, len(keys))
	for name, key := range keys {
		typed[name] = keymanagementprovider.PublicKey{Key: key, ProviderType: kind}
	}
	return typed
}

// text returns the text of a field that must have one.
func text(block map[string]any, field string) (string, error) {
	value, ok := block[field]
	if !ok {
		return "", fmt.Errorf("%s is missing", field)
	}
	s, ok := value.(string)
	if !ok || s == "" {
		return "", fmt.Errorf("%s: %v is not a name", field, value)
	}
	return s, nil
}

// names lists the types of factories.
func names[T any](factories map[string]T) string {
	if len(factories) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(factories)), ", ")
}
