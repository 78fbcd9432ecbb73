package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/gatekeeper"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// app is the engine, what fills it and what asks it.
type app struct {
	environment
	engine  *verification.Engine
	handler http.Handler
	loaded  chan struct{} // tells refresh that there may be other key management providers

	mu      sync.Mutex // of making a Snapshot and loading it
	builder *config.Builder
}

func newApp(env environment, o serveOptions, c *config.Config) *app {
	options := verification.Options{OnVerifier: func(r verification.VerifierRun) {
		env.metrics.Verifier(r.Verifier, r.Namespace, r.Duration, r.Success, r.Err != nil)
	}}
	if o.cacheEnabled {
		options.VerdictTTL = o.cacheTTL
	}
	engine := verification.NewEngine(options)
	return &app{
		environment: env,
		engine:      engine,
		loaded:      make(chan struct{}, 1),
		builder:     &config.Builder{Factories: env.factories(), Log: env.log},
		handler: gatekeeper.NewHandler(func() gatekeeper.Session { return engine.Begin() }, gatekeeper.HandlerOptions{
			Metrics: env.metrics, Log: env.log, TraceIDHeaders: c.Logger.RequestHeaders.TraceIDHeaderName,
		}),
	}
}

// load makes c the engine's configuration, or leaves the engine as it is and says why. err is why there is no c.
func (a *app) load(ctx context.Context, c *config.Config, err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var snapshot *verification.Snapshot
	if err == nil {
		snapshot, err = a.builder.Build(ctx, c)
	}
	if err != nil {
		a.metrics.ConfigurationError()
		return err
	}
	a.use(snapshot)
	a.tellKeyProviders()
	select {
	case a.loaded <- struct{}{}:
	default:
	}
	return nil
}

func (a *app) use(snapshot *verification.Snapshot) {
	a.engine.Load(snapshot)
	a.metrics.Configuration(snapshot.Generation())
	a.log.Info("configuration loaded", "generation", snapshot.Generation())
}

// refresh reads key management providers whenever they are due, until ctx ends. What changes in them takes effect at once.
func (a *app) refresh(ctx context.Context) error {
	for {
		var due <-chan time.Time
		if at := a.builder.Due(); !at.IsZero() {
			due = time.After(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.loaded:
			continue
		case <-due:
		}
		if a.builder.Refresh(ctx) {
			a.rebuild(ctx)
		}
		a.tellKeyProviders()
	}
}

func (a *app) rebuild(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.use(a.builder.Rebuild(ctx))
}

func (a *app) tellKeyProviders() {
	var all []metrics.KeyProvider
	for name, provider := range a.builder.KeyProviders() {
		held, err := provider.Material()
		_, degraded := provider.Degraded()
		all = append(all, metrics.KeyProvider{Name: name, Expires: held.FirstExpiry(), Degraded: err != nil || degraded != nil})
	}
	a.metrics.KeyProviders(all)
}
