package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ratify-project/ratify/pkg/policyprovider"
	policyconfig "github.com/ratify-project/ratify/pkg/policyprovider/config"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// policyName is the only name under which a Policy counts, as with upstream: one scope has one policy.
const policyName = "ratify-policy"

// Builder makes Snapshots of resources. Build must not be called twice at the same time; the other methods may be called at any time.
type Builder struct {
	Factories config.Factories
	// VerifyTimeout and MutateTimeout bound one request; zero means the defaults of package verification.
	VerifyTimeout, MutateTimeout time.Duration

	generation uint64
	stores     parts[referrerstore.ReferrerStore]
	verifiers  parts[verifier.ReferenceVerifier]
	policies   parts[policyprovider.PolicyProvider]
	downloads  map[string]int // how many were downloaded, by the paths of programs

	mu       sync.Mutex
	material material
	again    time.Time // when Build is needed for what could not be downloaded; zero: it is not
}

// Status is what became of a resource.
type Status struct {
	ID ID
	// Err says why the resource, as it is now, is not in use. Nil: it is.
	Err error
	// Kept says that the last version of the resource that could be used stays in use, as Err is not nil.
	Kept bool
	// KeyMaterial is what a key management provider holds.
	KeyMaterial config.KeyMaterial
	// Degraded says why what a key management provider holds could not be read again in full, and Since, since when. Nil: it could.
	Degraded error
	Since    time.Time
	// ReadAt is when a key management provider was read the last time; zero: it was not.
	ReadAt time.Time
}

// Build makes a Snapshot of all resources there are, and tells what became of each.
func (b *Builder) Build(ctx context.Context, r Resources) (*verification.Snapshot, []Status) {
	stores, verifiers := r.stores(), r.verifiers()
	run := &build{Builder: b, scopes: make(map[string]*verification.Scope), sources: sourcesOf(stores, verifiers)}
	if b.downloads == nil {
		b.downloads = make(map[string]int)
	}
	run.keyMaterial = b.keyMaterial().renew(b.Factories, r.keyManagementProviders())
	run.keyMaterial.readNew(ctx)
	b.mu.Lock()
	b.material = run.keyMaterial
	b.mu.Unlock()
	run.statuses = run.keyMaterial.statuses()
	run.makeStores(ctx, stores)
	run.makePolicies(r.policies())
	run.makeVerifiers(ctx, verifiers)
	b.mu.Lock()
	b.again = run.again
	b.mu.Unlock()

	cluster := *run.scope("")
	delete(run.scopes, "")
	namespaces := make(map[string]verification.Scope, len(run.scopes))
	for namespace, scope := range run.scopes {
		namespaces[namespace] = *scope
	}
	b.generation++
	return verification.NewSnapshot(b.generation, cluster, verification.SnapshotOptions{
		Namespaces: namespaces, Mandatory: run.mandatory, VerifyTimeout: b.VerifyTimeout, MutateTimeout: b.MutateTimeout,
	}), run.statuses
}

// Refresh begins to read the key management providers that are due, and returns a function that waits for all of them. It calls ended for each that
// was read, maybe at the same time, and tells whether it holds something else than before, so that Build is needed: what is not trusted any more
// must not wait for a provider that hangs. Build is needed, too, when what could not be downloaded is to be tried again.
func (b *Builder) Refresh(ctx context.Context, ended func(changed bool)) (wait func()) {
	b.mu.Lock()
	material, again := b.material, b.again
	retry := !again.IsZero() && !time.Now().Before(again)
	if retry {
		b.again = time.Time{} // Build sets it again
	}
	b.mu.Unlock()
	if retry {
		ended(true)
	}
	return material.readDue(ctx, ended)
}

// Due returns when Refresh is to be called the next time; zero: not before the next Build.
func (b *Builder) Due() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return earliest(b.material.due(), b.again)
}

// earliest returns the earlier of two times that may be zero, which means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// KeyProviders tells what became of the key management providers of the last Build, as they are now.
func (b *Builder) KeyProviders() []Status { return b.keyMaterial().statuses() }

func (b *Builder) keyMaterial() material {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.material
}

// build is one run of Build.
type build struct {
	*Builder
	keyMaterial material
	sources     map[string][]any // what is downloaded, by the paths of programs
	scopes      map[string]*verification.Scope
	mandatory   verification.Mandatory
	statuses    []Status
	again       time.Time
}

func (b *build) scope(namespace string) *verification.Scope {
	if b.scopes[namespace] == nil {
		b.scopes[namespace] = &verification.Scope{}
	}
	return b.scopes[namespace]
}

func (b *build) tell(id ID, err error, usable bool) {
	b.statuses = append(b.statuses, Status{ID: id, Err: err, Kept: err != nil && usable})
}

func (b *build) makeStores(ctx context.Context, resources []resource) {
	made := make(parts[referrerstore.ReferrerStore])
	for _, r := range downloadsFirst(resources) {
		made[r.ID] = b.Builder.stores.renew(r, b.holds, func(s spec, block map[string]any) (store referrerstore.ReferrerStore, on basis, mandatory bool, err error) {
			if err := checkPrograms(r.ID, s, block); err != nil {
				return nil, on, false, err
			}
			if err := checkTenantsStore(r.ID, block); err != nil {
				return nil, on, false, err
			}
			block["name"] = s.kind
			store, err = b.Factories.Store(ctx, block, config.StoreInput{Version: s.pluginVersion(), PluginDirs: s.pluginDirs()})
			b.downloaded(r.ID, s, block, err)
			return store, b.basisOf(s), false, err
		})
	}
	for _, r := range resources {
		p := made[r.ID]
		store := p.made
		if !p.usable {
			store = unusableStore{r.Name, unusable(r.ID, p.err)}
		}
		scope := b.scope(r.Namespace)
		scope.Stores = append(scope.Stores, store)
		b.again = earliest(b.again, p.again)
		b.tell(r.ID, p.err, p.usable)
	}
	b.Builder.stores = made
}

func (b *build) makePolicies(resources []resource) {
	made := make(parts[policyprovider.PolicyProvider])
	for _, r := range resources {
		if r.Name != policyName {
			b.tell(r.ID, fmt.Errorf("metadata.name: a policy counts only under the name %s", policyName), false)
			continue
		}
		p := b.Builder.policies.renew(r, b.holds, func(s spec, block map[string]any) (policy policyprovider.PolicyProvider, on basis, mandatory bool, err error) {
			if mandatory, err = takeMandatory(r.ID, block); err != nil {
				return nil, on, mandatory, err
			}
			if len(block) == 0 {
				return nil, on, mandatory, errors.New("spec.parameters is missing")
			}
			if err := checkTenantsPolicy(r.ID, block); err != nil {
				return nil, on, mandatory, err
			}
			block["name"] = s.kind
			policy, err = b.Factories.Policy(policyconfig.PoliciesConfig{PolicyPlugin: block})
			return policy, on, mandatory, err
		})
		made[r.ID] = p
		scope := b.scope(r.Namespace)
		if p.usable {
			scope.Policy = p.made
		} else {
			scope.Err = unusable(r.ID, p.err)
		}
		if r.Namespace == "" {
			b.mandatory.Policy = p.mandatory
		}
		b.tell(r.ID, p.err, p.usable)
	}
	b.Builder.policies = made
}

func (b *build) makeVerifiers(ctx context.Context, resources []resource) {
	made := make(parts[verifier.ReferenceVerifier])
	for _, r := range downloadsFirst(resources) {
		made[r.ID] = b.Builder.verifiers.renew(r, b.holds, func(s spec, block map[string]any) (v verifier.ReferenceVerifier, on basis, mandatory bool, err error) {
			if mandatory, err = takeMandatory(r.ID, block); err != nil {
				return nil, on, mandatory, err
			}
			if err := checkPrograms(r.ID, s, block); err != nil {
				return nil, on, mandatory, err
			}
			block["name"], block["type"], block["artifactTypes"] = r.Name, s.kind, s.artifactTypes
			in := config.VerifierInput{Namespace: r.Namespace, Version: s.pluginVersion(), PluginDirs: s.pluginDirs()}
			answers := in.Ask(reader{b.keyMaterial, r.Namespace}.find)
			v, err = b.Factories.Verifier(ctx, block, in)
			b.downloaded(r.ID, s, block, err)
			if err != nil {
				return nil, on, mandatory, err
			}
			on = b.basisOf(s)
			on.answers, on.files = answers, config.IsFromFiles(v)
			return v, on, mandatory, nil
		})
	}
	for _, r := range resources {
		p := made[r.ID]
		v := p.made
		if !p.usable {
			s := r.spec
			if p.known { // it stays what it was, as far as it goes
				s = p.spec
			}
			v = unusableVerifier{r.Name, s.kind, s.artifactTypes, unusable(r.ID, p.err)}
		}
		scope := b.scope(r.Namespace)
		scope.Verifiers = append(scope.Verifiers, v)
		b.again = earliest(b.again, p.again)
		if p.mandatory {
			b.mandatory.Verifiers = append(b.mandatory.Verifiers, v)
		}
		b.tell(r.ID, p.err, p.usable)
	}
	b.Builder.verifiers = made
}

// unusable words for a verdict why a resource cannot decide.
func unusable(id ID, err error) error {
	return fmt.Errorf("%s cannot be used: %w (kubectl describe shows its status)", id, err)
}
