package transport

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// ProxyError says that an HTTP proxy did not let a request through. What was to be reached was not asked.
type ProxyError struct {
	Proxy      string // host[:port]
	StatusCode int    // of the proxy's answer
}

// Error names the proxy, without its user and password.
func (e *ProxyError) Error() string {
	return fmt.Sprintf("proxy %s answered %d %s", e.Proxy, e.StatusCode, http.StatusText(e.StatusCode))
}

// checkProxy fails a CONNECT that the proxy did not take (RFC 9110 section 9.3.6). net/http would not tell which proxy it was.
func checkProxy(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Proxy: proxy.Host, StatusCode: answer.StatusCode}
}

// refusedByProxy returns the error of an answer of 407 to a request by plain HTTP, nil if it did not go through a proxy.
func refusedByProxy(pool *http.Transport, req *http.Request) error {
	if pool.Proxy == nil {
		return nil
	}
	proxy, err := pool.Proxy(req)
	if proxy == nil || err != nil {
		return nil
	}
	return &ProxyError{Proxy: proxy.Host, StatusCode: http.StatusProxyAuthRequired}
}
