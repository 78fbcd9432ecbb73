package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

const (
	warmClients  = 16
	warmRequests = 8000 // a round
)

// warmRounds has clients ask about one image, whose verdict is known, as fast as they get answers.
func warmRounds(ctx context.Context, b *bencher) (round, error) {
	images, err := b.newRepositories(ctx, 1, 1)
	if err != nil {
		return nil, err
	}
	p, err := newInProcess(ctx, b)
	if err != nil {
		return nil, err
	}
	ask, err := p.ask(images[0].reference())
	if err != nil {
		return nil, err
	}
	if err := ask(); err != nil {
		return nil, err
	}
	requests := b.scaled(warmRequests)
	return func(ctx context.Context, s *server, _ int) ([]float64, error) {
		q, err := s.question("verify", images[0].reference())
		if err != nil {
			return nil, err
		}
		if err := s.connect(ctx, warmClients); err != nil {
			return nil, err
		}
		if _, err := s.send(ctx, q); err != nil {
			return nil, err
		}
		before, err := s.cpu()
		if err != nil {
			return nil, err
		}
		start := time.Now()
		var clients sync.WaitGroup
		errs := make([]error, warmClients)
		for c := range warmClients {
			clients.Go(func() {
				for range requests / warmClients {
					if _, errs[c] = s.verify(ctx, q); errs[c] != nil {
						return
					}
				}
			})
		}
		clients.Wait()
		elapsed := time.Since(start)
		after, err := s.cpu()
		if err = cmp.Or(errors.Join(errs...), err); err != nil {
			return nil, err
		}
		values := []float64{float64((after - before).Microseconds()) / float64(requests), float64(requests) / elapsed.Seconds(), 0, 0}
		if s.binary != b.options.ours {
			return values, nil
		}
		alone := testing.Benchmark(func(t *testing.B) {
			t.ReportAllocs()
			for t.Loop() {
				if err := ask(); err != nil {
					t.Fatal(err)
				}
			}
		})
		if alone.N == 0 {
			return nil, fmt.Errorf("the verdict in process is another one")
		}
		values[2], values[3] = float64(alone.NsPerOp())/1000, float64(alone.AllocsPerOp())
		return values, nil
	}, nil
}
