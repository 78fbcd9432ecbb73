package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/builtin"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/gatekeeper"
)

const serveUse = "serve"

// serveOptions are the flags of ratify serve, with the names and defaults of Ratify v1.4.
type serveOptions struct {
	configPath                     string
	address, certDir, clientCAFile string
	crdManager                     bool
	cacheEnabled                   bool
	cacheType, cacheName           string
	cacheSizeMB                    int
	cacheTTL                       time.Duration
	metricsEnabled                 bool
	metricsType                    string
	metricsPort                    int
	healthAddress                  string
}

func newServe() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:     serveUse,
		Short:   "Answer Gatekeeper's requests",
		Example: "  ratify serve --http :6001 --config config.json --cert-dir /usr/local/tls --ca-cert-file /usr/local/tls/client-ca/ca.crt",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.address, "http", "", "address to answer Gatekeeper on, such as :6001 (required)")
	flags.StringVarP(&o.configPath, "config", "c", "", "configuration file (default: config.json in $RATIFY_CONFIG or ~/.ratify); followed as it changes")
	flags.StringVar(&o.certDir, "cert-dir", "", "directory with tls.crt and tls.key; without it plain HTTP is spoken")
	flags.StringVar(&o.clientCAFile, "ca-cert-file", "", "CA of the client certificates that are required; without it every client is let in")
	flags.BoolVar(&o.crdManager, "enable-crd-manager", false, "take the configuration from Kubernetes resources; of the file, only executor, logger and crl count then")
	flags.BoolVar(&o.cacheEnabled, "cache-enabled", false, "remember verdicts for --cache-ttl")
	flags.StringVar(&o.cacheType, "cache-type", "ristretto", "accepted for Ratify v1.4's sake: verdicts are remembered in memory")
	flags.StringVar(&o.cacheName, "cache-name", "dapr-redis", "accepted for Ratify v1.4's sake, without effect")
	flags.IntVar(&o.cacheSizeMB, "cache-size", 256, "accepted for Ratify v1.4's sake, without effect: the verdicts have a bound of their own")
	flags.DurationVar(&o.cacheTTL, "cache-ttl", 10*time.Second, "how long verdicts are remembered")
	flags.BoolVar(&o.metricsEnabled, "metrics-enabled", false, "serve metrics at /metrics")
	flags.StringVar(&o.metricsType, "metrics-type", "prometheus", "prometheus")
	flags.IntVar(&o.metricsPort, "metrics-port", 8888, "port of the metrics")
	flags.StringVar(&o.healthAddress, "health-port", ":9099", "address of /healthz and /readyz")
	return cmd
}

func (o *serveOptions) validate() error {
	switch {
	case o.address == "":
		return errors.New("--http is missing: the address to answer Gatekeeper on, such as :6001")
	case o.metricsEnabled && !strings.EqualFold(o.metricsType, "prometheus"):
		return fmt.Errorf("--metrics-type %s is not supported; use prometheus", o.metricsType)
	case o.metricsPort < 0 || o.metricsPort > 65535:
		return fmt.Errorf("--metrics-port %d is not a port", o.metricsPort)
	case o.cacheTTL < 0:
		return fmt.Errorf("--cache-ttl %s is negative", o.cacheTTL)
	}
	return nil
}

func serve(ctx context.Context, o serveOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	tuneMemory()
	path := config.Path(o.configPath)
	first, err := config.Load(path, slog.New(slog.DiscardHandler)) // for its logger; Watch loads it for the rest
	if err != nil {
		return err
	}
	setFormat(os.Stderr, first.Logger.Formatter)
	log := slog.Default()
	libraries := logr.FromSlogHandler(log.Handler())
	ctrllog.SetLogger(libraries) // for the watcher of the server's certificate, and what follows Kubernetes resources
	klog.SetLogger(libraries)    // for client-go
	if o.cacheType != "ristretto" {
		log.Warn("verdicts are remembered in memory, not shared between replicas", "cache_type", o.cacheType)
	}

	env := newEnvironment()
	if env.revocation, err = builtin.NewRevocation(first.CRL.Cache.Enabled, log); err != nil {
		return err
	}
	app := newApp(env, o, first)
	source, err := newSource(app, o, path, first)
	if err != nil {
		return err
	}
	servers, err := listen(o, env.metrics, app.handler, source)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return source.run(ctx) })
	group.Go(func() error { return env.revocation.Run(ctx) })
	for _, s := range servers {
		group.Go(func() error { return s.serve(ctx) })
	}
	return group.Wait()
}

// listen opens all listeners, so that an address in use is told before anything else happens.
func listen(o serveOptions, m *metrics.Metrics, handler http.Handler, source source) (servers []server, err error) {
	defer func() {
		if err != nil {
			for _, s := range servers {
				_ = s.listener.Close()
			}
		}
	}()
	add := func(flag, address string, serve func(context.Context, net.Listener) error) error {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("--%s: %w", flag, err)
		}
		slog.Info("listening", "for", flag, "address", listener.Addr().String())
		servers = append(servers, server{listener, serve})
		return nil
	}
	main := &gatekeeper.Server{Handler: handler, CertDir: o.certDir, GetCertificate: source.certificate, ClientCAFile: o.clientCAFile, Log: slog.Default()}
	if err := add("http", o.address, main.Serve); err != nil {
		return servers, err
	}
	plain := func(handler http.Handler) func(context.Context, net.Listener) error {
		return func(ctx context.Context, listener net.Listener) error {
			return (&gatekeeper.Server{Handler: handler, Log: slog.Default()}).Serve(ctx, listener)
		}
	}
	if o.healthAddress != "" {
		if err := add("health-port", o.healthAddress, plain(gatekeeper.HealthHandler(source.ready))); err != nil {
			return servers, err
		}
	}
	if o.metricsEnabled {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", m.Handler())
		host, _, err := net.SplitHostPort(o.address) // the flag has no host: where Gatekeeper is answered, metrics are too
		if err != nil {
			return servers, fmt.Errorf("--http: %w", err)
		}
		if err := add("metrics-port", net.JoinHostPort(host, strconv.Itoa(o.metricsPort)), plain(mux)); err != nil {
			return servers, err
		}
	}
	return servers, nil
}

// server is something that answers on a listener until its context ends.
type server struct {
	listener net.Listener
	answer   func(context.Context, net.Listener) error
}

func (s server) serve(ctx context.Context) error { return s.answer(ctx, s.listener) }
