package httplimit

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Client returns a client over transport (nil: http.DefaultTransport, with the proxy of the environment) whose calls end after timeout,
// the reading of the answer included, and whose answers may have up to maxBytes. Longer ones end with an error, not cut off. A redirect is an
// answer like any other: SDKs send tokens in bodies, which would follow it to wherever it leads. A request's body is sent from a copy: SDKs
// rewind theirs to send it again, while net/http may still be reading it after an early answer.
func Client(transport *http.Transport, timeout time.Duration, maxBytes int64) *http.Client {
	var inner http.RoundTripper = http.DefaultTransport
	if transport != nil {
		inner = transport
	}
	return &http.Client{Transport: Transport(copying{inner}, maxBytes), Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type copying struct{ inner http.RoundTripper }

func (c copying) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		return c.inner.RoundTrip(req)
	}
	content, err := io.ReadAll(req.Body)
	req.Body.Close()
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	req.Body, _ = req.GetBody()
	return c.inner.RoundTrip(req)
}

// Transport bounds the answers of another one in the same way.
func Transport(inner http.RoundTripper, maxBytes int64) http.RoundTripper {
	return &limited{inner: inner, maxBytes: maxBytes}
}

type limited struct {
	inner    http.RoundTripper
	maxBytes int64
}

func (l *limited) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.inner.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = Body(resp.Body, req.URL.Host, l.maxBytes)
	return resp, nil
}

// Body bounds the body of one answer, for where there is no transport to bound. host is who gave it.
func Body(answer io.ReadCloser, host string, maxBytes int64) io.ReadCloser {
	return &body{ReadCloser: answer, left: maxBytes, host: host, maxBytes: maxBytes}
}

// body is an answer's body that fails where it grows too long.
type body struct {
	io.ReadCloser
	left, maxBytes int64
	host           string
}

func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.tooLong()
	}
	if int64(len(p)) > b.left+1 { // one more tells whether the answer ends here
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, b.tooLong()
	}
	return n, err
}

func (b *body) tooLong() error {
	return fmt.Errorf("the answer of %s has more than %d bytes", b.host, b.maxBytes)
}
