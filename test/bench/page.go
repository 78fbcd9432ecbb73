package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// page is what is written at the end.
type page struct {
	quick   bool
	started time.Time
	results []result
}

// write writes the page, and its plots beside it.
func (p page) write(path string) error {
	folder := strings.TrimSuffix(path, filepath.Ext(path))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var plots []string
	for _, plot := range p.plots() {
		if err := os.WriteFile(filepath.Join(folder, plot.name+".svg"), []byte(plot.svg), 0o644); err != nil {
			return err
		}
		plots = append(plots, fmt.Sprintf("![%s](%s/%s.svg)\n", plot.title, filepath.Base(folder), plot.name))
	}
	return os.WriteFile(path, []byte(p.text(plots)), 0o644)
}

func (p page) text(plots []string) string {
	var text strings.Builder
	fmt.Fprintf(&text, `# Benchmarks

`+"`make bench`"+` wrote this page on %s, on %d cores (%s/%s, %s). It runs our binary and upstream's (Ratify v1.4.6, built from its
module) side by side: the same config.json with the values of Ratify's chart, the same images, and the same emulated cloud, whose answers are late by
the time that the scenario names. Images have one Notation signature (JWS, ECDSA P-256, a chain of three) and are in a registry with Bearer tokens behind a Container
Registry name, unless said. Both servers have verified one image before, so that they have the cloud's credentials, unless said.

A round asks each server, and who is first takes turns. A figure is the median of %d rounds, with the quartiles in parentheses; a ratio is how many times better
ours is. The cloud, the clients and the servers share the cores%s: small latencies and high percentiles are those of a busy machine, on both sides.
`, p.started.UTC().Format("2 January 2006"), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), p.rounds(), load())
	if p.quick {
		text.WriteString("\n**This was a quick run, which shows that everything runs, and no more.**\n")
	}
	text.WriteString("\n| scenario | measure | upstream | ours | ratio | target | |\n|---|---|---|---|---|---|---|\n")
	met, missed := 0, 0
	for _, r := range p.results {
		if len(r.scenario.sweep.points) > 0 {
			continue
		}
		name := r.scenario.name
		for _, row := range r.rows {
			unit := row.measure.unit
			if unit != "" {
				unit = " (" + unit + ")"
			}
			ratio := ""
			if row.ratio() > 0 {
				ratio = number(row.ratio()) + "×"
			}
			fmt.Fprintf(&text, "| %s | %s%s | %s | %s | %s | %s | %s |\n", name, row.measure.name, unit, row.upstream, row.ours, ratio, row.measure.target, row.verdict())
			name = ""
			switch row.verdict() {
			case "met":
				met++
			case "":
			default:
				missed++
			}
		}
	}
	fmt.Fprintf(&text, "\n%d targets are met, %d are missed.\n", met, missed)
	for _, r := range p.results {
		for i, who := range []string{"upstream", "ours"} {
			if r.failed[i] > 0 {
				fmt.Fprintf(&text, "\nIn %q, %d requests to %s had no verdict that admits, though every image is to be admitted; their time counts all the same.\n",
					r.scenario.name, r.failed[i], who)
			}
		}
	}
	text.WriteString("\n")
	for _, plot := range plots {
		text.WriteString(plot)
	}
	for _, r := range p.results {
		if len(r.scenario.sweep.points) > 0 {
			text.WriteString(r.growth())
		}
	}
	return text.String()
}

// load tells how busy the machine is; nothing where that is not known.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	minute, _, _ := strings.Cut(string(text), " ")
	return ", and the load average was " + minute + " at the end"
}

// growth is the table of a sweep.
func (r result) growth() string {
	var text strings.Builder
	s := r.scenario.sweep
	fmt.Fprintf(&text, "\n## %s%s\n\n| %s |", strings.ToUpper(r.scenario.name[:1]), r.scenario.name[1:], s.axis)
	for _, of := range s.series {
		name := of.name
		if of.unit != "" {
			name += " (" + of.unit + ")"
		}
		fmt.Fprintf(&text, " %s: upstream | ours | ours by [the model](capacity.md) |", name)
	}
	text.WriteString("\n|---|" + strings.Repeat("---|", 3*len(s.series)) + "\n")
	for i, point := range s.points {
		fmt.Fprintf(&text, "| %s |", number(point))
		for j, of := range s.series {
			rows := r.rows[j*len(s.points):][:len(s.points)]
			model := ""
			if of.model != nil {
				model = number(of.model(s.points, medians(rows))[i])
			}
			fmt.Fprintf(&text, " %s | %s | %s |", rows[i].upstream, rows[i].ours, model)
		}
		text.WriteString("\n")
	}
	for j, of := range s.series {
		if of.model != nil {
			mine := medians(r.rows[j*len(s.points):][:len(s.points)])
			fmt.Fprintf(&text, "\nThe model of %q is off by %.0f %% at most.\n", of.name, 100*furthest(of.model(s.points, mine), mine))
		}
	}
	return text.String()
}

// furthest returns the largest share by which a model is off what was measured.
func furthest(model, measured []float64) float64 {
	off := 0.0
	for i, value := range measured {
		if value > 0 {
			off = max(off, math.Abs(model[i]-value)/value)
		}
	}
	return off
}

// medians are those of our figures.
func medians(rows []row) []float64 {
	var all []float64
	for _, r := range rows {
		all = append(all, r.ours.median())
	}
	return all
}

func (p page) rounds() int {
	if p.quick {
		return roundsQuick
	}
	return rounds
}
