package main

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// sweep is a scenario that asks the same at several points, which shows how cost grows.
type sweep struct {
	// axis names the points.
	axis   string
	points []float64
	series []series
}

// series is what is measured at each point.
type series struct {
	name, unit string
	// model is what the page on capacity says of our figures, given what was measured at the points.
	model func(points, ours []float64) []float64
}

// The points of the sweeps.
var (
	roundTrips     = []float64{0, 5, 10, 20, 50}
	signatureCount = []float64{1, 4, 8, 16, 32}
	podRates       = []float64{1000, 3000, 10_000}
)

// sweeps are run after the scenarios.
var sweeps = []scenario{
	{id: "round-trip", name: "cold verify in a new repository, by the round trip to the registry",
		sweep: sweep{axis: "round trip (ms)", points: roundTrips, series: []series{{"one image", "ms", byTrips}}}, prepare: roundTripSweep},
	{id: "by-signatures", name: "cold verify in a new repository, by the signatures of the image, 20 ms", latency: near,
		sweep: sweep{axis: "signatures", points: signatureCount, series: []series{{"one image", "ms", inBatches}}}, prepare: signatureSweep},
	{id: "pods", name: "pods with one new image each, by their number, 20 ms", latency: near,
		sweep: sweep{axis: "pods a minute", points: podRates, series: []series{{"p95", "ms", nil}, {"cores used", "", straight}}}, prepare: podSweep},
}

// newTrips are the round trips for a new image of a new repository: the token, the subject with its referrers, the signature's manifest, its blob.
const newTrips = 4

// perPoint is how many images a round asks about at each point.
const perPoint = 3

// byTrips is the time of the first point, which has no round-trip time, and the round trips that a new image of a new repository takes.
func byTrips(points, ours []float64) []float64 {
	var model []float64
	for _, point := range points {
		model = append(model, ours[0]+newTrips*(point-points[0]))
	}
	return model
}

// straight is the line through the first and the last point.
func straight(points, ours []float64) []float64 {
	first, last := 0, len(points)-1
	slope := (ours[last] - ours[first]) / (points[last] - points[first])
	var model []float64
	for _, point := range points {
		model = append(model, ours[first]+slope*(point-points[first]))
	}
	return model
}

// inBatches is the time of the first point, two round trips for each further batch of sixteen signatures, and for each signature its share of what is
// left at the last point.
func inBatches(points, ours []float64) []float64 {
	const batch, trips = 16, 2
	waits := func(signatures float64) float64 {
		return (math.Ceil(signatures/batch) - 1) * trips * milliseconds(near)
	}
	last := len(points) - 1
	each := max(0, ours[last]-ours[0]-waits(points[last])) / (points[last] - points[0])
	var model []float64
	for _, point := range points {
		model = append(model, ours[0]+waits(point)+each*(point-points[0]))
	}
	return model
}

// measures are one for each point of each series.
func (s sweep) measures() []measure {
	var all []measure
	for _, of := range s.series {
		for _, point := range s.points {
			all = append(all, measure{name: fmt.Sprintf("%s, %s %s", of.name, s.axis, number(point)), unit: of.unit})
		}
	}
	return all
}

func roundTripSweep(ctx context.Context, b *bencher) (round, error) {
	images, err := b.newRepositories(ctx, b.rounds()*perPoint*len(roundTrips), 1)
	return func(ctx context.Context, s *server, n int) ([]float64, error) {
		defer b.setLatency(0)
		var values []float64
		for i, point := range roundTrips {
			b.setLatency(time.Duration(point) * time.Millisecond)
			took, err := s.askEach(ctx, part(images, n*len(roundTrips)+i, perPoint))
			if err != nil {
				return nil, err
			}
			values = append(values, took.median())
		}
		return values, nil
	}, err
}

func signatureSweep(ctx context.Context, b *bencher) (round, error) {
	images := make(map[float64][]image)
	for _, signatures := range signatureCount {
		var err error
		if images[signatures], err = b.newRepositories(ctx, b.rounds()*perPoint, int(signatures)); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, s *server, n int) ([]float64, error) {
		var values []float64
		for _, signatures := range signatureCount {
			took, err := s.askEach(ctx, part(images[signatures], n, perPoint))
			if err != nil {
				return nil, err
			}
			values = append(values, took.median())
		}
		return values, nil
	}, nil
}

// podSeconds is how long pods come at each rate.
const podSeconds = 3

func podSweep(ctx context.Context, b *bencher) (round, error) {
	images := make(map[float64][]image)
	for _, perMinute := range podRates {
		var err error
		if images[perMinute], err = b.newRepositories(ctx, b.rounds()*int(perMinute)*podSeconds/60, 1); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, s *server, n int) ([]float64, error) {
		var times, cores []float64
		for _, perMinute := range podRates {
			before, err := s.cpu()
			if err != nil {
				return nil, err
			}
			start := time.Now()
			took, err := s.stream(ctx, part(images[perMinute], n, int(perMinute)*podSeconds/60), time.Duration(float64(time.Minute)/perMinute))
			if err != nil {
				return nil, err
			}
			after, err := s.cpu()
			if err != nil {
				return nil, err
			}
			times = append(times, quantile(took, 0.95))
			cores = append(cores, float64(after-before)/float64(time.Since(start)))
		}
		return append(times, cores...), nil
	}, nil
}

// stream asks about an image every so often, whether the answers come or not, and returns how long each took in ms.
func (s *server) stream(ctx context.Context, images []image, every time.Duration) (figures, error) {
	took := make(figures, len(images))
	errs := make([]error, len(images))
	start := time.Now()
	var all sync.WaitGroup
	for i, image := range images {
		select {
		case <-time.After(time.Until(start.Add(time.Duration(i) * every))):
		case <-ctx.Done():
		}
		all.Go(func() {
			var d time.Duration
			d, errs[i] = s.ask(ctx, image.reference())
			took[i] = milliseconds(d)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}
