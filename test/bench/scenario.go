package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

const (
	rounds      = 7
	roundsQuick = 2
)

// scenario is a row of the table, or some: what is asked, and what is measured then.
type scenario struct {
	id, name string
	// latency is that of each answer of the cloud.
	latency time.Duration
	serve   serveOptions
	// once says that there is one round only, which is long.
	once     bool
	measures []measure
	sweep    sweep // instead of measures
	// prepare pushes the images and returns what a round is, which returns a figure for each measure.
	prepare func(ctx context.Context, b *bencher) (round, error)
}

// round measures a server. Each number is for one round of both servers, so that both can be asked about the same images.
type round func(ctx context.Context, s *server, number int) ([]float64, error)

// measure is something that has a figure.
type measure struct {
	name, unit string
	// more says that more is better. Else less is.
	more   bool
	target target
	// alone says that upstream has no such figure.
	alone bool
}

// result is what came out of a scenario.
type result struct {
	scenario scenario
	rows     []row
	// failed are the requests without a verdict that admits, by server; every image is one that verifies.
	failed [2]int
}

// row is what came out of a measure.
type row struct {
	measure        measure
	upstream, ours figures
}

// verdict says whether the target is met.
func (r row) verdict() string { return r.measure.target.verdict(r.ratio(), r.ours.median()) }

// ratio returns how many times better ours is; 0 if there is nothing to compare.
func (r row) ratio() float64 {
	theirs, mine := r.upstream.median(), r.ours.median()
	if r.measure.alone || theirs <= 0 || mine <= 0 {
		return 0
	}
	if r.measure.more {
		return mine / theirs
	}
	return theirs / mine
}

// The servers, in the order in which they are started.
const (
	upstream = iota
	ours
)

// measure runs a scenario.
func (b *bencher) measure(ctx context.Context, s scenario) (r result, err error) {
	s.measures = append(s.measures, s.sweep.measures()...)
	r.scenario = s
	for _, m := range s.measures {
		r.rows = append(r.rows, row{measure: m})
	}
	do, err := s.prepare(ctx, b)
	if err != nil {
		return r, fmt.Errorf("prepare: %w", err)
	}
	var servers [2]*server
	defer func() {
		for i, server := range servers {
			if server != nil {
				r.failed[i] = int(server.failed.Load())
				err = errors.Join(err, server.stop())
			}
		}
	}()
	for i, binary := range []string{b.options.upstream, b.options.ours} {
		if servers[i], err = b.start(ctx, binary, s.serve, filepath.Join(b.dir, fmt.Sprint(s.id, i))); err != nil {
			return r, err
		}
	}
	b.setLatency(s.latency)
	defer b.setLatency(0)
	many := b.rounds()
	if s.once {
		many = 1
	}
	for number := range many {
		for turn := range servers {
			i := (turn + number) % 2 // who is first takes turns, too
			values, err := do(ctx, servers[i], number)
			if err != nil {
				return r, fmt.Errorf("%s: %w", filepath.Base(servers[i].binary), err)
			}
			for m, value := range values {
				side := &r.rows[m].upstream
				if i == ours {
					side = &r.rows[m].ours
				}
				if i == ours || !s.measures[m].alone {
					*side = append(*side, value)
				}
			}
		}
	}
	return r, nil
}

// rounds returns how many rounds there are of scenarios that have more than one.
func (b *bencher) rounds() int {
	if b.options.quick {
		return roundsQuick
	}
	return rounds
}

// scaled returns a number of images, or a tenth of it if the run is quick.
func (b *bencher) scaled(n int) int {
	if b.options.quick {
		return max(1, n/10)
	}
	return n
}
