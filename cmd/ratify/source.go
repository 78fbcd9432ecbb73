package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/ratify-project/ratify/pkg/featureflag"
	"golang.org/x/sync/errgroup"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller/manager"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller/servingcert"
)

// source is where the configuration comes from.
type source struct {
	// run fills the engine until its context ends.
	run func(context.Context) error
	// ready says what is missing.
	ready func() error
	// certificate is the server's, if it comes from there, too.
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

func newSource(app *app, o serveOptions, path string, first *config.Config) (source, error) {
	if o.crdManager {
		return newClusterSource(app, o, first)
	}
	return source{ready: app.engine.Ready, run: func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return app.watchFile(ctx, path) })
		group.Go(func() error { return app.refresh(ctx) })
		return group.Wait()
	}}, nil
}

// watchFile follows the configuration file.
func (a *app) watchFile(ctx context.Context, path string) error {
	return config.Watch(ctx, path, a.log, func(c *config.Config, err error) error {
		if err = a.load(ctx, c, err); err != nil && a.engine.Snapshot() != nil {
			a.log.Error("the configuration was not changed; the last good one stays in use", "error", err)
			return nil
		}
		return err // at the start there is nothing to fall back to
	})
}

// statusCalls bounds the calls a second to the API server about one kind: two for each status that is written. After a restart all are looked at,
// one after the other, which takes a minute for a thousand namespaces.
const statusCalls = 100

// newClusterSource returns the source that is Kubernetes resources. The environment is that of the pods of Ratify's chart.
func newClusterSource(app *app, o serveOptions, c *config.Config) (source, error) {
	api, err := ctrlconfig.GetConfig()
	if err != nil {
		return source{}, fmt.Errorf("--enable-crd-manager: find the API server: %w", err)
	}
	api.QPS, api.Burst = statusCalls, 2*statusCalls
	replica, err := os.Hostname()
	if err != nil {
		return source{}, fmt.Errorf("the name of this replica: %w", err)
	}
	keepCertificate := featureflag.CertRotation.Enabled && o.certDir != ""
	m, err := manager.New(manager.Options{
		API: api,
		Builder: &controller.Builder{
			Factories:     app.factories(),
			VerifyTimeout: milliseconds(c.Executor.VerificationRequestTimeout),
			MutateTimeout: milliseconds(c.Executor.MutationRequestTimeout),
		},
		Load:    app.use,
		Metrics: app.metrics,
		Log:     app.log,
		Names: servingcert.Names{
			Namespace: cmp.Or(os.Getenv("RATIFY_NAMESPACE"), "gatekeeper-system"),
			Service:   cmp.Or(os.Getenv("RATIFY_NAME"), "ratify"),
		},
		Replica:         cmp.Or(os.Getenv("POD_NAME"), replica) + "_" + uuid.NewString(),
		KeepCertificate: keepCertificate,
	})
	if err != nil {
		return source{}, fmt.Errorf("--enable-crd-manager: %w", err)
	}
	app.log.Info("the configuration comes from Kubernetes resources; of the file only executor, logger and crl count", "api", api.Host)
	s := source{run: m.Run, ready: func() error {
		if err := m.Ready(); err != nil {
			return err
		}
		return app.engine.Ready()
	}}
	if keepCertificate {
		s.certificate = m.Certificate.Get
	}
	return s, nil
}

// milliseconds returns a time-out of config.json; zero if it has none.
func milliseconds(timeout *int) time.Duration {
	if timeout == nil {
		return 0
	}
	return time.Duration(*timeout) * time.Millisecond
}
