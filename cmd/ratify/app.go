package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/gatekeeper"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// retryPending is when a configuration is tried again whose key management providers could not be read, or whose plugins not be downloaded. For
// plugins, all of which are downloaded again each time, that is doubled with each time, up to lastRetry.
const (
	retryPending = 30 * time.Second
	lastRetry    = 10 * time.Minute
)

// app is the engine, what fills it and what asks it.
type app struct {
	environment
	engine  *verification.Engine
	handler http.Handler
	loaded  chan struct{} // tells refresh that there may be other key management providers

	mu      sync.Mutex // of making a Snapshot and loading it
	builder *config.Builder
	pending *config.Config // could not be loaded for want of key material or a plugin, and is tried again; nil: none
	again   time.Time      // when
	wait    time.Duration  // how long that was
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
	a.pending = nil
	if err == nil {
		err = a.build(ctx, c)
	}
	if err != nil {
		a.metrics.ConfigurationError()
	}
	select {
	case a.loaded <- struct{}{}:
	default:
	}
	return err
}

// build does it for a configuration that could be read. It needs a.mu.
func (a *app) build(ctx context.Context, c *config.Config) error {
	snapshot, err := a.builder.Build(ctx, c)
	switch {
	case err == nil:
		a.use(snapshot)
	case a.builder.Stale(): // the providers that c has in common with the last configuration were read all the same
		a.use(a.builder.Rebuild(ctx))
	}
	retried := a.pending == c
	switch a.pending = c; {
	case retried && errors.Is(err, config.ErrDownload):
		a.wait = min(2*a.wait, lastRetry)
	case errors.Is(err, config.ErrKeyMaterial) || errors.Is(err, config.ErrDownload):
		a.wait = retryPending
	default:
		a.pending = nil
	}
	a.again = time.Now().Add(a.wait)
	a.tellKeyProviders()
	return err
}

// use makes a Snapshot the engine's. It must not be called twice at the same time: a.mu, or the one controller of the cluster's resources, sees to it.
func (a *app) use(snapshot *verification.Snapshot) {
	before := a.engine.Ready()
	a.engine.Load(snapshot)
	a.metrics.Configuration(snapshot.Generation())
	switch err := snapshot.Scope("").Err; {
	case err == nil:
		a.log.Info("configuration loaded", "generation", snapshot.Generation())
	case before == nil: // said once: it is tried again and again
		a.log.Error("images cannot be verified any more", "generation", snapshot.Generation(), "error", err)
	}
}

// refresh reads key management providers whenever they are due, until ctx ends. What changes in them takes effect at once.
func (a *app) refresh(ctx context.Context) error {
	for {
		var due <-chan time.Time
		if at := a.due(); !at.IsZero() {
			due = time.After(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.loaded:
			continue
		case <-due:
		}
		stale := a.builder.Refresh(ctx)
		if ctx.Err() != nil {
			return nil // the last requests are answered with what there is
		}
		a.refreshed(ctx, stale)
	}
}

func (a *app) due() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.builder.Due()
	if a.pending != nil && (at.IsZero() || a.again.Before(at)) {
		return a.again
	}
	return at
}

func (a *app) refreshed(ctx context.Context, stale bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if stale {
		a.use(a.builder.Rebuild(ctx))
	}
	a.tellKeyProviders()
	if a.pending == nil || time.Now().Before(a.again) {
		return
	}
	if err := a.build(ctx, a.pending); err != nil && a.pending == nil {
		a.log.Error("the configuration was not changed; the last good one stays in use", "error", err)
	}
}

// tellKeyProviders needs a.mu.
func (a *app) tellKeyProviders() {
	var all []metrics.KeyProvider
	for name, provider := range a.builder.KeyProviders() {
		held, err := provider.Material()
		_, degraded := provider.Degraded()
		all = append(all, metrics.KeyProvider{Name: name, Expires: held.FirstExpiry(), Degraded: err != nil || degraded != nil})
	}
	a.metrics.KeyProviders(all)
}
