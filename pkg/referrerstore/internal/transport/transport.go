package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
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
	Private   []Private                     // of single hosts; the first that matches counts
	OnRequest func(host string, status int) // told of each attempt; status 0: no answer; may be nil
	Now       func() time.Time              // for Retry-After dates
}

// Private are certificate authorities that are trusted, besides all others, for some hosts only.
type Private struct {
	Matches func(host string) bool // host[:port], as in a URL
	Roots   []*x509.Certificate
}

// Transport sends requests over pooled connections. Make one with New; Close ends its idle connections.
type Transport struct {
	verified  *http.Transport
	loopback  *http.Transport
	private   []privatePool
	onRequest func(host string, status int)
	now       func() time.Time
}

// privatePool are the connections to the hosts of a Private.
type privatePool struct {
	matches func(host string) bool
	pool    *http.Transport
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
	verified.OnProxyConnectResponse = checkProxy
	if err := trust(verified, c.Roots); err != nil {
		return nil, err
	}
	t := &Transport{verified: verified, loopback: verified.Clone(), onRequest: c.OnRequest, now: c.Now}
	t.loopback.TLSClientConfig.InsecureSkipVerify = true // see IsLoopback
	for _, p := range c.Private {
		one := privatePool{matches: p.Matches, pool: verified.Clone()}
		if err := trust(one.pool, p.Roots); err != nil {
			return nil, err
		}
		t.private = append(t.private, one)
	}
	return t, nil
}

// trust adds certificate authorities to those that a transport, or else the system, trusts.
func trust(t *http.Transport, roots []*x509.Certificate) error {
	if len(roots) == 0 {
		return nil
	}
	pool := t.TLSClientConfig.RootCAs
	if pool == nil {
		var err error
		if pool, err = x509.SystemCertPool(); err != nil {
			return err
		}
	}
	pool = pool.Clone()
	for _, root := range roots {
		pool.AddCert(root)
	}
	t.TLSClientConfig.RootCAs = pool
	return nil
}

// Close ends idle connections.
func (t *Transport) Close() {
	t.verified.CloseIdleConnections()
	t.loopback.CloseIdleConnections()
	for _, p := range t.private {
		p.pool.CloseIdleConnections()
	}
}

// pool returns the connections to a host: those that trust its own authorities if it has any, which is also how certificates are verified
// on this machine.
func (t *Transport) pool(u *url.URL) *http.Transport {
	for _, p := range t.private {
		if p.matches(u.Host) {
			return p.pool
		}
	}
	if IsLoopback(u.Hostname()) {
		return t.loopback
	}
	return t.verified
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
	pool := t.pool(req.URL)
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
