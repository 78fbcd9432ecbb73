package revocation

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/sync/semaphore"
)

const (
	// smallListBytes is what an answer may have without waiting for others. Most lists have a few KiB.
	smallListBytes = 1 << 20

	// maxLargeLists bounds the larger ones that are read and parsed at the same time, each of which takes up to 150 MiB meanwhile. Who makes a
	// certificate chooses how many lists it names, and how large they are.
	maxLargeLists = 2
)

// largeOnesWait returns a transport whose answers wait for each other once they have grown large, until they are closed. notation-core-go does
// that when it has parsed them.
func largeOnesWait(next http.RoundTripper) http.RoundTripper {
	return waiting{next, semaphore.NewWeighted(maxLargeLists)}
}

type waiting struct {
	next  http.RoundTripper
	slots *semaphore.Weighted
}

func (w waiting) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.next.RoundTrip(r)
	if err == nil {
		response.Body = &waitingBody{ReadCloser: response.Body, ctx: r.Context(), slots: w.slots}
	}
	return response, err
}

type waitingBody struct {
	io.ReadCloser
	ctx   context.Context
	slots *semaphore.Weighted
	read  int
	large bool
}

func (b *waitingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.read += n; b.read > smallListBytes && !b.large {
		if err := b.slots.Acquire(b.ctx, 1); err != nil {
			return n, fmt.Errorf("%d other large revocation lists were being read: %w", maxLargeLists, context.Cause(b.ctx))
		}
		b.large = true
	}
	return n, err
}

func (b *waitingBody) Close() error {
	if b.large {
		b.large = false
		b.slots.Release(1)
	}
	return b.ReadCloser.Close()
}
