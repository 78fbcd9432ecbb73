package config

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// readTimeout bounds the reading of all key management providers: those that hang must not keep the configuration from changing.
	readTimeout = 30 * time.Second
	// maxReads bounds the providers of one namespace read at once, each of which may be a service with limits of its own. Namespaces do not
	// wait for each other: one whose providers hang costs the others nothing.
	maxReads = 8
)

// KeyProviders are the providers of a configuration by their references: "name", or "namespace/name".
type KeyProviders map[string]*KeyProvider

// Read reads those providers for which wanted returns true. It calls ended for each as soon as that is read, maybe for several at the same time, and
// tells whether it holds something else than before.
func (p KeyProviders) Read(ctx context.Context, wanted func(reference string) bool, ended func(reference string, changed bool)) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	byNamespace := make(map[string][]string)
	for reference := range p {
		if wanted(reference) {
			namespace := reference[:strings.LastIndexByte(reference, '/')+1]
			byNamespace[namespace] = append(byNamespace[namespace], reference)
		}
	}
	var namespaces sync.WaitGroup
	for _, references := range byNamespace {
		namespaces.Go(func() {
			var group errgroup.Group
			group.SetLimit(maxReads)
			for _, reference := range references {
				group.Go(func() error {
					changed, _ := p[reference].Read(ctx) // the error is in Material
					ended(reference, changed)
					return nil
				})
			}
			_ = group.Wait()
		})
	}
	namespaces.Wait()
}

// IsDue tells whether a provider is to be read now.
func (p KeyProviders) IsDue(reference string) bool {
	due := p[reference].Due()
	return !due.IsZero() && !due.After(time.Now())
}

// Due returns when the first of the providers is to be read again; zero: none is.
func (p KeyProviders) Due() time.Time {
	var first time.Time
	for _, provider := range p {
		if due := provider.Due(); !due.IsZero() && (first.IsZero() || due.Before(first)) {
			first = due
		}
	}
	return first
}

// holdings are what providers hold, by their references; those that hold nothing are missing.
type holdings map[string]KeyMaterial

// holdings returns what the providers hold now.
func (p KeyProviders) holdings() holdings {
	all := make(holdings)
	for reference, provider := range p {
		if held, err := provider.Material(); err == nil {
			all[reference] = held
		}
	}
	return all
}

func (h holdings) same(other holdings) bool { return maps.EqualFunc(h, other, KeyMaterial.Same) }
