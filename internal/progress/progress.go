// Package progress remembers what a call waits for, so that the error of a caller who gave up can name the party that did not
// answer, however many collapsed calls lie between the two.
package progress

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

// Step is what a call waits for. The zero value waits for nothing. It is safe for concurrent use.
type Step struct {
	at atomic.Pointer[point]
}

// point is a text, or another call whose step it is.
type point struct {
	text  string
	other *Step
}

type key struct{}

// With returns a context whose calls of Set go to s.
func With(ctx context.Context, s *Step) context.Context {
	return context.WithValue(ctx, key{}, s)
}

// Set notes what the call of ctx waits for from now on, for example "an answer of example.com". Without With it does nothing.
func Set(ctx context.Context, waitsFor string) {
	set(ctx, &point{text: waitsFor})
}

func set(ctx context.Context, p *point) {
	if s, ok := ctx.Value(key{}).(*Step); ok {
		s.at.Store(p)
	}
}

// String returns what is waited for, or "".
func (s *Step) String() string {
	for {
		p := s.at.Load()
		if p == nil {
			return ""
		}
		if p.other == nil {
			return p.text
		}
		s = p.other
	}
}

// Group is a flight.Group whose callers all wait for what its calls wait for. Make one with NewGroup.
type Group[V any] struct {
	calls *flight.Group[V]
	steps sync.Map // key → *Step of the call in flight
}

// NewGroup returns a Group whose calls each end after timeout.
func NewGroup[V any](timeout time.Duration) *Group[V] {
	return &Group[V]{calls: flight.New[V](timeout)}
}

// Do is flight.Group's Do.
func (g *Group[V]) Do(ctx context.Context, key string, fn func(context.Context) (V, error)) (V, error) {
	found, _ := g.steps.LoadOrStore(key, new(Step))
	step := found.(*Step)
	set(ctx, &point{other: step})
	return g.calls.Do(ctx, key, func(ctx context.Context) (V, error) {
		defer g.steps.CompareAndDelete(key, step)
		return fn(With(ctx, step))
	})
}

// Forget is flight.Group's Forget.
func (g *Group[V]) Forget(key string) {
	g.steps.Delete(key)
	g.calls.Forget(key)
}

// Transport notes the host of each request that goes through base.
func Transport(base http.RoundTripper) http.RoundTripper { return noting{base} }

type noting struct{ base http.RoundTripper }

func (t noting) RoundTrip(r *http.Request) (*http.Response, error) {
	Set(r.Context(), "an answer of "+r.URL.Host)
	return t.base.RoundTrip(r)
}
