package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPage(t *testing.T) {
	cold := result{scenario: scenario{id: "cold", name: "cold verify"}, failed: [2]int{3, 0}, rows: []row{
		{measure{name: "one image", unit: "ms", target: ratio(2)}, figures{300, 310, 320}, figures{100, 110, 120}},
		{measure{name: "calls <an image>", target: atMost(4)}, figures{12}, figures{5}},
		{measure{name: "in process", unit: "µs", alone: true}, nil, figures{20}},
	}}
	s := sweep{axis: "round trip (ms)", points: []float64{0, 20}, series: []series{{"one image", "ms", straight}, {"p95", "ms", nil}}}
	grown := result{scenario: scenario{id: "round-trip", name: "by the round trip", sweep: s}}
	for i, m := range s.measures() {
		grown.rows = append(grown.rows, row{m, figures{float64(10 + i)}, figures{float64(1 + i)}})
	}
	path := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := (page{started: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), results: []result{cold, grown}}).write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"21 November 2026",
		"| cold verify | one image (ms) | 310 (305–315) | 110 (105–115) | 2.82× | ≥ 2× | met |",
		"|  | calls <an image> | 12 | 5 | 2.40× | ≤ 4 | **missed** |",
		"|  | in process (µs) | – | 20 |  | shown |  |",
		"1 targets are met, 1 are missed.",
		"3 requests to upstream had no verdict",
		"## By the round trip",
		"| 20 | 11 | 2 | 2 | 13 | 4 |  |",
		"The model of \"one image\" is off by 0 % at most.",
		"](benchmarks/latency.svg)", "](benchmarks/round-trip-1.svg)",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	plots, err := filepath.Glob(filepath.Join(filepath.Dir(path), "benchmarks", "*.svg"))
	if err != nil || len(plots) != 4 {
		t.Fatalf("plots %v, %v", plots, err)
	}
	for _, plot := range plots {
		svg, err := os.ReadFile(plot)
		if err != nil {
			t.Fatal(err)
		}
		for decoder := xml.NewDecoder(strings.NewReader(string(svg))); ; {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", plot, err)
			}
		}
		if strings.Contains(string(svg), "NaN") || strings.Contains(string(svg), "%!") {
			t.Errorf("%s: %s", plot, svg)
		}
	}
}
