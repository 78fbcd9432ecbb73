package retry

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxAttempts bounds the calls made for one request: two more ride out a restart of the other side, and more would only
	// add to its load.
	maxAttempts = 3
	// firstPause is the pause before the second attempt; it doubles before the next one.
	firstPause = 100 * time.Millisecond
)

// Passing is implemented by errors that may go away by themselves.
type Passing interface {
	error
	// Passing tells whether another attempt makes sense, and how long the other side asked to wait; 0 if it did not say.
	Passing() (after time.Duration, ok bool)
}

// Do calls fn until it succeeds, fails with an error that is not Passing, or has been called three times. It waits between
// attempts as long as the other side asked for, else with a growing, jittered pause; when that would outlast the
// deadline of ctx it returns the error at once.
func Do[V any](ctx context.Context, fn func(context.Context) (V, error)) (V, error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		v, err := fn(ctx)
		var passing Passing
		if err == nil || attempt == maxAttempts || !errors.As(err, &passing) {
			return v, err
		}
		wait, ok := passing.Passing()
		if !ok {
			return v, err
		}
		if wait == 0 {
			wait = pause/2 + rand.N(pause)
			pause *= 2
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			return v, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return v, err
		}
	}
}

// After reads the header Retry-After (RFC 9110, section 10.2.3) as seconds or date. It returns 0 if there is none, or one
// that makes no sense.
func After(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		const maxSeconds = 24 * 60 * 60 // beyond any deadline; a larger number could overflow a Duration
		return time.Duration(min(max(seconds, 0), maxSeconds)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
