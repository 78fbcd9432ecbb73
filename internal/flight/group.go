package flight

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/singleflight"
)

// Group runs one call per key at a time and hands its outcome to everybody who asked for that key meanwhile.
//
// The call keeps the values of the first caller's context but neither its cancellation nor its deadline: a caller that
// gives up must not fail the others. It has a deadline of its own instead. A panic in the call becomes an error.
// The zero value is not usable; make one with New. A Group is safe for concurrent use.
type Group[V any] struct {
	timeout time.Duration
	calls   singleflight.Group
}

// New returns a Group whose calls each end after timeout.
func New[V any](timeout time.Duration) *Group[V] {
	return &Group[V]{timeout: timeout}
}

// Do returns the outcome of fn for key, joining a call for the same key that is already in flight. It returns early, with
// the cause of ctx, when ctx ends; the call itself goes on for the others.
func (g *Group[V]) Do(ctx context.Context, key string, fn func(context.Context) (V, error)) (V, error) {
	done := g.calls.DoChan(key, func() (result any, err error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.timeout)
		defer cancel()
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return fn(ctx)
	})
	select {
	case r := <-done:
		value, _ := r.Val.(V) // r.Val is nil when the call panicked
		return value, r.Err
	case <-ctx.Done():
		var zero V
		return zero, context.Cause(ctx)
	}
}

// Forget makes the next Do for key start a call of its own even if one is still in flight.
func (g *Group[V]) Forget(key string) {
	g.calls.Forget(key)
}
