package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// plot is a small chart of lines over steps that are labelled, not scaled.
type plot struct {
	title, unit string
	steps       []string
	lines       []line
}

type line struct {
	name   string
	values []float64
}

const (
	plotWidth, plotHeight = 420, 240
	plotLeft, plotRight   = 52, 16
	plotTop, plotBottom   = 44, 48
)

var plotColours = []string{"#1f6feb", "#d1242f", "#1a7f37", "#8250df"}

// svg draws the plot on a light ground, so that it can be read on any page.
func (p plot) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="11">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><text x="%d" y="16" font-size="13">%s</text>`+"\n", plotWidth, plotHeight, plotLeft, p.title)
	top := ceiling(p.lines)
	y := func(v float64) float64 { return plotHeight - plotBottom - v/top*(plotHeight-plotTop-plotBottom) }
	x := func(i int) float64 {
		return plotLeft + 20 + float64(i)*(plotWidth-plotLeft-plotRight-60)/float64(max(1, len(p.steps)-1))
	}
	for i := range 5 {
		v := top * float64(i) / 4
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.3g</text>`+"\n", plotLeft, y(v), plotWidth-plotRight, plotLeft-6, y(v)+4, v)
	}
	for i, step := range p.steps {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(i), plotHeight-plotBottom+16, step)
	}
	for n, l := range p.lines {
		points := make([]string, len(l.values))
		for i, v := range l.values {
			points[i] = fmt.Sprintf("%.1f,%.1f", x(i), y(v))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/><text x="%.1f" y="%.1f" text-anchor="middle">%.3g</text>`+"\n", x(i), y(v), plotColours[n], x(i), y(v)-6, v)
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s"/>`+"\n", strings.Join(points, " "), plotColours[n])
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", plotLeft+n*180, plotHeight-10, plotColours[n], l.name)
	}
	fmt.Fprintf(&b, `<text x="%d" y="32" fill="#666">%s</text>`+"\n</svg>\n", plotLeft, p.unit)
	return b.String()
}

// ceiling is the smallest of 1, 2, 4, 5 and 8 times a power of ten that no value exceeds.
func ceiling(lines []line) float64 {
	highest := 0.0
	for _, l := range lines {
		for _, v := range l.values {
			highest = max(highest, v)
		}
	}
	for power := 1e-3; power < 1e12; power *= 10 {
		for _, m := range []float64{1, 2, 4, 5, 8} {
			if m*power >= highest {
				return m * power
			}
		}
	}
	return highest
}

func (b *bench) draw(name string, p plot) error {
	return os.WriteFile(filepath.Join(b.results, name+".svg"), []byte(p.svg()), 0o644)
}
