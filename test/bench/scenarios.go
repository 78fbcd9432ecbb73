package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// near is the round trip to a registry in the same region, with TLS ended at its load balancer; far one across regions.
const (
	near = 20 * time.Millisecond
	far  = 50 * time.Millisecond
)

// sample is how many images a round asks about one after the other.
const sample = 10

// scenarios are the rows of the table.
var scenarios = []scenario{
	{id: "cold", name: "cold verify by digest in a new repository, 20 ms", latency: near, measures: []measure{
		{name: "one image", unit: "ms", target: ratio(2.9)},
		{name: "calls an image", target: atMost(5)},
		{name: "round trips, one after the other", target: atMost(4)},
	}, prepare: func(ctx context.Context, b *bencher) (round, error) {
		images, err := b.newRepositories(ctx, b.rounds()*sample, 1)
		return coldRound(images), err
	}},
	{id: "seen", name: "cold verify in a repository seen before, 20 ms", latency: near, measures: []measure{
		{name: "one image", unit: "ms", target: ratio(3.6)},
		{name: "calls an image"},
		{name: "round trips, one after the other", target: atMost(3)},
	}, prepare: func(ctx context.Context, b *bencher) (round, error) {
		images, err := b.inOneRepository(ctx, b.rounds()*sample+1)
		if err != nil {
			return nil, err
		}
		cold := coldRound(images[1:])
		return func(ctx context.Context, s *server, n int) ([]float64, error) {
			if n == 0 {
				if _, err := s.ask(ctx, images[0].reference()); err != nil {
					return nil, err
				}
			}
			return cold(ctx, s, n)
		}, nil
	}},
	{id: "stale", name: "verify again when the verdict and the list of referrers are older than their time, 20 ms", latency: near,
		serve: serveOptions{verdictTTL: time.Second, storeTTL: 1}, measures: []measure{
			{name: "one image", unit: "ms"},
			{name: "calls an image"},
			{name: "round trips, one after the other", target: atMost(1)},
		}, prepare: func(ctx context.Context, b *bencher) (round, error) {
			images, err := b.inOneRepository(ctx, b.rounds()*sample)
			cold := coldRound(images)
			return func(ctx context.Context, s *server, n int) ([]float64, error) {
				if _, err := cold(ctx, s, n); err != nil {
					return nil, err
				}
				select {
				case <-time.After(1500 * time.Millisecond): // all that was read is older than its second
				case <-ctx.Done():
				}
				return cold(ctx, s, n)
			}, err
		}},
	{id: "tag", name: "a tag, mutated and then verified by what that says, 20 ms", latency: near, measures: []measure{
		{name: "both requests", unit: "ms"},
		{name: "calls an image"},
		{name: "calls made twice", target: atMost(0)},
	}, prepare: tagRounds},
	{id: "signatures", name: "10 images with 5 signatures each in one request, 50 ms", latency: far, measures: []measure{
		{name: "p95 of the requests", unit: "ms", target: atMost(1000)},
	}, prepare: func(ctx context.Context, b *bencher) (round, error) {
		const requests, each, signatures = 4, 10, 5
		images, err := b.newRepositories(ctx, b.rounds()*requests*each, signatures)
		return func(ctx context.Context, s *server, n int) ([]float64, error) {
			var took figures
			for chunk := range slices.Chunk(part(images, n, requests*each), each) {
				d, err := s.ask(ctx, references(chunk)...)
				if err != nil {
					return nil, err
				}
				took = append(took, milliseconds(d))
			}
			return []float64{quantile(took, 0.95)}, nil
		}, err
	}},
	{id: "burst", name: "burst of 200 clients with 200 new images, 20 ms", latency: near, measures: []measure{
		{name: "p50 of the clients", unit: "ms"},
		{name: "p95 of the clients", unit: "ms", target: ratio(2.5)},
	}, prepare: func(ctx context.Context, b *bencher) (round, error) {
		clients := b.scaled(200)
		images, err := b.newRepositories(ctx, b.rounds()*clients, 1)
		return func(ctx context.Context, s *server, n int) ([]float64, error) {
			took, err := s.crowd(ctx, clients, part(images, n, clients))
			return []float64{quantile(took, 0.5), quantile(took, 0.95)}, err
		}, err
	}},
	{id: "herd", name: "herd of 500 clients with one new image, 20 ms", latency: near, measures: []measure{
		{name: "calls for all", target: atMost(5)},
		{name: "p99 of the clients", unit: "ms"},
		{name: "p99 ÷ a request alone", target: atMost(1.3)},
	}, prepare: func(ctx context.Context, b *bencher) (round, error) {
		const clients, single = 500, 3
		images, err := b.newRepositories(ctx, b.rounds()*(single+1), 1)
		return func(ctx context.Context, s *server, n int) ([]float64, error) {
			mine := part(images, n, single+1)
			alone, err := s.askEach(ctx, mine[:single])
			if err != nil {
				return nil, err
			}
			b.cloud.ResetCalls()
			took, err := s.crowd(ctx, b.scaled(clients), mine[single:])
			return []float64{float64(b.calls()), quantile(took, 0.99), quantile(took, 0.99) / alone.median()}, err
		}, err
	}},
	{id: "warm", name: "a verdict that is known, 16 clients over TLS", serve: serveOptions{verdictTTL: time.Hour, tls: true}, measures: []measure{
		{name: "CPU a request", unit: "µs", target: ratio(3)},
		{name: "throughput", unit: "requests/s", more: true},
		{name: "in process: time a request", unit: "µs", target: atMost(20), alone: true},
		{name: "in process: allocations a request", target: atMost(40), alone: true},
	}, prepare: warmRounds},
	{id: "cpu", name: "cold verify in a new repository, 0 ms", measures: []measure{
		{name: "CPU an image", unit: "ms"},
		{name: "CPU ÷ notation-go's Verify and an HTTP exchange a call", target: atMost(1.5)},
	}, prepare: cpuRounds},
	{id: "memory", name: "10,000 distinct images and then 2,000 more, 0 ms", once: true, serve: serveOptions{metrics: true}, measures: []measure{
		{name: "largest RSS", unit: "MB", target: atMost(150)},
		{name: "RSS after the 2,000 ÷ before", target: atMost(1.1)},
		{name: "goroutines after the 2,000 ÷ before", target: atMost(1.1), alone: true},
	}, prepare: memoryRounds},
	{id: "start", name: "start", serve: serveOptions{cold: true}, measures: []measure{
		{name: "until readyz says yes", unit: "ms", target: atMost(500), alone: true},
		{name: "until the first image is admitted", unit: "ms"},
	}, prepare: startRounds},
	{id: "size", name: "binary, stripped", once: true, serve: serveOptions{cold: true}, measures: []measure{
		{name: "size", unit: "MB"},
		{name: "size ÷ upstream's", target: atMost(0.92), alone: true},
		{name: "slim build's size ÷ upstream's", target: atMost(0.4), alone: true},
	}, prepare: func(_ context.Context, b *bencher) (round, error) {
		return func(_ context.Context, s *server, _ int) ([]float64, error) {
			var sizes [3]float64
			for i, path := range []string{s.binary, b.options.upstream, b.options.slim} {
				info, err := os.Stat(path)
				if err != nil {
					return nil, err
				}
				sizes[i] = float64(info.Size()) / 1e6
			}
			return []float64{sizes[0], sizes[0] / sizes[1], sizes[2] / sizes[1]}, nil
		}, nil
	}},
}

// part returns the images of round n, of which there are size.
func part(images []image, n, size int) []image { return images[n*size : (n+1)*size] }

// coldRound asks about each image of a round once, and returns the median time, the calls an image, and the round trips that the fastest of them took one after
// the other, which are not more than its calls, however long its own work took.
func coldRound(images []image) round {
	return func(ctx context.Context, s *server, n int) ([]float64, error) {
		s.bench.cloud.ResetCalls()
		took, err := s.askEach(ctx, part(images, n, sample))
		if err != nil {
			return nil, err
		}
		calls := float64(s.bench.calls()) / sample
		return []float64{took.median(), calls, min(calls, math.Floor(slices.Min(took)/milliseconds(near)))}, nil
	}
}

// calls returns how many requests the cloud got since its counters were reset.
func (b *bencher) calls() int {
	all := 0
	for _, count := range b.cloud.Calls() {
		all += count
	}
	return all
}

// tagRounds mutates and verifies an image a round, in a repository of which each server has seen another image.
func tagRounds(ctx context.Context, b *bencher) (round, error) {
	images, err := b.inOneRepository(ctx, b.rounds()+1)
	return func(ctx context.Context, s *server, n int) ([]float64, error) {
		if n == 0 {
			if _, err := s.ask(ctx, images[len(images)-1].reference()); err != nil {
				return nil, err
			}
		}
		q, err := s.question("mutate", images[n].tagged())
		if err != nil {
			return nil, err
		}
		b.cloud.ResetCalls()
		start := time.Now()
		answer, err := s.send(ctx, q)
		if err != nil {
			return nil, err
		}
		var mutated struct {
			Response struct {
				Items []struct {
					Value string `json:"value"`
				} `json:"items"`
			} `json:"response"`
		}
		if err := json.Unmarshal(answer, &mutated); err != nil {
			return nil, fmt.Errorf("mutated to %s: %w", answer, err)
		}
		items := mutated.Response.Items
		if len(items) != 1 || !strings.Contains(items[0].Value, images[n].digest) {
			return nil, fmt.Errorf("mutated to %s, not to %s", answer, images[n].digest)
		}
		if _, err := s.ask(ctx, items[0].Value); err != nil {
			return nil, err
		}
		took := milliseconds(time.Since(start))
		// Each call of one image's verification is another action, so that an action counted twice is a call made twice.
		return []float64{took, float64(b.calls()), float64(b.calls() - len(b.cloud.Calls()))}, nil
	}, err
}
