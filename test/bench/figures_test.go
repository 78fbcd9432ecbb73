package main

import (
	"math"
	"testing"
)

func TestFigures(t *testing.T) {
	for _, tt := range []struct {
		figures  figures
		median   float64
		low      float64
		high     float64
		rendered string
	}{
		{nil, 0, 0, 0, "–"},
		{figures{3}, 3, 3, 3, "3"},
		{figures{4, 1, 3, 2}, 2.5, 1.75, 3.25, "2.50 (1.75–3.25)"},
		{figures{300, 100, 200}, 200, 150, 250, "200 (150–250)"},
		{figures{12.34, 12.34, 12.34}, 12.34, 12.34, 12.34, "12.3 (12.3–12.3)"},
	} {
		if low, high := tt.figures.spread(); tt.figures.median() != tt.median || low != tt.low || high != tt.high || tt.figures.String() != tt.rendered {
			t.Errorf("%v: median %v, quartiles %v and %v, %q; want %v, %v, %v, %q",
				[]float64(tt.figures), tt.figures.median(), low, high, tt.figures, tt.median, tt.low, tt.high, tt.rendered)
		}
	}
}

func TestTarget(t *testing.T) {
	for _, tt := range []struct {
		target          target
		measure         measure
		theirs, mine    figures
		ratio           float64
		shown, verdicts string
	}{
		{ratio(2.9), measure{}, figures{290}, figures{100}, 2.9, "≥ 2.90×", "met"},
		{ratio(3), measure{}, figures{290}, figures{100}, 2.9, "≥ 3×", "**missed**"},
		{ratio(2), measure{more: true}, figures{100}, figures{300}, 3, "≥ 2×", "met"},
		{ratio(2), measure{}, nil, figures{100}, 0, "≥ 2×", "**missed**"}, // nothing to compare is no success
		{atMost(5), measure{}, figures{12}, figures{5}, 2.4, "≤ 5", "met"},
		{atMost(0), measure{}, figures{7}, figures{0}, 0, "≤ 0", "met"},
		{atMost(4), measure{alone: true}, nil, figures{5}, 0, "≤ 4", "**missed**"},
		{target{}, measure{}, figures{2}, figures{1}, 2, "shown", ""},
	} {
		tt.measure.target = tt.target
		r := row{tt.measure, tt.theirs, tt.mine}
		if math.Abs(r.ratio()-tt.ratio) > 1e-9 || tt.target.String() != tt.shown || r.verdict() != tt.verdicts {
			t.Errorf("%v of %v and %v: ratio %v, %q, %q; want %v, %q, %q", tt.target, tt.theirs, tt.mine, r.ratio(), tt.target, r.verdict(), tt.ratio, tt.shown, tt.verdicts)
		}
	}
}

func TestModels(t *testing.T) {
	for _, tt := range []struct {
		name              string
		model             func(points, ours []float64) []float64
		points, ours, say []float64
	}{
		{"straight", straight, []float64{0, 10, 20}, []float64{5, 100, 45}, []float64{5, 25, 45}},
		{"round trips", byTrips, []float64{0, 10, 20}, []float64{5, 100, 90}, []float64{5, 45, 85}},
		{"batches", inBatches, []float64{1, 16, 32, 33}, []float64{100, 0, 0, 196}, []float64{100, 107.5, 155.5, 196}},
	} {
		for i, got := range tt.model(tt.points, tt.ours) {
			if math.Abs(got-tt.say[i]) > 1e-9 {
				t.Errorf("%s at %v: %v, want %v", tt.name, tt.points[i], got, tt.say[i])
			}
		}
	}
}

func TestFurthest(t *testing.T) {
	if off := furthest([]float64{1, 12, 18, 3}, []float64{1, 10, 20, 0}); math.Abs(off-0.2) > 1e-9 {
		t.Errorf("off by %v, want 0.2", off)
	}
}
