package progress

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestNestedCalls(t *testing.T) {
	outer, inner := NewGroup[int](time.Minute), NewGroup[int](time.Minute)
	reached, release := make(chan struct{}), make(chan struct{})
	work := func(ctx context.Context) (int, error) {
		Set(ctx, "the inner call")
		return inner.Do(ctx, "shared", func(ctx context.Context) (int, error) {
			Set(ctx, "an answer of example.com")
			close(reached)
			<-release
			return 1, nil
		})
	}
	done := make(chan error)
	go func() {
		_, err := outer.Do(t.Context(), "first", work)
		done <- err
	}()
	<-reached
	// Another outer call joins the inner one; who gives up on it learns what the inner one waits for.
	step := new(Step)
	ctx, cancel := context.WithCancel(With(t.Context(), step))
	joined := make(chan struct{})
	go func() {
		_, err := outer.Do(ctx, "second", func(ctx context.Context) (int, error) {
			defer close(joined)
			ended, cancel := context.WithCancel(ctx)
			cancel()
			return inner.Do(ended, "shared", work)
		})
		done <- err
	}()
	<-joined
	if got := step.String(); got != "an answer of example.com" {
		t.Errorf("waits for %q", got)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if new(Step).String() != "" {
		t.Error("a new call waits for something")
	}
	Set(t.Context(), "nothing") // without a step
}

func TestForget(t *testing.T) {
	g := NewGroup[int](time.Minute)
	reached, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_, _ = g.Do(t.Context(), "k", func(context.Context) (int, error) { close(reached); <-release; return 1, nil })
	}()
	<-reached
	g.Forget("k")
	if got, err := g.Do(t.Context(), "k", func(context.Context) (int, error) { return 2, nil }); got != 2 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	close(release)
	<-done
}

func TestTransport(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	step := new(Step)
	req, err := http.NewRequestWithContext(With(t.Context(), step), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := Transport(http.DefaultTransport).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if want := "an answer of " + server.Listener.Addr().String(); step.String() != want {
		t.Errorf("waits for %q, want %q", step, want)
	}
}
