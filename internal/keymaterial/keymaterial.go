package keymaterial

import (
	"errors"
	"time"
)

// ErrGone is wrapped by the error of a read that found out that nothing is left to be trusted: what was read before must not be used any more.
// After any other error it may be, as that says only that the read failed.
var ErrGone = errors.New("no key material is left")

// Degraded is implemented by providers whose reads succeed with what they read before, where it cannot be read now.
type Degraded interface {
	// Degraded tells since when, and why. A nil error: all was read the last time.
	Degraded() (since time.Time, err error)
}

// Refreshed is implemented by providers that are read again although their configuration names no interval.
type Refreshed interface {
	// DefaultRefreshInterval returns the time between two reads.
	DefaultRefreshInterval() time.Duration
}
