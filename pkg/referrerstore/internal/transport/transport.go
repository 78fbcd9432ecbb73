package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/retry"
)

const (
	// headerTimeout ends one attempt whose answer does not begin. It leaves room for a repeat within a call of the store.
	headerTimeout = 3 * time.Second
	// maxHeaderBytes bounds an answer's header. Registries send Link and Www-Authenticate of some hundred bytes.
	maxHeaderBytes = 64 << 10
	// connections in all and for one host, as upstream has them: a burst of admissions goes to few registries.
	maxIdleConnections = 100
	maxHostConnections = 100
)

// Config says how to connect.
type Config struct {
	Base      *http.Transport               // cloned; nil: http.DefaultTransport, which takes the proxy from the environment
	Roots     []*x509.Certificate           // trusted besides those that Base or the system trust
	OnRequest func(host string, status int) // told of each attempt; status 0: no answer; may be nil
	Now       func() time.Time              // for Retry-After dates
}

// Transport sends requests over pooled connections. Make one with New; Close ends its idle connections.
type Transport struct {
	verified  *http.Transport
	loopback  *http.Transport
	onRequest func(host string, status int)
	now       func() time.Time
}

// New returns a Transport for c.
func New(c Config) (*Transport, error) {
	base := c.Base
	if base == nil {
		base = http.DefaultTransport.(*http.Transport)
	}
	verified := base.Clone()
	verified.ForceAttemptHTTP2 = true // net/http does not by itself once TLS is configured
	verified.MaxIdleConns = maxIdleConnections
	verified.MaxIdleConnsPerHost = maxHostConnections
	verified.MaxConnsPerHost = maxHostConnections
	verified.ResponseHeaderTimeout = headerTimeout
	verified.MaxResponseHeaderBytes = maxHeaderBytes
	verified.DisableCompression = true // sizes and digests are of what is sent
	// A connection that went dead without a sign would otherwise fail every HTTP/2 request until TCP notices.
	verified.HTTP2 = &http.HTTP2Config{SendPingTimeout: headerTimeout, PingTimeout: headerTimeout}
	if verified.TLSClientConfig == nil {
		verified.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if len(c.Roots) > 0 {
		pool := verified.TLSClientConfig.RootCAs
		if pool == nil {
			var err error
			if pool, err = x509.SystemCertPool(); err != nil {
				return nil, err
			}
		}
		pool = pool.Clone()
		for _, root := range c.Roots {
			pool.AddCert(root)
		}
		verified.TLSClientConfig.RootCAs = pool
	}
	loopback := verified.Clone()
	loopback.TLSClientConfig.InsecureSkipVerify = true // see IsLoopback
	return &Transport{verified: verified, loopback: loopback, onRequest: c.OnRequest, now: c.Now}, nil
}

// Close ends idle connections.
func (t *Transport) Close() {
	t.verified.CloseIdleConnections()
	t.loopback.CloseIdleConnections()
}

// IsLoopback tells whether host, without port, is this machine: exactly localhost, 127.0.0.0/8 or ::1. As upstream has it,
// certificates of registries there are not verified, which serves local trials; nobody on the network can be between.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// RoundTrip sends the request, and again when that failed for a passing reason and the context leaves time.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	pool := t.verified
	if IsLoopback(req.URL.Hostname()) {
		pool = t.loopback
	}
	var last outcome
	_, err := retry.Do(req.Context(), func(ctx context.Context) (struct{}, error) {
		if last.resp != nil {
			last.resp.Body.Close()
		}
		flight.Waits(ctx, "an answer of "+req.URL.Host)
		last = t.attempt(pool, req)
		if last.passing {
			flight.Waits(ctx, fmt.Sprintf("the next try with %s, where %v", req.URL.Host, last))
		}
		return struct{}{}, last
	})
	if !errors.As(err, &last) {
		return nil, err
	}
	return last.resp, last.err
}
