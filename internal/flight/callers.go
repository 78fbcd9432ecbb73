package flight

import "context"

// callers are those who wait for a call.
type callers struct {
	of     map[*callers]int // how many, by whose call they are a part of; nil: of none
	gone   chan struct{}    // closed when all have given up
	closed bool
	asked  bool // wait is being answered
}

func newCallers() callers {
	return callers{of: make(map[*callers]int), gone: make(chan struct{})}
}

// wait reports whether anybody waits, as a part of a call that somebody waits for.
func (c *callers) wait() bool {
	if c.asked { // a call that is a part of itself: that is nobody
		return false
	}
	c.asked = true
	defer func() { c.asked = false }()
	for outer := range c.of {
		if outer == nil || outer.wait() {
			return true
		}
	}
	return false
}

// abandon tells the calls inside that nobody waits any more.
func (c *callers) abandon() {
	if !c.closed {
		c.closed = true
		close(c.gone)
	}
}

// left returns what is closed when all have given up; nil, which blocks for ever, for nobody's callers.
func (c *callers) left() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.gone
}

type callersKey struct{}

// withCallers returns a context that tells the calls inside who waits for the call that it belongs to; nil: it belongs to none.
func withCallers(ctx context.Context, c *callers) context.Context {
	return context.WithValue(ctx, callersKey{}, c)
}

// callersOf returns those of withCallers; nil outside of calls.
func callersOf(ctx context.Context) *callers {
	c, _ := ctx.Value(callersKey{}).(*callers)
	return c
}
