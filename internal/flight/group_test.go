package flight

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestDoCollapses(t *testing.T) {
	g := New[int](time.Minute)
	var calls atomic.Int32
	release, started := make(chan struct{}), make(chan struct{})
	fn := func(context.Context) (int, error) {
		if calls.Add(1) == 1 {
			close(started)
		}
		<-release
		return 7, nil
	}
	var wg sync.WaitGroup
	results := make(chan int, 10)
	ask := func() {
		defer wg.Done()
		v, err := g.Do(context.Background(), "k", fn)
		if err != nil {
			t.Error(err)
		}
		results <- v
	}
	wg.Add(1)
	go ask()
	<-started
	// An asker that has given up tells that it joined the call: only then is the call known to be shared.
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := g.Do(gone, "k", fn); !errors.Is(err, context.Canceled) {
		t.Errorf("Do with an ended context: %v, want context.Canceled", err)
	}
	close(release)
	wg.Wait()
	if v := <-results; v != 7 || calls.Load() != 1 {
		t.Errorf("got %d after %d calls, want 7 after 1", v, calls.Load())
	}
}

func TestDoOutlivesFirstCaller(t *testing.T) {
	type key struct{}
	g := New[string](time.Minute)
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "kept"))
	entered, finished := make(chan struct{}), make(chan error, 1)
	release := make(chan struct{})
	go func() {
		_, _ = g.Do(ctx, "k", func(ctx context.Context) (string, error) {
			close(entered)
			<-release
			finished <- ctx.Err()
			return ctx.Value(key{}).(string), nil
		})
	}()
	<-entered
	cancel()
	close(release)
	if err := <-finished; err != nil {
		t.Errorf("the call inherited the first caller's cancellation: %v", err)
	}
}

func TestDoHasItsOwnDeadline(t *testing.T) {
	g := New[int](time.Millisecond)
	_, err := g.Do(context.Background(), "k", func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want a deadline", err)
	}
}

func TestDoTurnsPanicIntoError(t *testing.T) {
	g := New[int](time.Minute)
	_, err := g.Do(context.Background(), "k", func(context.Context) (int, error) { panic("boom") })
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v, want the panic as an error", err)
	}
	if v, err := g.Do(context.Background(), "k", func(context.Context) (int, error) { return 1, nil }); v != 1 || err != nil {
		t.Errorf("after a panic: %d, %v", v, err)
	}
}
