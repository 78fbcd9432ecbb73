package builtin

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"

	"github.com/notaryproject/notation-go/dir"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	upstreamstore "github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"

	// Upstream's JSON policy, registered by its import.
	_ "github.com/ratify-project/ratify/pkg/policyprovider/configpolicy"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/keymanagementprovider/alibabacloudkms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/keymanagementprovider/inline"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation/revocation"
)

// Options are what all parts have in common.
type Options struct {
	// Transport reaches registries and the cloud. It is http.DefaultTransport but in tests.
	Transport *http.Transport
	// UserAgent is told to registries.
	UserAgent string
	Metrics   *metrics.Metrics
	Log       *slog.Logger
	// Revocation is what the Notation verifiers of all configurations have in common. Nil: each has one of its own, in memory.
	Revocation *revocation.Checker
}

// NewRevocation returns the Checker for Options. If onDisk is set it keeps revocation lists where notation does, in the user's cache directory.
func NewRevocation(onDisk bool, log *slog.Logger) (*revocation.Checker, error) {
	o := revocation.Options{Log: log}
	if onDisk {
		var err error
		if o.Directory, err = dir.CacheFS().SysPath(dir.PathCRLCache); err != nil {
			return nil, err
		}
	}
	return revocation.New(o)
}

// Factories returns the parts.
func Factories(o Options) config.Factories {
	f := config.Factories{
		Stores: map[string]config.StoreFactory{
			"oras": func(_ context.Context, c storeconfig.StorePluginConfig, in config.StoreInput) (upstreamstore.ReferrerStore, error) {
				return referrerstore.New(c, in.Version, referrerstore.Options{
					Transport: o.Transport, UserAgent: o.UserAgent,
					NewAuthProvider: o.newAuthProvider,
					OnRequest:       o.Metrics.RegistryRequest, OnCache: o.Metrics.ContentCache, Log: o.Log,
				})
			},
		},
		Verifiers: map[string]config.VerifierFactory{
			"notation": func(ctx context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
				return notation.New(ctx, c, notation.Options{
					Namespace: in.Namespace, KeyMaterial: certificates(in.Certificates), PluginDirectory: in.PluginDirs[0], Revocation: o.Revocation, Log: o.Log,
				})
			},
		},
		KeyManagementProviders: map[string]config.KeyManagementProviderFactory{
			"inline": func(c kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
				return inline.New(c, time.Now)
			},
			alibabacloudkms.Type: func(c kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
				provider, err := alibabacloudkms.New(c, alibabacloudkms.Options{Transport: o.Transport, Log: o.Log, OnRequest: o.Metrics.CloudRequest})
				if err != nil {
					return nil, err
				}
				return provider, nil
			},
		},
		ExternalStore:    externalStore(o),
		ExternalVerifier: externalVerifier(o),
	}
	addFull(&f, o)
	return f
}

// certificates is the key material of a configuration as the Notation verifier asks for it.
type certificates func(ctx context.Context, provider string) ([]*x509.Certificate, error)

// Certificates implements notation.KeyMaterial.
func (c certificates) Certificates(ctx context.Context, provider string) ([]*x509.Certificate, error) {
	return c(ctx, provider)
}
