package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// The size of line plots and their parts, in pixels.
const (
	linesWidth, linesHeight = 620, 360
	linesLeft, linesTop     = 60, 50
	linesRight, linesBottom = 20, 50
)

// drawLines draws a series of a sweep: both servers, each with its spread, and the model as a dashed line.
func drawLines(s sweep, of series, rows []row) string {
	top := 0.0
	for _, r := range rows {
		_, theirs := r.upstream.spread()
		_, mine := r.ours.spread()
		top = max(top, theirs, mine)
	}
	right := slices.Max(s.points)
	x := func(point float64) float64 { return linesLeft + point/right*(linesWidth-linesLeft-linesRight) }
	y := func(value float64) float64 {
		return linesHeight - linesBottom - value/max(top, 1e-9)*(linesHeight-linesTop-linesBottom)
	}
	name := of.name
	if of.unit != "" {
		name += " (" + of.unit + ")"
	}
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", linesWidth, linesHeight)
	fmt.Fprintf(&svg, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	fmt.Fprintf(&svg, `<text x="10" y="22" font-size="15" font-weight="bold">%s</text>`+"\n", html.EscapeString(name+" by "+s.axis))
	fmt.Fprintf(&svg, `<rect x="%d" y="32" width="12" height="10" fill="%s"/><text x="%d" y="41">upstream</text>`, linesLeft, upstreamColour, linesLeft+17)
	fmt.Fprintf(&svg, `<rect x="%d" y="32" width="12" height="10" fill="%s"/><text x="%d" y="41">ours (dashed: the model)</text>`+"\n", linesLeft+90, oursColour, linesLeft+107)
	for i := range 5 {
		value := top * float64(i) / 4
		fmt.Fprintf(&svg, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1[3]f" stroke="#e5e5e5"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			linesLeft, linesWidth-linesRight, y(value), linesLeft-6, y(value)+4, number(value))
	}
	for _, point := range s.points {
		fmt.Fprintf(&svg, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(point), linesHeight-linesBottom+18, number(point))
	}
	fmt.Fprintf(&svg, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (linesLeft+linesWidth)/2, linesHeight-12, html.EscapeString(s.axis))
	draw := func(values []float64, style string) {
		var path []string
		for i, value := range values {
			path = append(path, fmt.Sprintf("%.1f,%.1f", x(s.points[i]), y(value)))
		}
		fmt.Fprintf(&svg, `<polyline points="%s" fill="none" %s/>`+"\n", strings.Join(path, " "), style)
	}
	var theirs []float64
	for i, r := range rows {
		theirs = append(theirs, r.upstream.median())
		for _, side := range []figures{r.upstream, r.ours} {
			low, high := side.spread()
			fmt.Fprintf(&svg, `<line x1="%.1f" x2="%.1[1]f" y1="%.1f" y2="%.1f" stroke="black"/>`+"\n", x(s.points[i]), y(low), y(high))
		}
	}
	draw(theirs, `stroke="`+upstreamColour+`" stroke-width="2"`)
	draw(medians(rows), `stroke="`+oursColour+`" stroke-width="2"`)
	if of.model != nil {
		draw(of.model(s.points, medians(rows)), `stroke="`+oursColour+`" stroke-dasharray="4 4"`)
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}
