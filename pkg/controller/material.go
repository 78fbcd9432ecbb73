package controller

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
)

// firstReadTimeout bounds the reading of new key management providers in Build. What hangs must not keep other changes, of trust above all,
// from taking effect; Refresh reads it again, and leaves it more time.
const firstReadTimeout = 5 * time.Second

// provider is what was made of the resource of a key management provider.
type provider struct {
	resource
	made   *config.KeyProvider
	err    error                     // why nothing was made
	readAt atomic.Pointer[time.Time] // when it was read the last time; nil: never
	// reading says that readDue reads it, or will.
	reading atomic.Bool
}

// material are the key management providers of all namespaces, by their references. It is not changed once it is made.
type material map[string]*provider

// renew makes the providers of resources. One whose resource has not changed is kept, with what it holds.
func (m material) renew(factories config.Factories, resources []resource) material {
	renewed := make(material, len(resources))
	for _, r := range resources {
		last, ok := m[r.Reference()]
		if !ok || last.err != nil || last.uid != r.uid || !reflect.DeepEqual(last.spec, r.spec) {
			last = &provider{resource: r}
			last.made, last.err = makeProvider(factories, r)
		}
		renewed[r.Reference()] = last
	}
	return renewed
}

func makeProvider(factories config.Factories, r resource) (*config.KeyProvider, error) {
	block, err := r.spec.block()
	if err != nil {
		return nil, err
	}
	block["type"], block["resource"] = r.spec.kind, r.Reference()
	if r.spec.refreshInterval != "" {
		block[config.RefreshInterval] = r.spec.refreshInterval
	}
	if err := checkTenantsKeys(r.ID, r.spec.kind, block); err != nil {
		return nil, err
	}
	return factories.KeyProvider(block)
}

// providers returns those that could be made.
func (m material) providers() config.KeyProviders {
	all := make(config.KeyProviders, len(m))
	for reference, p := range m {
		if p.err == nil {
			all[reference] = p.made
		}
	}
	return all
}

// readNew reads those that were never read.
func (m material) readNew(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstReadTimeout)
	defer cancel()
	m.read(ctx, func(reference string) bool { return m[reference].readAt.Load() == nil }, func(bool) {})
}

// due returns when the first of those that are not being read is to be read; zero: none is.
func (m material) due() time.Time {
	var first time.Time
	for _, p := range m {
		if p.err == nil && !p.reading.Load() {
			first = earliest(first, p.made.Due())
		}
	}
	return first
}

// readDue begins to read those that are due, and returns a function that waits for them. It calls ended for each, and tells whether it holds
// something else than before.
func (m material) readDue(ctx context.Context, ended func(changed bool)) (wait func()) {
	all, due := m.providers(), make(map[string]bool)
	for reference := range all {
		if all.IsDue(reference) && m[reference].reading.CompareAndSwap(false, true) {
			due[reference] = true
		}
	}
	var reads sync.WaitGroup
	if len(due) > 0 {
		reads.Go(func() { m.read(ctx, func(reference string) bool { return due[reference] }, ended) })
	}
	return reads.Wait
}

// read reads those that are wanted, and calls ended for each.
func (m material) read(ctx context.Context, wanted func(reference string) bool, ended func(changed bool)) {
	m.providers().Read(ctx, wanted, func(reference string, changed bool) {
		now := time.Now()
		m[reference].readAt.Store(&now)
		m[reference].reading.Store(false)
		ended(changed)
	})
}

// statuses tells what became of each.
func (m material) statuses() []Status {
	var all []Status
	for _, reference := range slices.Sorted(maps.Keys(m)) {
		p := m[reference]
		status := Status{ID: p.ID}
		status.KeyMaterial, status.Err = p.material()
		if p.err == nil {
			status.Since, status.Degraded = p.made.Degraded()
		}
		if at := p.readAt.Load(); at != nil {
			status.ReadAt = *at
		}
		all = append(all, status)
	}
	return all
}

// material returns what a provider holds, or why nothing.
func (p *provider) material() (config.KeyMaterial, error) {
	if p.err != nil {
		return config.KeyMaterial{}, p.err
	}
	return p.made.Material()
}

// reader is the access that the resources of one namespace have to the key management providers.
type reader struct {
	material
	namespace string
}

func (r reader) find(reference string) (config.KeyMaterial, error) {
	if namespace, _, namespaced := strings.Cut(reference, "/"); namespaced && namespace != r.namespace {
		if r.namespace == "" {
			return config.KeyMaterial{}, fmt.Errorf("key management provider %q belongs to a namespace: a cluster-wide resource can use cluster-wide ones only", reference)
		}
		return config.KeyMaterial{}, fmt.Errorf("key management provider %q is of another namespace: use one of %s, or a cluster-wide one", reference, r.namespace)
	}
	p, ok := r.material[reference]
	if !ok {
		return config.KeyMaterial{}, fmt.Errorf("there is no key management provider %q", reference)
	}
	held, err := p.material()
	if err != nil {
		return config.KeyMaterial{}, fmt.Errorf("key management provider %q cannot be used: %w", reference, err)
	}
	return held, nil
}
