package expiring

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

const (
	// refreshAt is the fraction of its life after which a value is renewed in the background. A quarter of an hour of
	// every hour is left to ride out a failing service.
	refreshAt = 0.75
	// maxMargin is how long before its end a value counts as ended, so that what is handed out lives through the request
	// that uses it. Values of less than 100 s keep a tenth of their life as margin.
	maxMargin = 10 * time.Second
	// retryAfter is the pause after a renewal that failed in the background.
	retryAfter = 10 * time.Second
)

// ErrExpired is returned by Get when Fetch brought a value that had already ended.
var ErrExpired = errors.New("what was fetched has already expired")

// Fetch gets a new value and the time at which it ends.
type Fetch[T any] func(context.Context) (value T, expires time.Time, err error)

// Value keeps what Fetch returned until shortly before its end. It is renewed in the background when three quarters of its
// life have gone, by one call at a time; while it is valid, a renewal that fails changes nothing for its users.
// Make one with New. A Value is safe for concurrent use.
type Value[T any] struct {
	fetch    Fetch[T]
	now      func() time.Time
	inFlight *flight.Group[T]

	// OnRefreshError, if set, is told of each renewal in the background that failed while the value is still valid.
	OnRefreshError func(err error, validUntil time.Time)

	mu         sync.Mutex
	value      T
	refresh    time.Time // when to renew in the background
	expires    time.Time // when to stop handing it out; zero if there is none
	refreshing bool
}

// New returns an empty Value. Each call of fetch ends after timeout. now is the clock; nil means time.Now.
func New[T any](fetch Fetch[T], timeout time.Duration, now func() time.Time) *Value[T] {
	if now == nil {
		now = time.Now
	}
	return &Value[T]{fetch: fetch, now: now, inFlight: flight.New[T](timeout)}
}

// Get returns a valid value, calling Fetch only if there is none. Callers that have to wait share one call.
func (v *Value[T]) Get(ctx context.Context) (T, error) {
	now := v.now()
	v.mu.Lock()
	if now.Before(v.expires) {
		value, seen := v.value, v.expires
		renew := !v.refreshing && !now.Before(v.refresh)
		v.refreshing = v.refreshing || renew
		v.mu.Unlock()
		if renew {
			go v.renew(flight.Detach(ctx), seen, seen.Sub(now))
		}
		return value, nil
	}
	seen := v.expires
	v.mu.Unlock()
	return v.inFlight.Do(ctx, "", func(ctx context.Context) (T, error) { return v.fetchAndKeep(ctx, seen) })
}

// Forget drops the value, if it is still the one that bad reports as such, so that the next Get fetches a new one.
func (v *Value[T]) Forget(bad func(T) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.expires.IsZero() && bad(v.value) {
		var none T
		v.value, v.expires = none, time.Time{}
	}
}

// renew waits for a new value as long as the old one is left. After that a call that hangs is left to those who asked, so that it is
// abandoned with the last of them.
func (v *Value[T]) renew(ctx context.Context, seen time.Time, left time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	_, err := v.inFlight.Do(ctx, "", func(ctx context.Context) (T, error) { return v.fetchAndKeep(ctx, seen) })
	v.mu.Lock()
	v.refreshing = false
	if err != nil && v.expires.Equal(seen) { // else somebody else brought a new one
		v.refresh = v.now().Add(retryAfter)
	}
	validUntil := v.expires
	v.mu.Unlock()
	if err != nil && v.OnRefreshError != nil && v.now().Before(validUntil) {
		v.OnRefreshError(err, validUntil)
	}
}

// fetchAndKeep fetches a new value, unless one came after the caller saw one with the end seen: the call that brought it ended
// between the caller's look and this one.
func (v *Value[T]) fetchAndKeep(ctx context.Context, seen time.Time) (T, error) {
	v.mu.Lock()
	if !v.expires.Equal(seen) && v.now().Before(v.expires) {
		value := v.value
		v.mu.Unlock()
		return value, nil
	}
	v.mu.Unlock()
	value, expires, err := v.fetch(ctx)
	if err != nil {
		var none T
		return none, err
	}
	now := v.now()
	life := expires.Sub(now)
	if life <= 0 {
		var none T
		return none, fmt.Errorf("%w: ended at %s, and it is %s here; check this machine's clock", ErrExpired,
			expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	margin := min(maxMargin, life/10)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.value = value
	v.refresh = now.Add(time.Duration(float64(life) * refreshAt))
	v.expires = expires.Add(-margin)
	return value, nil
}
