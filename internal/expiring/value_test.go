package expiring

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
)

func TestGetKeepsUntilMargin(t *testing.T) {
	c := testclock.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	var calls int32
	v := New(func(context.Context) (int32, time.Time, error) {
		return atomic.AddInt32(&calls, 1), c.Now().Add(time.Hour), nil
	}, time.Minute, c.Now)
	get := func() int32 {
		t.Helper()
		got, err := v.Get(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for range 2 {
		if get() != 1 {
			t.Error("a valid value was fetched again")
		}
	}
	c.Advance(time.Hour - maxMargin)
	if get() != 2 {
		t.Error("a value within its margin was handed out")
	}
}

func TestGetRenewsAheadAndServesMeanwhile(t *testing.T) {
	c := testclock.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	var calls int32
	renewed, release := make(chan struct{}), make(chan struct{})
	v := New(func(context.Context) (int32, time.Time, error) {
		n := atomic.AddInt32(&calls, 1)
		if n == 2 {
			close(renewed)
			<-release
		}
		return n, c.Now().Add(time.Hour), nil
	}, time.Minute, c.Now)
	if _, err := v.Get(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.Advance(46 * time.Minute)
	for range 5 {
		if got, err := v.Get(context.Background()); got != 1 || err != nil {
			t.Fatalf("while renewing: %d, %v; want the old value", got, err)
		}
	}
	<-renewed
	close(release)
	c.Advance(14 * time.Minute) // the old value has ended: this Get joins the renewal or sees its outcome
	if got, err := v.Get(context.Background()); got != 2 || err != nil {
		t.Errorf("after renewal: %d, %v; want 2", got, err)
	}
}

func TestGetServesWhileRenewalFails(t *testing.T) {
	c := testclock.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	down := errors.New("service down")
	var calls atomic.Int32
	v := New(func(context.Context) (string, time.Time, error) {
		if calls.Add(1) > 1 {
			return "", time.Time{}, down
		}
		return "old", c.Now().Add(time.Hour), nil
	}, time.Minute, c.Now)
	told := make(chan error, 1)
	v.OnRefreshError = func(err error, _ time.Time) { told <- err }
	for _, step := range []time.Duration{0, 46 * time.Minute} {
		c.Advance(step)
		if got, err := v.Get(context.Background()); got != "old" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if err := <-told; !errors.Is(err, down) {
		t.Errorf("told of %v", err)
	}
	if got, err := v.Get(context.Background()); got != "old" || err != nil {
		t.Errorf("after a failed renewal: %q, %v", got, err)
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("%d calls: a failed renewal was repeated without a pause", n)
	}
	c.Advance(14 * time.Minute)
	if _, err := v.Get(context.Background()); !errors.Is(err, down) {
		t.Errorf("past its end the value must not be used: %v", err)
	}
}

func TestGetRefusesExpired(t *testing.T) {
	c := testclock.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	v := New(func(context.Context) (int, time.Time, error) { return 1, c.Now().Add(-time.Second), nil }, time.Minute, c.Now)
	if _, err := v.Get(context.Background()); !errors.Is(err, ErrExpired) {
		t.Errorf("got %v, want ErrExpired", err)
	}
}

func TestForget(t *testing.T) {
	c := testclock.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	var calls int
	v := New(func(context.Context) (int, time.Time, error) { calls++; return calls, c.Now().Add(time.Hour), nil }, time.Minute, c.Now)
	first, _ := v.Get(context.Background())
	v.Forget(func(got int) bool { return got != first })
	if got, _ := v.Get(context.Background()); got != 1 {
		t.Errorf("Forget dropped another value: %d", got)
	}
	v.Forget(func(got int) bool { return got == first })
	if got, _ := v.Get(context.Background()); got != 2 {
		t.Errorf("Forget kept the value: %d", got)
	}
}

// Callers that looked just before a fetch ended must not start another.
func TestGetFetchesOnceUnderLoad(t *testing.T) {
	for range 50 {
		var calls atomic.Int32
		v := New(func(context.Context) (int, time.Time, error) {
			calls.Add(1)
			return 1, time.Now().Add(time.Hour), nil
		}, time.Minute, nil)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := v.Get(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := calls.Load(); n != 1 {
			t.Fatalf("%d calls, want 1", n)
		}
	}
}

// A renewal that hangs past the value's end must not keep up who comes after those who gave up on it.
func TestHangingRenewalIsLeftBehind(t *testing.T) {
	var calls atomic.Int32
	hanging, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	v := New(func(context.Context) (int32, time.Time, error) {
		n := calls.Add(1)
		if n == 2 {
			close(hanging)
			<-release
		}
		return n, time.Now().Add(400 * time.Millisecond), nil
	}, time.Minute, nil)
	got, err := v.Get(t.Context())
	for tick := time.NewTicker(time.Millisecond); got == 1 && err == nil; { // until the value has ended
		<-tick.C
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		got, err = v.Get(ctx)
		cancel()
	}
	<-hanging
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if got, err := v.Get(ctx); got < 3 || err != nil {
		t.Errorf("the next Get: %d, %v; want a new fetch", got, err)
	}
}
