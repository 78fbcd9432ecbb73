package auth

import (
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

// send sends req, which is to r's host, and follows redirects, without what is meant for the first host only. The answer must be closed: until
// then it counts among those of maxAtOnce.
func (r *registry) send(req *http.Request) (*http.Response, error) {
	if !r.atOnce.TryAcquire(1) {
		flight.Waits(req.Context(), fmt.Sprintf("one of %d other requests to %s to end", maxAtOnce, r.host))
		if err := r.atOnce.Acquire(req.Context(), 1); err != nil {
			return nil, err
		}
	}
	req.Header.Set("User-Agent", r.client.UserAgent)
	resp, err := r.client.http.Do(req)
	if err != nil {
		r.atOnce.Release(1)
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, of: r}
	return resp, nil
}

// body is that of an answer of a registry.
type body struct {
	io.ReadCloser
	of     *registry
	closed sync.Once
}

// Close implements io.Closer, and lets another request go.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.closed.Do(func() { b.of.atOnce.Release(1) })
	return err
}
