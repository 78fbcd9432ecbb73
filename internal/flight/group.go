package flight

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/recovery"
)

// Group runs one call per key at a time and hands its outcome to everybody who asked for that key meanwhile.
//
// The call keeps the values of the first caller's context but neither its cancellation nor its deadline: a caller that gives up must not
// fail the others. It has a deadline of its own instead. When the last caller has given up, the call goes on, for what it may bring to
// a cache, but nobody joins it any more. A panic in the call becomes an error. Make a Group with New. It is safe for concurrent use.
type Group[V any] struct {
	timeout time.Duration
	calls   map[string]*call[V]
}

type call[V any] struct {
	done  chan struct{} // closed when value and err are set
	value V
	err   error
	step  step
	callers
}

// mu guards the calls of all Groups, and who waits for them, which is asked across Groups.
var mu sync.Mutex

// New returns a Group whose calls each end after timeout.
func New[V any](timeout time.Duration) *Group[V] {
	return &Group[V]{timeout: timeout, calls: make(map[string]*call[V])}
}

// Do returns the outcome of fn for key, joining a call for the same key that is already in flight. It returns early when ctx ends, and
// starts nothing when it has ended. The error of whoever waited in vain says what for, and wraps the cause.
func (g *Group[V]) Do(ctx context.Context, key string, fn func(context.Context) (V, error)) (V, error) {
	if ctx.Err() != nil {
		var none V
		return none, context.Cause(ctx)
	}
	outer, left := callersOf(ctx), false
	mu.Lock()
	c, ok := g.calls[key]
	if ok && !c.wait() { // those that they are a part of were abandoned, and they have yet to notice
		g.abandon(key, c)
		ok = false
	}
	if !ok {
		c = &call[V]{done: make(chan struct{}), callers: newCallers()}
		g.calls[key] = c
		go g.run(context.WithoutCancel(ctx), key, c, fn)
	}
	c.of[outer]++
	mu.Unlock()
	follow(ctx, &c.step)

	waits := outer.left()
	for {
		select {
		case <-c.done:
			return c.value, c.err
		case <-ctx.Done():
			if !left {
				g.leave(key, c, outer)
			}
			var none V
			return none, waited(context.Cause(ctx), &c.step)
		case <-waits: // nobody waits for the call that this one is a part of
			g.leave(key, c, outer)
			waits, left = nil, true
		}
	}
}

func (g *Group[V]) run(ctx context.Context, key string, c *call[V], fn func(context.Context) (V, error)) {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	defer func() {
		mu.Lock()
		g.forget(key, c)
		mu.Unlock()
		close(c.done)
	}()
	defer recovery.ToError(&c.err)
	c.value, c.err = fn(withCallers(withStep(ctx, &c.step), &c.callers))
	if errors.Is(c.err, context.DeadlineExceeded) && ctx.Err() != nil {
		c.err = waited(c.err, &c.step)
	}
}

// leave notes that a caller gave up.
func (g *Group[V]) leave(key string, c *call[V], outer *callers) {
	mu.Lock()
	defer mu.Unlock()
	if c.of[outer]--; c.of[outer] == 0 {
		delete(c.of, outer)
	}
	if !c.wait() {
		g.abandon(key, c)
	}
}

// abandon notes that nobody waits for a call, so that nobody joins it, or the calls inside of it, any more.
func (g *Group[V]) abandon(key string, c *call[V]) {
	g.forget(key, c)
	c.abandon()
}

func (g *Group[V]) forget(key string, c *call[V]) {
	if g.calls[key] == c {
		delete(g.calls, key)
	}
}
