package manager

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
)

// Work that panics or fails is tried again, and then waits to be asked for.
func TestWorker(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls, again, done := make(chan int), make(chan ctrlevent.GenericEvent), make(chan error, 1)
	n := 0
	w := &worker{name: "test", again: again, log: slog.New(slog.DiscardHandler), work: func(context.Context) error {
		n++
		calls <- n
		switch n {
		case 1:
			panic("of the first call")
		case 2:
			return errors.New("of the second call")
		}
		return nil
	}}
	go func() { done <- w.run(ctx, nil) }()
	for want := 1; want <= 3; want++ {
		if got := <-calls; got != want {
			t.Fatalf("call %d, want %d", got, want)
		}
	}
	again <- ctrlevent.GenericEvent{}
	if got := <-calls; got != 4 {
		t.Fatalf("call %d", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
