package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/midgemq/midge/bench"
)

// charts are the drawings of the page, in their order.
var charts = []struct{ group, title, unit, alt string }{
	{"cpu", "Broker CPU per delivered message (logarithmic; less is better)", "µs", "CPU per delivered message by workload and broker"},
	{"latency", "Latency, p99 (logarithmic; less is better)", "µs", "p99 latency by broker"},
	{"memory", "Memory (logarithmic; less is better)", "B", "memory per client, filter and retained message by broker"},
}

// write writes the page and its charts.
func (r *results) write(dir string) error {
	for _, c := range charts {
		chart := bench.Chart{Title: c.title, Unit: c.unit, Log: true}
		for _, w := range workloads {
			if w.group() == c.group {
				chart.Bars = append(chart.Bars, r.bars(w)...)
			}
		}
		if len(chart.Bars) == 0 {
			continue
		}
		f, err := os.Create(filepath.Join(dir, "performance", c.group+".svg"))
		if err != nil {
			return err
		}
		if err := errors.Join(chart.WriteSVG(f), f.Close()); err != nil {
			return err
		}
	}
	if err := r.durable.draw(dir); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "performance.md"), r.page(), 0o644)
}

func (r *results) bars(w workload) (bars []bench.Bar) {
	for _, b := range r.names() {
		if c := r.cell(w, b); c.measured {
			bars = append(bars, bench.Bar{Group: w.title, Label: b, Value: c.value, Mark: b == "midge"})
		}
	}
	return bars
}

// names are the brokers, midge first.
func (r *results) names() (names []string) {
	for _, b := range r.Brokers {
		names = append(names, b.Name)
	}
	return names
}

func (r *results) page() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Performance

Written by `+"`bench/compare`"+` (`+"`cd bench/compare && go run .`"+`) on %s; do not edit.

On %s. Each broker ran on one core and the generator, `+"`midge bench`"+`, on another, over loopback TCP, with messages of 64 bytes unless it says otherwise. Brokers took turns within each of the rounds, freshly started every time, %v s measured in each; a figure is the median of the rounds, a ratio the median of the rounds' ratios. Rivals run with the configuration they come with. Messages are numbered, and what was lost or doubled is named.

Less is better in all tables. In brackets: how many times midge's figure that is.
`, r.Time.Format("2 January 2006"), r.Machine, r.Seconds)
	if load := r.load(); load > 1.5 {
		fmt.Fprintf(&b, "\nThe machine was not idle: its load average was %.1f in the median when a run began, and the runs are part of that. Latency suffers from that most. What piles up while a broker or the generator waits for its core is then handled in larger batches, which makes messages cheaper for a broker that batches. Read the ratios, and read them with that in mind.\n", load)
	}
	for _, c := range charts {
		fmt.Fprintf(&b, "\n![%s](performance/%s.svg)\n", c.alt, c.group)
	}
	r.table(&b, "Broker CPU per delivered message, µs", "cpu")
	r.table(&b, "Latency, p50 / p99, µs", "latency")
	fmt.Fprint(&b, "\nA message's latency counts from when it was due, so a publisher that is held up hides nothing. What a million retained messages do to a bystander is in [scale.md](scale.md).\n")
	if r.Nice != 0 {
		fmt.Fprintf(&b, "Broker and generator ran at niceness %d for this, ahead of what else the machine did.\n", r.Nice)
	}
	r.table(&b, "Memory, growth of the resident set in bytes", "memory")
	r.table(&b, "Other work, broker CPU in µs", "other")
	r.brokers(&b)
	r.rates(&b)
	r.durable.section(&b)
	r.remarks(&b)
	return b.Bytes()
}

// load is the median load average when runs began.
func (r *results) load() float64 {
	var all []float64
	for _, rounds := range r.Runs {
		for _, round := range rounds {
			for _, x := range round {
				if x.Load > 0 {
					all = append(all, x.Load)
				}
			}
		}
	}
	return median(all)
}

func (r *results) head(b *bytes.Buffer, title string) {
	fmt.Fprintf(b, "\n## %s\n\n| |", title)
	for _, n := range r.names() {
		fmt.Fprintf(b, " %s |", n)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(r.names())) + "\n")
}

func (r *results) table(b *bytes.Buffer, title, group string) {
	r.head(b, title)
	for _, w := range workloads {
		if w.group() != group || len(r.Runs[w.key]) == 0 {
			continue
		}
		fmt.Fprintf(b, "| %s |", w.title)
		for _, n := range r.names() {
			fmt.Fprintf(b, " %s |", r.cell(w, n).text(w, n))
		}
		b.WriteByte('\n')
	}
}

func (c cell) text(w workload, broker string) string {
	switch {
	case !c.measured && c.err == "":
		return ""
	case !c.measured:
		return "–"
	}
	s := number(c.value)
	if w.group() == "latency" {
		s = number(c.p50) + " / " + s
	}
	if broker == "midge" {
		return "**" + s + "**"
	}
	if c.ratio > 0 {
		s += fmt.Sprintf(" (%s×)", number(c.ratio))
	}
	return s
}

// rates are what the CPU tables' workloads came to a second.
func (r *results) rates(b *bytes.Buffer) {
	r.head(b, "Delivered a second, thousands (more is better)")
	for _, w := range workloads {
		if w.group() != "cpu" || len(r.Runs[w.key]) == 0 {
			continue
		}
		fmt.Fprintf(b, "| %s |", w.title)
		for _, n := range r.names() {
			c := r.cell(w, n)
			if !c.measured {
				fmt.Fprint(b, " – |")
				continue
			}
			fmt.Fprintf(b, " %s |", number(c.rate/1000))
		}
		b.WriteByte('\n')
	}
	fmt.Fprint(b, "\nBounded by the slower of broker and generator, and by whatever else the machine did.\n")
}

func (r *results) brokers(b *bytes.Buffer) {
	r.head(b, "At rest")
	for _, row := range []struct {
		name string
		of   func(about) string
	}{
		{"version", func(a about) string { return a.Version }},
		{"start to listening, ms", func(a about) string { return number(a.Start) }},
		{"memory without a client, MiB", func(a about) string { return number(a.RSS) }},
		{"executable, MiB", func(a about) string { return number(a.Size) }},
	} {
		fmt.Fprintf(b, "| %s |", row.name)
		for _, a := range r.Brokers {
			fmt.Fprintf(b, " %s |", row.of(a))
		}
		b.WriteByte('\n')
	}
}

// remarks name what did not go well, and how far rounds lay apart.
func (r *results) remarks(b *bytes.Buffer) {
	fmt.Fprint(b, "\n## What did not go well\n\n")
	none := true
	say := func(w workload, n, format string, args ...any) {
		none = false
		fmt.Fprintf(b, "- %s, %s: %s\n", w.title, n, fmt.Sprintf(format, args...))
	}
	for _, w := range workloads {
		for _, n := range r.names() {
			c := r.cell(w, n)
			if !c.measured && c.err != "" {
				say(w, n, "no figure: %s", c.err)
			}
			for _, k := range slices.Sorted(maps.Keys(c.faults)) {
				say(w, n, "%s %s in the worst round", number(c.faults[k]), strings.ReplaceAll(k, "_", " "))
			}
			if c.measured && c.lo > 0 && c.hi > 2*c.lo {
				say(w, n, "rounds lie far apart, %s to %s %s", number(c.lo), number(c.hi), w.unit)
			}
		}
	}
	if none {
		fmt.Fprint(b, "Nothing.\n")
	}
}

// number writes three digits that mean something.
func number(v float64) string {
	switch {
	case v >= 1000:
		s := fmt.Sprintf("%.0f", v)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
