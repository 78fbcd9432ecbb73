package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/keymanagementprovider/alibabacloudkms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/keymanagementprovider/inline"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/store"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/tokencache"
)

// providersKey is the key that this verifier has besides those of the verifier notation: Ratify hands plugins none of its own providers.
const providersKey = "keyManagementProviders"

// providers are the key management providers of the configuration, by name.
type providers map[string]keymanagementprovider.KeyManagementProvider

// takeKeyMaterial takes the key management providers out of the verifier's configuration. It reads none. Their sessions are kept in the cache if
// there is one.
func takeKeyMaterial(cfg config.VerifierConfig, cache *tokencache.Directory) (config.VerifierConfig, providers, error) {
	raw, err := json.Marshal(cfg[providersKey])
	if err != nil {
		return nil, nil, parameter.Errorf(providersKey, "%w", err)
	}
	cfg = maps.Clone(cfg)
	delete(cfg, providersKey)
	var blocks []kmpconfig.KeyManagementProviderConfig
	if err := parameter.Decode(providersKey, raw, &blocks); err != nil {
		return nil, nil, err
	}
	material := make(providers)
	for i, block := range blocks {
		field := fmt.Sprintf("%s[%d]", providersKey, i)
		name, ok := block["name"].(string)
		if !ok || name == "" {
			return nil, nil, parameter.Errorf(field+".name", "is missing: verificationCertStores names the provider by it")
		}
		if _, twice := material[name]; twice {
			return nil, nil, parameter.Errorf(field+".name", "%q is the name of another provider already", name)
		}
		if material[name], err = newProvider(block, cache); err != nil {
			return nil, nil, parameter.Errorf(field, "%w", err)
		}
	}
	return cfg, material, nil
}

func newProvider(block kmpconfig.KeyManagementProviderConfig, cache *tokencache.Directory) (keymanagementprovider.KeyManagementProvider, error) {
	switch kind := block["type"]; kind {
	case inline.Type:
		return inline.New(block, time.Now)
	case alibabacloudkms.Type:
		return alibabacloudkms.New(block, alibabacloudkms.Options{Sessions: store.Sessions(cache)})
	default:
		return nil, fmt.Errorf("type: %v is not one of %s, %s", kind, inline.Type, alibabacloudkms.Type)
	}
}

// Certificates implements notation.KeyMaterial: it reads the provider.
func (p providers) Certificates(ctx context.Context, name string) ([]*x509.Certificate, error) {
	provider, ok := p[name]
	if !ok {
		return nil, fmt.Errorf("there is no key management provider %q in %s; configured: %s", name, providersKey,
			cmp.Or(strings.Join(slices.Sorted(maps.Keys(p)), ", "), "none"))
	}
	chains, _, err := provider.GetCertificates(ctx)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for _, key := range slices.SortedFunc(maps.Keys(chains), func(a, b keymanagementprovider.KMPMapKey) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	}) {
		all = append(all, chains[key]...)
	}
	return all, nil
}
