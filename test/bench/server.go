package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

const (
	startTimeout = 30 * time.Second
	// requestTimeout is longer than Gatekeeper waits: what takes too long is to be seen as such.
	requestTimeout = 20 * time.Second
)

// serveOptions are how a server differs from one with the chart's values.
type serveOptions struct {
	verdictTTL time.Duration // 0: 10 s
	storeTTL   int           // in seconds; 0: 10
	tls        bool
	metrics    bool
	cold       bool // nothing is asked before it is measured
}

// server is a Ratify that serves.
type server struct {
	binary  string
	process *exec.Cmd
	address string
	tls     *tls.Config // nil: plain HTTP
	url     string
	health  string // URL of readyz, which upstream answers in a cluster only
	metrics string // URL
	log     string // path
	began   time.Time
	bench   *bencher
	failed  atomic.Int64

	mu   sync.Mutex
	idle []*line
}

// start starts a server and has it verify one image, so that it has what it needs once.
func (b *bencher) start(ctx context.Context, binary string, o serveOptions, home string) (_ *server, err error) {
	warm, err := b.newRepositories(ctx, 1, 1)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	config := filepath.Join(home, "config.json")
	if err := os.WriteFile(config, b.config(o), 0o644); err != nil {
		return nil, err
	}
	addresses, err := freeAddresses(3)
	if err != nil {
		return nil, err
	}
	s := &server{binary: binary, bench: b, log: filepath.Join(home, "log"), address: addresses[0], url: "http://" + addresses[0],
		health: "http://" + addresses[1] + "/readyz"}
	args := []string{"serve", "--http", addresses[0], "--health-port", addresses[1], "--config", config, "--cache-enabled", "--cache-type", "ristretto"}
	if o.verdictTTL > 0 {
		args = append(args, "--cache-ttl", o.verdictTTL.String())
	}
	if o.metrics {
		_, port, _ := net.SplitHostPort(addresses[2])
		s.metrics = "http://" + addresses[2] + "/metrics"
		args = append(args, "--metrics-enabled", "--metrics-port", port)
	}
	if o.tls {
		if s.tls, err = writeCertificate(home); err != nil {
			return nil, err
		}
		s.url = "https://" + addresses[0]
		args = append(args, "--cert-dir", home)
	}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	s.process = b.hosts.Command(ctx, binary, args...)
	s.process.Env = append(s.process.Env, "HOME="+home)
	s.process.Stdout, s.process.Stderr = log, log
	s.began = time.Now()
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	if o.cold {
		return s, nil
	}
	if err := s.admits(ctx, warm[0].reference()); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// config is config.json with the store as Ratify's chart makes it.
func (b *bencher) config(o serveOptions) []byte {
	return b.world.Config(func(c map[string]any) {
		delete(c, "keyManagementProvider") // upstream knows no such thing there: anchors come from files
		verifier := c["verifier"].(map[string]any)["plugins"].([]any)[0].(map[string]any)
		delete(verifier, "verificationCertStores")
		verifier["verificationCerts"] = []any{b.anchors}
		store := c["store"].(map[string]any)["plugins"].([]any)[0].(map[string]any)
		store["cacheEnabled"], store["ttl"] = true, 10
		if o.storeTTL > 0 {
			store["ttl"] = o.storeTTL
		}
	})
}

// freeAddresses returns addresses that nobody listens at. A server cannot be told to choose one and say which.
func freeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // after the last, so that they differ
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}

// writeCertificate makes the server's certificate, and returns what a client trusts.
func writeCertificate(dir string) (*tls.Config, error) {
	server, err := signing.New("ratify", signing.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		Change: func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }})
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(server.Key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}, errors.Join(
		os.WriteFile(filepath.Join(dir, "tls.crt"), []byte(server.PEM()), 0o600),
		os.WriteFile(filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
}

// until tries something until it does not fail. A server that has ended never succeeds.
func (s *server) until(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(s.log)
			return fmt.Errorf("%w: %w\n%s", ctx.Err(), err, log[:min(len(log), 4000)])
		}
	}
}

// admits waits until an image is admitted.
func (s *server) admits(ctx context.Context, reference string) error {
	q, err := s.question("verify", reference)
	if err != nil {
		return err
	}
	return s.until(ctx, func(ctx context.Context) error {
		_, err := s.send(ctx, q)
		return err
	})
}

// ready waits until readyz says yes.
func (s *server) ready(ctx context.Context) error {
	return s.until(ctx, func(ctx context.Context) error {
		_, err := get(ctx, s.health)
		return err
	})
}

func (s *server) stop() error {
	for _, l := range s.idle {
		_ = l.conn.Close()
	}
	err := s.process.Process.Kill()
	_ = s.process.Wait() // says that it was killed
	return err
}

// cpu returns the time that the server's threads have run.
func (s *server) cpu() (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.process.Process.Pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("no threads of process %d: %w", s.process.Process.Pid, err)
	}
	total := time.Duration(0)
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			return 0, err
		}
		running, _, _ := strings.Cut(string(text), " ")
		nanoseconds, err := strconv.ParseInt(running, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", task, err)
		}
		total += time.Duration(nanoseconds)
	}
	return total, nil
}

// memory returns in MB a value of the process's status, such as VmRSS.
func (s *server) memory(name string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kilobytes * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("the process's status has no %s", name)
}

// age returns in ms how long ago the server was started.
func (s *server) age() float64 { return milliseconds(time.Since(s.began)) }
