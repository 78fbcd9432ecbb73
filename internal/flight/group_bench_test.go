package flight

import (
	"context"
	"sync"
	"testing"
	"time"
)

// What it takes until all have the outcome of a call that 500 wait for.
func BenchmarkHerd(b *testing.B) {
	const herd = 500
	g := New[int](time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		release := make(chan struct{})
		call := func(context.Context) (int, error) { <-release; return 1, nil }
		var joined, done sync.WaitGroup
		joined.Add(herd)
		for range herd {
			done.Go(func() {
				joined.Done()
				if v, err := g.Do(b.Context(), "image", call); v != 1 || err != nil {
					b.Error(v, err)
				}
			})
		}
		joined.Wait()
		close(release)
		done.Wait()
	}
}
