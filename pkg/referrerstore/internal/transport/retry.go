package transport

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

const (
	// maxAttempts bounds the requests made for one.
	maxAttempts = 4
	// firstPause is the pause after the first attempt; it doubles each time, and a fifth is left to chance so that clients that
	// failed together do not come back together.
	firstPause = 200 * time.Millisecond
)

// pause tells whether to send req again, and how long to wait before. There is nothing to be gained from waiting past the
// context's deadline: the outcome at hand, which says what is wrong, is kept instead.
func (t *Transport) pause(req *http.Request, resp *http.Response, err error, attempt int) (time.Duration, bool) {
	if attempt+1 >= maxAttempts || req.Context().Err() != nil || (req.Body != nil && req.Body != http.NoBody) {
		return 0, false
	}
	wait := firstPause << attempt
	wait += time.Duration(rand.Int64N(int64(wait) / 5))
	switch {
	case err != nil:
		if !passing(err) {
			return 0, false
		}
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented:
		wait = max(wait, t.retryAfter(resp.Header.Get("Retry-After")))
	default:
		return 0, false
	}
	if deadline, ok := req.Context().Deadline(); ok && time.Until(deadline) <= wait {
		return 0, false
	}
	return wait, true
}

// retryAfter reads the header's two forms, seconds and a date. Anything else is no wish.
func (t *Transport) retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return date.Sub(t.now())
	}
	return 0
}

// passing tells whether an error of a connection may be gone at the next attempt.
func passing(err error) bool {
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	for _, e := range []error{syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
