package main

import (
	"fmt"
	"slices"
	"strconv"
)

// figures are those of a measure, one a round.
type figures []float64

// median returns 0 if there are none.
func (f figures) median() float64 { return quantile(f, 0.5) }

// spread returns the quartiles.
func (f figures) spread() (low, high float64) { return quantile(f, 0.25), quantile(f, 0.75) }

// String returns the median, and the quartiles if there are several figures.
func (f figures) String() string {
	if len(f) == 0 {
		return "–"
	}
	if len(f) == 1 {
		return number(f[0])
	}
	low, high := f.spread()
	return fmt.Sprintf("%s (%s–%s)", number(f.median()), number(low), number(high))
}

// quantile interpolates between the two nearest figures.
func quantile(f []float64, q float64) float64 {
	if len(f) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f))
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// number has three significant digits, or all before the point.
func number(f float64) string {
	switch {
	case f >= 100 || f == float64(int(f)):
		return strconv.FormatFloat(f, 'f', 0, 64)
	case f >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

// target is what a measure should come to. The zero value is none: the figure is only shown.
type target struct {
	ratio  float64 // ours is to be better by this factor at least
	atMost float64 // ours is to be this at most
	set    bool
}

func ratio(atLeast float64) target { return target{ratio: atLeast, set: true} }

func atMost(limit float64) target { return target{atMost: limit, set: true} }

func (t target) String() string {
	switch {
	case !t.set:
		return "shown"
	case t.ratio > 0:
		return "≥ " + number(t.ratio) + "×"
	}
	return "≤ " + number(t.atMost)
}

// verdict says whether it is met.
func (t target) verdict(ratio, ours float64) string {
	switch {
	case !t.set:
		return ""
	case t.ratio > 0 && ratio >= t.ratio, t.ratio == 0 && ours <= t.atMost:
		return "met"
	}
	return "**missed**"
}
