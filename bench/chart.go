package bench

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"math"
)

// A Chart is drawn as SVG that reads on light and dark ground.
type Chart struct {
	Title string
	Unit  string // of the values
	Log   bool   // a logarithmic axis, for values of different magnitude
	Bars  []Bar  // horizontal bars; Lines is not looked at
	Lines []Line // curves over X
	X     []string
}

// A Bar is one value with its name. Group begins a new block where it changes.
type Bar struct {
	Group, Label string
	Value        float64
	Mark         bool // drawn to stand out
}

// A Line is one curve, a value for each of X.
type Line struct {
	Label  string
	Values []float64
}

// Colours that differ in hue and lightness, so that they are told apart in
// grey and by most eyes.
var palette = []string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"}

const (
	chartWidth = 760
	ink        = "#777"
)

// WriteSVG draws the chart.
func (c *Chart) WriteSVG(w io.Writer) error {
	var b bytes.Buffer
	height := 320
	if len(c.Bars) > 0 {
		height = c.barHeight()
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="%s">`+"\n", chartWidth, height, ink)
	fmt.Fprintf(&b, `<title>%s</title>`+"\n", html.EscapeString(c.Title))
	c.text(&b, 10, 20, "start", "bold", c.Title)
	if len(c.Bars) > 0 {
		c.bars(&b)
	} else {
		c.lines(&b, height)
	}
	b.WriteString("</svg>\n")
	_, err := w.Write(b.Bytes())
	return err
}

func (c *Chart) text(b *bytes.Buffer, x, y float64, anchor, weight, s string) {
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" text-anchor="%s" font-weight="%s">%s</text>`+"\n", x, y, anchor, weight, html.EscapeString(s))
}

// scale maps a value to a share of the axis, [0, 1].
func (c *Chart) scale(lo, hi float64) func(v float64) float64 {
	if !c.Log {
		return func(v float64) float64 { return max(v, 0) / hi }
	}
	lo, hi = math.Floor(math.Log10(lo)), math.Log10(hi)
	return func(v float64) float64 {
		if v <= 0 {
			return 0
		}
		return (math.Log10(v) - lo) / max(hi-lo, 1e-9)
	}
}

// extent is the least value above zero and the greatest.
func extent(values func(yield func(float64))) (lo, hi float64) {
	lo, hi = math.Inf(1), 0
	values(func(v float64) {
		hi = max(hi, v)
		if v > 0 {
			lo = min(lo, v)
		}
	})
	if hi == 0 {
		return 1, 1
	}
	return lo, hi
}

const (
	barStep  = 16
	groupGap = 22
)

func (c *Chart) barHeight() int {
	h, group := 40, ""
	for i, bar := range c.Bars {
		if i == 0 || bar.Group != group {
			h += groupGap
			group = bar.Group
		}
		h += barStep
	}
	return h + 10
}

func (c *Chart) bars(b *bytes.Buffer) {
	lo, hi := extent(func(yield func(float64)) {
		for _, bar := range c.Bars {
			yield(bar.Value)
		}
	})
	at := c.scale(lo, hi)
	const left, room = 150.0, 510.0
	y, group := 30.0, ""
	for i, bar := range c.Bars {
		if i == 0 || bar.Group != group {
			group = bar.Group
			y += groupGap
			c.text(b, 10, y-4, "start", "bold", group)
		}
		colour := palette[4]
		if bar.Mark {
			colour = palette[0]
		}
		width := max(room*at(bar.Value), 1)
		c.text(b, left-6, y+11, "end", "normal", bar.Label)
		fmt.Fprintf(b, `<rect x="%.0f" y="%.0f" width="%.1f" height="12" fill="%s"/>`+"\n", left, y, width, colour)
		c.text(b, left+width+5, y+10, "start", "normal", human(bar.Value)+" "+c.Unit)
		y += barStep
	}
}

func (c *Chart) lines(b *bytes.Buffer, height int) {
	lo, hi := extent(func(yield func(float64)) {
		for _, l := range c.Lines {
			for _, v := range l.Values {
				yield(v)
			}
		}
	})
	at := c.scale(lo, hi)
	const left, right, top = 90.0, 20.0, 45.0
	bottom := float64(height - 40)
	y := func(v float64) float64 { return bottom - (bottom-top)*at(v) }
	for i := 0; i <= 4; i++ {
		v := hi * float64(i) / 4
		if c.Log {
			v = math.Pow(10, math.Floor(math.Log10(lo))+float64(i)/4*(math.Log10(hi)-math.Floor(math.Log10(lo))))
		}
		fmt.Fprintf(b, `<line x1="%.0f" x2="%d" y1="%.1f" y2="%.1f" stroke="%s" stroke-opacity=".25"/>`+"\n", left, chartWidth-int(right), y(v), y(v), ink)
		c.text(b, left-6, y(v)+4, "end", "normal", human(v)+" "+c.Unit)
	}
	n := len(c.X)
	x := func(i int) float64 {
		return left + (chartWidth-left-right)*float64(i)/float64(max(n-1, 1))
	}
	for i, label := range c.X {
		if label != "" {
			c.text(b, x(i), bottom+18, "middle", "normal", label)
		}
	}
	for k, l := range c.Lines {
		fmt.Fprintf(b, `<polyline fill="none" stroke-width="2" stroke="%s" points="`, palette[k%len(palette)])
		for i, v := range l.Values {
			fmt.Fprintf(b, "%.1f,%.1f ", x(i), y(v))
		}
		b.WriteString("\"/>\n")
		if len(c.Lines) > 1 {
			fmt.Fprintf(b, `<rect x="%.0f" y="28" width="10" height="10" fill="%s"/>`+"\n", left+float64(k)*130, palette[k%len(palette)])
			c.text(b, left+float64(k)*130+15, 37, "start", "normal", l.Label)
		}
	}
}

// Chart returns the report drawn: latency by quantile if it was measured,
// throughput over time otherwise; nil if there is neither.
func (r *Report) Chart() *Chart {
	if l := r.Latency; l != nil {
		c := &Chart{Title: r.Workload + ": latency by quantile", Unit: "µs", Log: true, Lines: []Line{{r.Workload, l.Curve}}}
		for _, q := range CurveAt {
			c.X = append(c.X, fmt.Sprintf("%.5g", 100*q))
		}
		return c
	}
	if len(r.Samples) < 2 {
		return nil
	}
	c := &Chart{Title: r.Workload + ": messages delivered a second", Unit: "/s", Lines: []Line{{r.Workload, r.Samples}}}
	for i := range r.Samples {
		label := ""
		if i%10 == 9 {
			label = fmt.Sprint((i+1)/10, " s")
		}
		c.X = append(c.X, label)
	}
	return c
}
