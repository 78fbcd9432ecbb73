package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// ErrUnknownHost is wrapped by errors about names that nothing is served under.
var ErrUnknownHost = errors.New("no such host in the emulated cloud")

// ErrClosed is wrapped by errors of a Network that has been closed.
var ErrClosed = errors.New("the emulated network is closed")

// readHeaderTimeout ends connections whose client sends no request. It is far beyond what a loaded test machine needs.
const readHeaderTimeout = time.Minute

// Service is what answers under one host name.
type Service interface {
	http.Handler
	// Action names what a request asks for, under which it is counted. It may parse the request's form.
	Action(r *http.Request) string
}

// Independent is a Service whose host has a certificate of an authority of its own, which the network's clients do not trust.
type Independent interface {
	Service
	Authority() *Authority
}

// Network leads host names to services. Make one with New.
type Network struct {
	resolve func(host string) Service
	errors  *log.Logger
	ca      *Authority
	roots   *x509.CertPool
	proxy   *http.Server
	address string // of the proxy
	done    chan struct{}
	running sync.WaitGroup // listeners, handlers and tunnels

	mu        sync.Mutex
	closed    bool
	endpoints map[string]*Endpoint
	tunnels   map[net.Conn]struct{}
	refused   map[string]int
}

// New starts a network. resolve is its name service: it returns the service under a lower-case host name, or nil.
func New(resolve func(host string) Service, logger *slog.Logger) (*Network, error) {
	ca, err := NewAuthority("Emulator Root CA")
	if err != nil {
		return nil, fmt.Errorf("making the emulator's certificate authority: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the emulator's proxy: %w", err)
	}
	n := &Network{
		resolve:   resolve,
		errors:    slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ca:        ca,
		roots:     x509.NewCertPool(),
		address:   listener.Addr().String(),
		done:      make(chan struct{}),
		endpoints: map[string]*Endpoint{},
		tunnels:   map[net.Conn]struct{}{},
		refused:   map[string]int{},
	}
	n.roots.AddCert(ca.cert)
	n.proxy = &http.Server{Handler: http.HandlerFunc(n.serveProxy), ErrorLog: n.errors, ReadHeaderTimeout: readHeaderTimeout}
	n.running.Go(func() { _ = n.proxy.Serve(listener) })
	return n, nil
}

// ProxyURL returns the address of the CONNECT proxy, for HTTPS_PROXY.
func (n *Network) ProxyURL() string { return "http://" + n.address }

// CAPEM returns the certificate that the network's hosts are to be verified with, except for those of Independent services.
func (n *Network) CAPEM() []byte { return n.ca.pem }

// Transport returns a new transport that goes through the proxy and trusts the network's authority.
func (n *Network) Transport() *http.Transport {
	return &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: n.address}),
		TLSClientConfig:   &tls.Config{RootCAs: n.roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}
}

// Endpoint returns the endpoint of a host name. Its listener is made at the first call.
func (n *Network) Endpoint(host string) (*Endpoint, error) {
	host = strings.ToLower(host)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, fmt.Errorf("%s: %w", host, ErrClosed)
	}
	if e, found := n.endpoints[host]; found {
		return e, nil
	}
	service := n.resolve(host)
	if service == nil {
		return nil, fmt.Errorf("%s: %w", host, ErrUnknownHost)
	}
	ca := n.ca
	if independent, ok := service.(Independent); ok {
		ca = independent.Authority()
	}
	cert, err := ca.leaf(host)
	if err != nil {
		return nil, fmt.Errorf("%s: making its certificate: %w", host, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", host, err)
	}
	e := &Endpoint{network: n, service: service, address: listener.Addr().String(), calls: map[string]int{}}
	e.server = &http.Server{
		Handler:           e,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connection{}, c) },
		ErrorLog:          n.errors,
		ReadHeaderTimeout: readHeaderTimeout,
	}
	n.endpoints[host] = e
	n.running.Go(func() { _ = e.server.ServeTLS(listener, "", "") })
	return e, nil
}

// Calls returns the number of requests by "host action". Requests to unknown hosts are under "host CONNECT", or under their
// own method if they came without a tunnel.
func (n *Network) Calls() map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	calls := map[string]int{}
	for what, count := range n.refused {
		calls[what] = count
	}
	for host, e := range n.endpoints {
		e.mu.Lock()
		for action, count := range e.calls {
			calls[host+" "+action] = count
		}
		e.mu.Unlock()
	}
	return calls
}

// ResetCalls sets all counters to 0.
func (n *Network) ResetCalls() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.refused)
	for _, e := range n.endpoints {
		e.mu.Lock()
		clear(e.calls)
		e.mu.Unlock()
	}
}

// Close ends everything: requests that hang, tunnels, listeners. It returns when the last goroutine of them has ended.
func (n *Network) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	close(n.done)
	for conn := range n.tunnels {
		_ = conn.Close()
	}
	n.mu.Unlock()

	var errs []error
	errs = append(errs, n.proxy.Close())
	for _, e := range n.endpoints {
		errs = append(errs, e.server.Close())
	}
	n.running.Wait()
	return errors.Join(errs...)
}

// enter counts a handler or tunnel that Close must wait for. It returns false if the network is closed.
func (n *Network) enter(conns ...net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	for _, conn := range conns {
		n.tunnels[conn] = struct{}{}
	}
	n.running.Add(1)
	return true
}

// leave is the end of what enter began.
func (n *Network) leave(conns ...net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range conns {
		delete(n.tunnels, conn)
	}
	n.running.Done()
}
