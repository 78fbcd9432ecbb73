package gatekeeper

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	readHeaderTimeout = 5 * time.Second
	// readTimeout bounds reading a request of at most maxRequestBytes.
	readTimeout = 10 * time.Second
	// writeTimeout bounds a request from its header to the end of its answer. It is longer than the 30 s that Kubernetes leaves a
	// webhook at most.
	writeTimeout = 45 * time.Second
	// idleTimeout is longer than the 90 s after which Gatekeeper closes a connection that it does not use, so that no request comes upon one that
	// is being closed here, which would be an error there.
	idleTimeout = 100 * time.Second
	// drainTimeout is longer than any request may take, and shorter than the 30 s that Kubernetes leaves a pod to end.
	drainTimeout   = 10 * time.Second
	maxHeaderBytes = 64 << 10
)

// Server serves a handler to Gatekeeper.
type Server struct {
	Handler http.Handler
	// CertDir holds tls.crt and tls.key, which are followed as they change. Without it the server speaks plain HTTP.
	CertDir string
	// GetCertificate, if set, returns the server's certificate instead. See tls.Config.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ClientCAFile is the CA of the certificates that clients must have. Without it every client is let in.
	ClientCAFile string
	Log          *slog.Logger
}

// Serve answers on listener until ctx ends, then lets the requests in flight finish. It closes listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	if s.CertDir == "" && s.GetCertificate == nil {
		if s.ClientCAFile != "" {
			_ = listener.Close()
			return errors.New("--ca-cert-file needs --cert-dir: clients are identified over TLS only")
		}
		return serve(ctx, s.Handler, listener, s.Log)
	}
	config, err := newTLS(s.ClientCAFile, s.Log)
	if err != nil {
		_ = listener.Close()
		return err
	}
	if s.GetCertificate != nil {
		config.GetCertificate = s.GetCertificate
		return serve(ctx, s.Handler, tls.NewListener(listener, config), s.Log)
	}
	watcher, err := watchCertificate(s.CertDir)
	if err != nil {
		_ = listener.Close()
		return err
	}
	config.GetCertificate = watcher.GetCertificate
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group errgroup.Group
	group.Go(func() error {
		defer cancel()
		if err := watcher.Start(ctx); err != nil {
			return fmt.Errorf("watch the server's certificate: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		defer cancel()
		return serve(ctx, s.Handler, tls.NewListener(listener, config), s.Log)
	})
	return group.Wait()
}

func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

func serve(ctx context.Context, handler http.Handler, listener net.Listener, log *slog.Logger) error {
	server := newHTTPServer(handler, log)
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		drained <- server.Shutdown(ctx)
	})
	err := server.Serve(listener)
	if stop() { // Serve failed before ctx ended
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	}
	if err := <-drained; err != nil {
		return fmt.Errorf("requests on %s did not finish within %s: %w", listener.Addr(), drainTimeout, err)
	}
	return nil
}

// HealthHandler answers /healthz, always, and /readyz, once ready returns nil.
func HealthHandler(ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}
