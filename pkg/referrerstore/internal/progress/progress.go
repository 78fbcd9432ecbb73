// Package progress remembers which step a long call is at, so that the error of a caller who gave up waiting can name the
// party that was being waited for.
package progress

import (
	"context"
	"sync/atomic"
)

// Step is what a call waits for. The zero value is a call that waits for nothing yet. It is safe for concurrent use.
type Step struct {
	text atomic.Pointer[string]
}

type key struct{}

// With returns a context whose calls of Set go to s.
func With(ctx context.Context, s *Step) context.Context {
	return context.WithValue(ctx, key{}, s)
}

// Set notes what the call of ctx waits for from now on, for example "an answer of example.com".
func Set(ctx context.Context, waitsFor string) {
	if s, ok := ctx.Value(key{}).(*Step); ok {
		s.text.Store(&waitsFor)
	}
}

// String returns what was last set, or "".
func (s *Step) String() string {
	if text := s.text.Load(); text != nil {
		return *text
	}
	return ""
}
