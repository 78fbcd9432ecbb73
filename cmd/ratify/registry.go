package main

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	upstreamstore "github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"

	// Upstream's parts, each registered by its import.
	_ "github.com/ratify-project/ratify/pkg/common/oras/authprovider/aws"
	_ "github.com/ratify-project/ratify/pkg/common/oras/authprovider/azure"
	_ "github.com/ratify-project/ratify/pkg/policyprovider/configpolicy"
	_ "github.com/ratify-project/ratify/pkg/policyprovider/regopolicy"
	_ "github.com/ratify-project/ratify/pkg/verifier/cosign"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/keymanagementprovider/inline"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation"
)

// environment is what the parts of this binary have in common.
type environment struct {
	metrics *metrics.Metrics
	log     *slog.Logger
	// transport reaches registries and the cloud. It is http.DefaultTransport but in tests.
	transport *http.Transport
}

func newEnvironment() environment {
	return environment{metrics: metrics.New(), log: slog.Default(), transport: http.DefaultTransport.(*http.Transport)}
}

// factories returns what this binary is made of.
func (e environment) factories() config.Factories {
	authprovider.SetDefaults(authprovider.Options{Transport: e.transport, Log: e.log, OnRequest: e.metrics.CloudRequest})
	return config.Factories{
		Stores: map[string]config.StoreFactory{
			"oras": func(c storeconfig.StorePluginConfig, pluginVersion string) (upstreamstore.ReferrerStore, error) {
				return referrerstore.New(c, pluginVersion, referrerstore.Options{
					Transport: e.transport, UserAgent: "ratify-alibabacloud/" + version,
					OnRequest: e.metrics.RegistryRequest, OnCache: e.metrics.ContentCache, Log: e.log,
				})
			},
		},
		Verifiers: map[string]config.VerifierFactory{
			"notation": func(c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
				return notation.New(c, notation.Options{KeyMaterial: certificates(in.Certificates), PluginDirectory: in.PluginDir, Log: e.log})
			},
		},
		KeyManagementProviders: map[string]config.KeyManagementProviderFactory{
			"inline": func(c kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
				return inline.New(c, time.Now)
			},
		},
	}
}

// certificates is the key material of a configuration as the Notation verifier asks for it.
type certificates func(ctx context.Context, provider string) ([]*x509.Certificate, error)

// Certificates implements notation.KeyMaterial.
func (c certificates) Certificates(ctx context.Context, provider string) ([]*x509.Certificate, error) {
	return c(ctx, provider)
}
