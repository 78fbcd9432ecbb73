package referrerstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/progress"
)

// calls collapses identical calls in flight, and tells callers who waited in vain what for.
type calls[V any] struct {
	group *progress.Group[V]
}

func newCalls[V any](timeout time.Duration) calls[V] {
	return calls[V]{group: progress.NewGroup[V](timeout)}
}

// do returns what is kept for key, or else the outcome of fn, which should keep it.
func (c calls[V]) do(ctx context.Context, key string, kept func(string) (V, bool), fn func(context.Context) (V, error)) (V, error) {
	if value, ok := kept(key); ok {
		return value, nil
	}
	step := new(progress.Step)
	value, err := c.group.Do(progress.With(ctx, step), key, func(ctx context.Context) (V, error) {
		if value, ok := kept(key); ok { // by a call that ended after the look above
			return value, nil
		}
		return fn(ctx)
	})
	if ctx.Err() != nil {
		c.group.Forget(key) // it may hang; who comes next should not have to wait for it
	}
	if err == nil {
		return value, nil
	}
	if text := step.String(); text != "" && (ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded)) {
		err = fmt.Errorf("%w while waiting for %s", err, text)
	}
	return value, err
}
