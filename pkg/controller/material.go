package controller

import (
	"context"
	"crypto/x509"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	"golang.org/x/sync/errgroup"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
)

const (
	// fetchTimeout bounds the reading of all key management providers: those that hang must not keep the configuration from changing.
	fetchTimeout = 30 * time.Second
	// maxFetches bounds the providers of one namespace read at once, each of which may be a service with limits of its own. Namespaces do not
	// wait for each other: one whose providers hang costs the others nothing.
	maxFetches = 8
)

// provider is a key management provider, read or not.
type provider struct {
	spec spec
	held config.KeyMaterial
	err  error
}

// material is what the key management providers of all namespaces hold, by their references.
type material map[string]provider

// read reads the providers, those that have not changed since last not again.
func read(ctx context.Context, factories config.Factories, resources []resource, last material) material {
	providers := make([]provider, len(resources))
	changed := make(map[string][]int) // by namespace
	for i, r := range resources {
		if known, ok := last[r.reference()]; ok && known.err == nil && reflect.DeepEqual(known.spec, r.spec) {
			providers[i] = known
		} else {
			changed[r.Namespace] = append(changed[r.Namespace], i)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var namespaces sync.WaitGroup
	for _, indices := range changed {
		namespaces.Go(func() {
			var group errgroup.Group
			group.SetLimit(maxFetches)
			for _, i := range indices {
				group.Go(func() error {
					held, err := fetch(ctx, factories, resources[i])
					providers[i] = provider{resources[i].spec, held, err}
					return nil // each provider's error is its own
				})
			}
			_ = group.Wait()
		})
	}
	namespaces.Wait()
	m := make(material, len(resources))
	for i, r := range resources {
		m[r.reference()] = providers[i]
	}
	return m
}

func fetch(ctx context.Context, factories config.Factories, r resource) (config.KeyMaterial, error) {
	block, err := r.spec.block()
	if err != nil {
		return config.KeyMaterial{}, err
	}
	block["type"], block["resource"] = r.spec.kind, r.reference()
	return factories.KeyMaterial(ctx, block)
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
	if p.err != nil {
		return config.KeyMaterial{}, fmt.Errorf("key management provider %q cannot be used: %w", reference, p.err)
	}
	return p.held, nil
}

func (r reader) certificates(_ context.Context, reference string) ([]*x509.Certificate, error) {
	found, err := r.find(reference)
	return found.Certificates, err
}

func (r reader) keys(_ context.Context, reference string) (map[keymanagementprovider.KMPMapKey]keymanagementprovider.PublicKey, error) {
	found, err := r.find(reference)
	return found.Keys, err
}
