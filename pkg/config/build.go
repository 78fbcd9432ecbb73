package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// DefaultPluginVersion is the plugin protocol's version of a configuration that names none.
const DefaultPluginVersion = "1.0.0"

// Builder makes Snapshots of configurations. Build and Rebuild must not be called at the same time; the others may.
type Builder struct {
	Factories Factories
	Log       *slog.Logger

	generation uint64
	current    built

	mu        sync.Mutex
	providers namedProviders
	holdings  holdings  // what they held when the last Snapshot was made
	failed    time.Time // when Rebuild failed the last time; zero: it did not since
}

// built is what the last Snapshot was made of, besides key material.
type built struct {
	config  *Config
	scope   verification.Scope
	answers []Answers // of the key management providers, for each verifier
}

// Build makes a Snapshot of c, whole or not at all. An error names the entry at fault.
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
	providers, err := b.keyProviders(ctx, c)
	if err != nil {
		return nil, err
	}
	held := providers.all().holdings() // before the verifiers take it: what changes meanwhile is seen by Stale
	var answers []Answers
	if scope.Verifiers, answers, err = b.verifiers(ctx, c, providers, built{}); err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.providers, b.holdings, b.failed = providers, held, time.Time{}
	b.mu.Unlock()
	b.current = built{c, scope, answers}
	return b.snapshot(c, scope), nil
}

// Rebuild makes a Snapshot of the last configuration with what the key management providers hold now. Verifiers that find there what they found
// before stay as they are. If the others cannot be made of that, the
// Snapshot decides nothing: key material that is gone must not be trusted any more.
func (b *Builder) Rebuild(ctx context.Context) *verification.Snapshot {
	c, scope := b.current.config, b.current.scope
	providers := b.namedProviders()
	held := providers.all().holdings()
	verifiers, answers, err := b.verifiers(ctx, c, providers, b.current)
	scope.Verifiers = verifiers
	if err == nil {
		b.current = built{c, scope, answers}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holdings, b.failed = held, time.Time{}
	if err != nil {
		b.failed = time.Now()
		scope.Err = fmt.Errorf("the configuration cannot be used with the key material that there is now: %w", err)
	}
	return b.snapshot(c, scope)
}

func (b *Builder) snapshot(c *Config, scope verification.Scope) *verification.Snapshot {
	b.generation++
	return verification.NewSnapshot(b.generation, scope, verification.SnapshotOptions{
		VerifyTimeout: milliseconds(c.Executor.VerificationRequestTimeout),
		MutateTimeout: milliseconds(c.Executor.MutationRequestTimeout),
	})
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

// verifiers makes the verifiers of c but for those that can be taken from last, which was made of c or is empty.
func (b *Builder) verifiers(ctx context.Context, c *Config, p namedProviders, last built) ([]verifier.ReferenceVerifier, []Answers, error) {
	if len(c.Verifier.Verifiers) == 0 {
		return nil, nil, errors.New("verifier.plugins is empty: at least one verifier is needed, for example {\"name\": \"notation\", …}")
	}
	in := VerifierInput{Version: orDefault(c.Verifier.Version), PluginDirs: c.Verifier.PluginBinDirs}
	if len(in.PluginDirs) == 0 {
		in.PluginDirs = []string{PluginDir()}
	}
	var verifiers []verifier.ReferenceVerifier
	var answers []Answers
	for i, block := range c.Verifier.Verifiers {
		if last.answers != nil && last.answers[i].Hold(p.find) && !IsFromFiles(last.scope.Verifiers[i]) {
			verifiers, answers = append(verifiers, last.scope.Verifiers[i]), append(answers, last.answers[i])
			continue
		}
		told := in.Ask(p.find)
		v, err := b.Factories.Verifier(ctx, block, in)
		if err != nil {
			return nil, nil, inEntry("verifier", i, block, err)
		}
		verifiers, answers = append(verifiers, v), append(answers, told)
	}
	return verifiers, answers, nil
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
