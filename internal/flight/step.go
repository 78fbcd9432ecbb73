package flight

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
)

// WaitError is the error of a caller who waited in vain.
type WaitError struct {
	// For is what was waited for.
	For string
	// Err is why the wait ended.
	Err error
}

// Error says what was waited for.
func (e *WaitError) Error() string { return fmt.Sprintf("%v while waiting for %s", e.Err, e.For) }

// Unwrap returns why the wait ended.
func (e *WaitError) Unwrap() error { return e.Err }

// waited adds to err what was waited for, unless it says so.
func waited(err error, s *step) error {
	if _, ok := errors.AsType[*WaitError](err); ok {
		return err
	}
	if what := s.String(); what != "" {
		return &WaitError{For: what, Err: err}
	}
	return err
}

// Waits notes what the call of ctx waits for from now on, for example "an answer of example.com".
func Waits(ctx context.Context, what string) {
	if s, _ := ctx.Value(stepKey{}).(*step); s != nil {
		s.at.Store(&point{text: what})
	}
}

// Transport notes the host of each request that goes through base.
func Transport(base http.RoundTripper) http.RoundTripper { return noting{base} }

type noting struct{ base http.RoundTripper }

func (t noting) RoundTrip(r *http.Request) (*http.Response, error) {
	Waits(r.Context(), "an answer of "+r.URL.Host)
	return t.base.RoundTrip(r)
}

// step is what a call waits for.
type step struct {
	at atomic.Pointer[point]
}

// Detach returns a context for work that goes on without the call of ctx: with its values, but it neither ends with that call nor is
// what that call waits for.
func Detach(ctx context.Context) context.Context {
	return withCallers(withStep(context.WithoutCancel(ctx), nil), nil)
}

// point is a text, or the step of another call.
type point struct {
	text  string
	other *step
}

func (s *step) String() string {
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

// follow notes that the call of ctx waits for what another call waits for.
func follow(ctx context.Context, other *step) {
	if s, _ := ctx.Value(stepKey{}).(*step); s != nil {
		s.at.Store(&point{other: other})
	}
}

type stepKey struct{}

func withStep(ctx context.Context, s *step) context.Context {
	return context.WithValue(ctx, stepKey{}, s)
}
