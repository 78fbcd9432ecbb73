package referrerstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/dockerconfig"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/auth"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/cache"
)

const (
	// grantsBytes bounds the memory of what providers said, by rough cost.
	grantsBytes = 4 << 20
	grantCost   = 1 << 10
	// uncoveredFor is how long a provider that has no say in a registry is not asked again.
	uncoveredFor = time.Minute
)

// errProvider marks failures of auth providers, whose texts say themselves what to do.
var errProvider = errors.New("no credentials")

// providers asks the auth providers that are configured for a registry. It is the auth.Source of a store.
type providers struct {
	list           []*provider
	allowAnonymous bool
	now            func() time.Time
	asking         *flight.Group[auth.Grant]

	grants *cache.Memory[keptGrant]
}

// provider is one of them.
type provider struct {
	authprovider.AuthProvider
	name     string
	order    int
	patterns []pattern // none: all registries
	// cachesItself is true for providers that take back refused credentials. They keep credentials themselves and renew them ahead of
	// their end, which a second cache here would prevent.
	cachesItself bool
}

// keptGrant is what a provider said, until its end.
type keptGrant struct {
	grant auth.Grant
	ends  time.Time
}

// createProvider makes a provider of its block; nil is that of Docker's configuration file.
type createProvider func(map[string]any) (authprovider.AuthProvider, error)

// newProviders makes the providers of the configuration. Without any there is Docker's configuration file, as upstream has it.
func newProviders(configs []providerConfig, allowAnonymous bool, create createProvider, now func() time.Time) (*providers, error) {
	p := &providers{allowAnonymous: allowAnonymous, now: now, asking: flight.New[auth.Grant](callTimeout),
		grants: cache.NewMemory[keptGrant](grantsBytes, 0, now)}
	if len(configs) == 0 {
		configs = []providerConfig{{field: "authProvider"}}
	}
	for i, c := range configs {
		name := dockerconfig.Name
		if c.block != nil {
			var ok bool
			if name, ok = c.block["name"].(string); !ok || name == "" {
				return nil, fmt.Errorf("%w: %s.name must be the name of an auth provider", ErrConfig, c.field)
			}
		}
		made, err := create(c.block)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: auth provider %s: %w", ErrConfig, c.field, name, err)
		}
		p.list = append(p.list, newProvider(made, name, i, c.patterns))
	}
	return p, nil
}

func newProvider(made authprovider.AuthProvider, name string, order int, patterns []pattern) *provider {
	p := &provider{AuthProvider: made, name: name, order: order, patterns: patterns}
	_, p.cachesItself = made.(authprovider.RefusalHandler)
	return p
}

// candidates returns the providers to ask about a registry, in order: the more precise the pattern, the earlier; those without patterns
// last; equals in the order of the configuration.
func (p *providers) candidates(registry string) []*provider {
	type candidate struct {
		*provider
		weight int
	}
	var found []candidate
	for _, one := range p.list {
		weight := -1
		if len(one.patterns) == 0 {
			weight = 0
		}
		for _, pattern := range one.patterns {
			if pattern.names(registry) {
				weight = max(weight, pattern.weight())
			}
		}
		if weight >= 0 {
			found = append(found, candidate{one, weight})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(b.weight, a.weight) })
	list := make([]*provider, len(found))
	for i, c := range found {
		list[i] = c.provider
	}
	return list
}

// Grant asks the providers for the registry in turn until one covers it. A failing one ends the search: what it would have said must not
// be taken for "anonymous".
func (p *providers) Grant(ctx context.Context, artifact string) (auth.Grant, error) {
	registry, _, _ := strings.Cut(artifact, "/")
	return p.asking.Do(ctx, registry, func(ctx context.Context) (auth.Grant, error) {
		var notes []string
		for _, one := range p.candidates(registry) {
			grant, err := p.ask(ctx, one, registry, artifact)
			if err != nil {
				err = fmt.Errorf("%w from auth provider %s: %w", errProvider, one.name, err)
				if !one.cachesItself && len(one.patterns) == 0 {
					err = fmt.Errorf("%w (if it is not meant for this registry, say in authProviders[].registries which ones it is for)", err)
				}
				return auth.Grant{}, err
			}
			if grant.Provider != "" {
				return grant, nil
			}
			notes = append(notes, grant.Note)
		}
		if len(notes) == 0 {
			notes = []string{"no entry of authProviders names " + registry}
		}
		note := strings.Join(notes, "; ")
		if !p.allowAnonymous {
			return auth.Grant{}, fmt.Errorf("%w for registry %s, and the store's allowAnonymous is false: %s", errProvider, registry, note)
		}
		return auth.Grant{Note: note}, nil
	})
}

// ask returns the grant of one provider, which is without Provider if it does not cover the registry.
func (p *providers) ask(ctx context.Context, one *provider, registry, artifact string) (auth.Grant, error) {
	key := fmt.Sprint(one.order, " ", registry)
	if kept, ok := p.kept(key); ok {
		return kept, nil
	}
	flight.Waits(ctx, "auth provider "+one.name)
	config, err := one.Provide(ctx, artifact)
	credential := auth.Credential{Username: config.Username, Password: config.Password, IdentityToken: config.IdentityToken}
	grant := auth.Grant{Credential: credential, Provider: one.name}
	ends := config.ExpiresOn
	switch {
	case errors.Is(err, authprovider.ErrNotCovered):
		grant, ends = auth.Grant{Note: err.Error()}, p.now().Add(uncoveredFor)
	case err != nil:
		return auth.Grant{}, err
	case credential == auth.Credential{}:
		return auth.Grant{}, errors.New("it returned neither credentials nor an error")
	}
	if !one.cachesItself || grant.Provider == "" {
		p.keep(key, keptGrant{grant, ends})
	}
	return grant, nil
}

// Refused forgets a grant and asks its provider for an explanation.
func (p *providers) Refused(artifact string, refused auth.Grant) string {
	registry, _, _ := strings.Cut(artifact, "/")
	for _, one := range p.candidates(registry) {
		if one.name != refused.Provider {
			continue
		}
		p.keep(fmt.Sprint(one.order, " ", registry), keptGrant{})
		if handler, ok := one.AuthProvider.(authprovider.RefusalHandler); ok {
			explanation := handler.Refused(artifact, authprovider.AuthConfig{Username: refused.Credential.Username,
				Password: refused.Credential.Password, IdentityToken: refused.Credential.IdentityToken})
			if explanation != "" { // else it is another entry of the same provider that covers the registry
				return explanation
			}
		}
	}
	return ""
}

func (p *providers) kept(key string) (auth.Grant, bool) {
	k, ok := p.grants.Get(key)
	return k.grant, ok && p.now().Before(k.ends)
}

func (p *providers) keep(key string, k keptGrant) { p.grants.Put(key, k, grantCost) }
