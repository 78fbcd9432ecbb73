package referrerstore

import (
	"context"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

// calls collapses identical calls in flight, and asks what is kept first.
type calls[V any] struct {
	group *flight.Group[V]
}

func newCalls[V any](timeout time.Duration) calls[V] {
	return calls[V]{group: flight.New[V](timeout)}
}

// do returns what is kept for key, or else the outcome of fn, which should keep it.
func (c calls[V]) do(ctx context.Context, key string, kept func(string) (V, bool), fn func(context.Context) (V, error)) (V, error) {
	if value, ok := kept(key); ok {
		return value, nil
	}
	return c.group.Do(ctx, key, func(ctx context.Context) (V, error) {
		if value, ok := kept(key); ok { // by a call that ended after the look above
			return value, nil
		}
		return fn(ctx)
	})
}
