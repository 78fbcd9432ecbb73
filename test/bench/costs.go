package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// atOnce is how many images are asked about at once where it is not time that is measured.
const atOnce = 8

// cpuRounds measures the CPU that an image costs, beside that of a program that does nothing but what has to be done.
func cpuRounds(ctx context.Context, b *bencher) (round, error) {
	each := b.scaled(100)
	images, err := b.newRepositories(ctx, b.rounds()*each, 1)
	return func(ctx context.Context, s *server, n int) ([]float64, error) {
		least, err := b.reference(ctx, part(images, n, each))
		if err != nil {
			return nil, err
		}
		before, err := s.cpu()
		if err != nil {
			return nil, err
		}
		if _, err := s.askEach(ctx, part(images, n, each)); err != nil {
			return nil, err
		}
		after, err := s.cpu()
		if err != nil {
			return nil, err
		}
		mine := milliseconds(after-before) / float64(each)
		return []float64{mine, mine / least}, nil
	}, err
}

// memoryRounds asks about many images, each new.
func memoryRounds(ctx context.Context, b *bencher) (round, error) {
	first, more := b.scaled(10_000), b.scaled(2_000)
	images, err := b.newRepositories(ctx, first+more, 1)
	return func(ctx context.Context, s *server, _ int) ([]float64, error) {
		if err := s.askAll(ctx, images[:first]); err != nil {
			return nil, err
		}
		goroutines, err := s.goroutines(ctx)
		if err != nil {
			return nil, err
		}
		before, err := s.memory("VmRSS")
		if err != nil {
			return nil, err
		}
		if err := s.askAll(ctx, images[first:]); err != nil {
			return nil, err
		}
		after, err := s.memory("VmRSS")
		if err != nil {
			return nil, err
		}
		largest, err := s.memory("VmHWM")
		if err != nil {
			return nil, err
		}
		left, err := s.goroutines(ctx)
		return []float64{largest, after / before, left / max(goroutines, 1)}, err
	}, err
}

// askAll asks about images, atOnce at a time.
func (s *server) askAll(ctx context.Context, images []image) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, i := range images {
		group.Go(func() error {
			_, err := s.ask(ctx, i.reference())
			return err
		})
	}
	return group.Wait()
}

// goroutines returns their number, 0 if the metrics do not have it.
func (s *server) goroutines(ctx context.Context) (float64, error) {
	text, err := get(ctx, s.metrics)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, nil
}

// startRounds starts further servers.
func startRounds(ctx context.Context, b *bencher) (round, error) {
	images, err := b.newRepositories(ctx, 1, 1)
	return func(ctx context.Context, s *server, n int) (_ []float64, err error) {
		started, err := b.start(ctx, s.binary, serveOptions{cold: true}, filepath.Join(b.dir, fmt.Sprintf("start-%d-%s", n, filepath.Base(s.binary))))
		if err != nil {
			return nil, err
		}
		defer func() { _ = started.stop() }()
		ready := 0.0
		if s.binary == b.options.ours {
			if err := started.ready(ctx); err != nil {
				return nil, err
			}
			ready = started.age()
		}
		if err := started.admits(ctx, images[0].reference()); err != nil {
			return nil, err
		}
		return []float64{ready, started.age()}, nil
	}, err
}
