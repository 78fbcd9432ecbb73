package main

import (
	"fmt"
	"html"
	"strings"
)

// plot is an SVG image.
type plot struct{ name, title, svg string }

// The size of plots and their parts, in pixels.
const (
	plotWidth = 860
	barHeight = 14
	barGap    = 18
	labelLeft = 330
	barsWidth = plotWidth - labelLeft - 120
)

// The colours of the two servers, which also differ in grey.
const (
	upstreamColour = "#b9bec7"
	oursColour     = "#d9541e"
)

// plots draws the results.
func (p page) plots() []plot {
	var plots []plot
	for _, unit := range []struct{ name, of, title string }{
		{"latency", "ms", "Time and CPU in milliseconds (less is better)"},
		{"factor", "", "Calls, round trips and ratios (less is better)"},
	} {
		var bars []bar
		for _, r := range p.results {
			for _, row := range r.rows {
				if len(r.scenario.sweep.points) == 0 && row.measure.unit == unit.of && len(row.upstream) > 0 && len(row.ours) > 0 && r.scenario.id != "size" {
					bars = append(bars, bar{r.scenario.id + ": " + row.measure.name, row.upstream, row.ours})
				}
			}
		}
		if len(bars) > 0 {
			plots = append(plots, plot{unit.name, unit.title, drawBars(unit.title, bars)})
		}
	}
	for _, r := range p.results {
		for i, of := range r.scenario.sweep.series {
			n := len(r.scenario.sweep.points)
			plots = append(plots, plot{fmt.Sprintf("%s-%d", r.scenario.id, i+1), of.name + " by " + r.scenario.sweep.axis, drawLines(r.scenario.sweep, of, r.rows[i*n:][:n])})
		}
	}
	return plots
}

// bar is a pair of bars.
type bar struct {
	name           string
	upstream, ours figures
}

// drawBars draws pairs of bars, each pair on a scale of its own, with the spread between the quartiles as a line.
func drawBars(title string, bars []bar) string {
	pair := 2*barHeight + barGap
	height := 60 + len(bars)*pair
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height)
	fmt.Fprintf(&svg, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	fmt.Fprintf(&svg, `<text x="10" y="22" font-size="15" font-weight="bold">%s</text>`+"\n", html.EscapeString(title))
	fmt.Fprintf(&svg, `<rect x="%d" y="32" width="12" height="10" fill="%s"/><text x="%d" y="41">upstream</text>`, labelLeft, upstreamColour, labelLeft+17)
	fmt.Fprintf(&svg, `<rect x="%d" y="32" width="12" height="10" fill="%s"/><text x="%d" y="41">ours</text>`+"\n", labelLeft+90, oursColour, labelLeft+107)
	for i, b := range bars {
		y := 56 + i*pair
		_, largest := b.upstream.spread()
		if _, high := b.ours.spread(); high > largest {
			largest = high
		}
		fmt.Fprintf(&svg, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelLeft-10, y+barHeight+4, html.EscapeString(b.name))
		for j, side := range []struct {
			figures figures
			colour  string
		}{{b.upstream, upstreamColour}, {b.ours, oursColour}} {
			drawBar(&svg, y+j*barHeight, side.figures, side.colour, largest)
		}
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}

func drawBar(svg *strings.Builder, y int, f figures, colour string, largest float64) {
	scale := func(value float64) float64 {
		if largest <= 0 {
			return 0
		}
		return value / largest * barsWidth
	}
	low, high := f.spread()
	middle := float64(y) + barHeight/2
	fmt.Fprintf(svg, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, labelLeft, y, scale(f.median()), barHeight-2, colour)
	fmt.Fprintf(svg, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%[3]f" stroke="black"/>`, labelLeft+scale(low), labelLeft+scale(high), middle-1)
	fmt.Fprintf(svg, `<text x="%.1f" y="%.1f" font-size="11">%s</text>`+"\n", labelLeft+scale(high)+6, middle+3, number(f.median()))
}
