package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// say prints what is going on.
func (e *environment) say(format string, args ...any) {
	fmt.Printf("        %s\n", fmt.Sprintf(format, args...))
}

// checkTime bounds a check, beside the bounds of what it waits for. The longest takes a minute and a half.
const checkTime = 6 * time.Minute

// check runs a check and prints its line. It returns whether it passed.
func (e *environment) check(ctx context.Context, what string, f func(context.Context) error) bool {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, fmt.Errorf("the check did not end within %s", checkTime))
	defer cancel()
	began := time.Now()
	if err := f(ctx); err != nil {
		e.fail(ctx, what, err)
		return false
	}
	e.passed++
	fmt.Printf("passed  %-9s  %s (%.1f s)\n", e.theme, what, time.Since(began).Seconds())
	return true
}

// fail counts and prints a failed check, and what may tell why with the first of a theme: those after it often follow from it.
func (e *environment) fail(ctx context.Context, what string, err error) {
	e.failed++
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	fmt.Printf("FAILED  %-9s  %s: %s\n", e.theme, what, strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n        "))
	if !errors.Is(ctx.Err(), context.Canceled) && e.diagnosed != e.theme { // interrupted: nobody asks why
		e.diagnosed = e.theme
		e.diagnose()
	}
}

// eventually asks until there is no error, for at most a time, and returns the last error.
func eventually(ctx context.Context, atMost time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	var last error
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // an attempt that the time's end broke off tells nothing
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still so after %s: %w", atMost, last)
		case <-again.C:
		}
	}
}
