package referrerstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/progress"
)

// calls collapses identical calls in flight. A caller who gives up is told what was being waited for.
type calls[V any] struct {
	group *flight.Group[V]
	steps sync.Map // key → *progress.Step of the call in flight
}

func newCalls[V any](timeout time.Duration) *calls[V] {
	return &calls[V]{group: flight.New[V](timeout)}
}

// do returns what is kept for key, or else the outcome of fn, which should keep it.
func (c *calls[V]) do(ctx context.Context, key string, kept func(string) (V, bool), fn func(context.Context) (V, error)) (V, error) {
	if value, ok := kept(key); ok {
		return value, nil
	}
	value, err := c.group.Do(ctx, key, func(ctx context.Context) (V, error) {
		if value, ok := kept(key); ok { // a call that ended after the look above
			return value, nil
		}
		step := new(progress.Step)
		c.steps.Store(key, step)
		defer c.steps.CompareAndDelete(key, step)
		value, err := fn(progress.With(ctx, step))
		if err != nil && ctx.Err() != nil {
			err = waiting(err, step)
		}
		return value, err
	})
	if err != nil && ctx.Err() != nil {
		if step, ok := c.steps.Load(key); ok {
			err = waiting(err, step.(*progress.Step))
		}
	}
	return value, err
}

// waiting adds to err what the call was waiting for.
func waiting(err error, step *progress.Step) error {
	if text := step.String(); text != "" {
		return fmt.Errorf("%w while waiting for %s", err, text)
	}
	return err
}
