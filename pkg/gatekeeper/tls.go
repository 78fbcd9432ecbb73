package gatekeeper

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

const (
	certFile = "tls.crt"
	keyFile  = "tls.key"
	// caCheckInterval is how often at most the client CA's file is looked at. Gatekeeper rotates its CA with days of overlap.
	caCheckInterval = time.Second
	// maxCABytes bounds the client CA's file: Gatekeeper's holds one or two certificates of about 1 KiB.
	maxCABytes = 1 << 20
)

// watchCertificate returns the watcher of the certificate in a directory, which has to be started.
func watchCertificate(dir string) (*certwatcher.CertWatcher, error) {
	certPath, keyPath := filepath.Join(dir, certFile), filepath.Join(dir, keyFile)
	// Read before it is watched: certwatcher keeps watching a pair that it could not read.
	if _, err := tls.LoadX509KeyPair(certPath, keyPath); err != nil {
		return nil, fmt.Errorf("load the server's certificate from --cert-dir: %w", err)
	}
	watcher, err := certwatcher.New(certPath, keyPath)
	if err != nil {
		return nil, fmt.Errorf("watch the server's certificate in --cert-dir: %w", err)
	}
	return watcher, nil
}

// newTLS returns the configuration of the server's TLS, which lacks the certificate. With a clientCA, only clients with a certificate of that CA
// are let in; the file is followed as it changes.
func newTLS(clientCA string, log *slog.Logger) (*tls.Config, error) {
	// Small records first let a client begin to read early. Gatekeeper reads an answer whole; small records are more writes.
	config := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}, DynamicRecordSizingDisabled: true}
	if clientCA == "" {
		return config, nil
	}
	pool := &caPool{path: clientCA, log: log}
	if err := pool.load(); err != nil {
		return nil, fmt.Errorf("load --ca-cert-file: %w", err)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		current := config.Clone()
		current.GetConfigForClient = nil
		current.ClientCAs = pool.get()
		return current, nil
	}
	return config, nil
}

// caPool is the certificates of a file that may change. While the file cannot be read, the last that could be stay in use.
type caPool struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	pool    *x509.CertPool
	modTime time.Time
	size    int64
	checked time.Time
}

func (p *caPool) get() *x509.CertPool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.checked) >= caCheckInterval {
		if err := p.loadLocked(); err != nil {
			p.log.Error("the client CA could not be reloaded; the last one stays in use", "error", err)
		}
	}
	return p.pool
}

func (p *caPool) load() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loadLocked()
}

func (p *caPool) loadLocked() error {
	p.checked = time.Now()
	info, err := os.Stat(p.path)
	if err != nil {
		return err
	}
	if info.ModTime().Equal(p.modTime) && info.Size() == p.size {
		return nil
	}
	if info.Size() > maxCABytes {
		return fmt.Errorf("%s has %d bytes; at most %d are allowed", p.path, info.Size(), maxCABytes)
	}
	pem, err := os.ReadFile(p.path)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: no PEM certificate in it", p.path)
	}
	p.pool, p.modTime, p.size = pool, info.ModTime(), info.Size()
	return nil
}
