package transport

import (
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/retry"
)

// outcome is what became of one attempt. It is an error for package retry only, which repeats what fails.
type outcome struct {
	resp    *http.Response
	err     error
	passing bool
	after   time.Duration // how long the other side asked to wait
}

func (o outcome) Error() string {
	if o.err != nil {
		return "the last one ended with " + o.err.Error()
	}
	return "the last one was answered " + o.resp.Status
}

// Passing implements retry.Passing.
func (o outcome) Passing() (time.Duration, bool) { return o.after, o.passing }

// attempt sends the request once.
func (t *Transport) attempt(pool *http.Transport, req *http.Request) outcome {
	resp, err := pool.RoundTrip(req)
	o := outcome{resp: resp, err: err}
	status := 0
	if err == nil && resp.StatusCode == http.StatusProxyAuthRequired {
		if refusal := refusedByProxy(pool, req); refusal != nil {
			resp.Body.Close()
			o = outcome{err: refusal}
		}
	}
	if o.err != nil {
		o.passing = passing(o.err) && req.Context().Err() == nil
	} else {
		status = resp.StatusCode
		o.passing = status == http.StatusTooManyRequests || (status >= 500 && status != http.StatusNotImplemented)
		if o.passing {
			o.after = retry.After(resp.Header, t.now())
		}
	}
	if t.onRequest != nil {
		t.onRequest(req.URL.Host, status)
	}
	if req.Body != nil && req.Body != http.NoBody {
		o.passing = false // it has been read
	}
	return o
}

// passing tells whether an error of a connection may be gone at the next attempt.
func passing(err error) bool {
	if refusal := (*ProxyError)(nil); errors.As(err, &refusal) {
		return refusal.StatusCode == http.StatusTooManyRequests || refusal.StatusCode >= 500
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	for _, e := range []error{syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
