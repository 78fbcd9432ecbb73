package flight

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is a call that the test lets go.
type gate struct {
	calls   atomic.Int32
	entered chan struct{} // one element for each call that began
	release chan struct{}
}

func newGate() *gate {
	return &gate{entered: make(chan struct{}, 100), release: make(chan struct{})}
}

func (g *gate) call(context.Context) (int32, error) {
	n := g.calls.Add(1)
	g.entered <- struct{}{}
	<-g.release
	return n, nil
}

func TestDoCollapses(t *testing.T) {
	g, call := New[int32](time.Minute), newGate()
	var wg sync.WaitGroup
	ask := func() {
		if v, err := g.Do(t.Context(), "k", call.call); v != 1 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
	}
	wg.Go(ask)
	<-call.entered
	for range 9 {
		wg.Go(ask)
	}
	// Somebody who gives up takes nobody along while others wait.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Do(gone, "k", call.call); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if _, err := g.Do(t.Context(), "other", func(context.Context) (int32, error) { return 0, nil }); err != nil {
		t.Errorf("another key: %v", err)
	}
	for joined := 0; joined < 10; { // all have joined before the call ends
		mu.Lock()
		joined = g.calls["k"].of[nil]
		mu.Unlock()
	}
	close(call.release)
	wg.Wait()
	if n := call.calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

func TestCallOutlivesItsCallers(t *testing.T) {
	type key struct{}
	g := New[string](time.Minute)
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
	entered, release, finished := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	left := make(chan error)
	go func() {
		_, err := g.Do(ctx, "k", func(ctx context.Context) (string, error) {
			close(entered)
			<-release
			if ctx.Value(key{}) != "kept" {
				t.Error("the values of the first caller's context are gone")
			}
			finished <- ctx.Err()
			return "", nil
		})
		left <- err
	}()
	<-entered
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// Everybody gave up: who comes next starts a call of his own.
	if v, err := g.Do(t.Context(), "k", func(context.Context) (string, error) { return "new", nil }); v != "new" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	close(release)
	if err := <-finished; err != nil {
		t.Errorf("the call inherited the first caller's cancellation: %v", err)
	}
}

// When nobody waits for the outer call, the inner one is not joined either.
func TestAbandonmentReachesInnerCalls(t *testing.T) {
	outer, inner := New[int32](time.Minute), New[int32](time.Minute)
	hung := newGate()
	nested := func(ctx context.Context) (int32, error) { return inner.Do(ctx, "shared", hung.call) }
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := outer.Do(ctx, "a", nested)
		left <- err
	}()
	<-hung.entered
	cancel()
	<-left
	again := make(chan int32)
	go func() {
		v, _ := outer.Do(t.Context(), "a", nested)
		again <- v
	}()
	<-hung.entered // the second call of the inner group began although the first hangs
	close(hung.release)
	if v := <-again; v != 2 {
		t.Errorf("got the outcome of call %d", v)
	}
}

// A call is not joined when all have given up on the calls that its callers are a part of, at whatever depth, even if they have yet to notice.
func TestAbandonedCallersKeepNoCall(t *testing.T) {
	for depth := range 3 {
		g := New[string](time.Minute)
		given := newCallers() // up, by all
		outer := &given
		for range depth {
			inside := newCallers()
			inside.of[outer]++
			outer = &inside
		}
		old := &call[string]{done: make(chan struct{}), callers: newCallers()}
		old.of[outer] = 2
		g.calls["k"] = old
		if v, err := g.Do(t.Context(), "k", func(context.Context) (string, error) { return "new", nil }); v != "new" || err != nil {
			t.Errorf("%d calls between: %q, %v", depth, v, err)
		}
		<-old.gone    // which the calls inside of it see
		for range 2 { // they notice
			g.leave("k", old, outer)
		}
	}
}

// Whoever waits for one of the calls that a call is a part of waits for it, too.
func TestOneCallerKeepsTheCall(t *testing.T) {
	given, kept := newCallers(), newCallers()
	kept.of[nil]++
	inside := newCallers()
	inside.of[&given]++
	inside.of[&kept]++
	inside.of[&inside]++ // a call that waits for itself does not end, and does not count
	for range 100 {      // in whatever order
		if !inside.wait() {
			t.Fatal("nobody waits")
		}
	}
	delete(kept.of, nil)
	if inside.wait() {
		t.Error("somebody waits")
	}
}

func TestErrorsNameWhatWasWaitedFor(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	client := &http.Client{Transport: Transport(&http.Transport{DisableKeepAlives: true})}
	fetch := func(ctx context.Context) (int, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		if err != nil {
			return 0, err
		}
		res, err := client.Do(r)
		if err == nil {
			_ = res.Body.Close()
		}
		return 0, err
	}
	want := "while waiting for an answer of " + strings.TrimPrefix(server.URL, "http://")

	t.Run("the call's own deadline", func(t *testing.T) {
		_, err := New[int](20*time.Millisecond).Do(t.Context(), "k", fetch)
		if !errors.Is(err, context.DeadlineExceeded) || strings.Count(err.Error(), want) != 1 {
			t.Error(err)
		}
	})
	t.Run("the caller's, through an inner call", func(t *testing.T) {
		outer, inner := New[int](time.Second), New[int](time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := outer.Do(ctx, "k", func(ctx context.Context) (int, error) {
			Waits(ctx, "its turn")
			return inner.Do(ctx, "k", fetch)
		})
		if !errors.Is(err, context.DeadlineExceeded) || strings.Count(err.Error(), want) != 1 {
			t.Error(err)
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	g := New[int](time.Minute)
	if _, err := g.Do(t.Context(), "k", func(context.Context) (int, error) { panic("boom") }); err == nil || !strings.Contains(err.Error(), "boom") || strings.Contains(err.Error(), "goroutine") {
		t.Errorf("got %v, want the panic as an error, without the stack: users read errors", err)
	}
	if v, err := g.Do(t.Context(), "k", func(context.Context) (int, error) { return 1, nil }); v != 1 || err != nil {
		t.Errorf("after a panic: %d, %v", v, err)
	}
}

func TestEndedCallerStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	called := make(chan struct{}, 1)
	_, err := New[int](time.Minute).Do(ctx, "k", func(context.Context) (int, error) {
		called <- struct{}{}
		return 0, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-called:
		t.Error("the call was made although nobody waited for it")
	case <-time.After(20 * time.Millisecond):
	}
}
