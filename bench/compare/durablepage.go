package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/midgemq/midge/bench"
)

// of returns the values of a figure in all rounds.
func (d *durable) of(load, keeper, figure string) (all []float64) {
	for _, round := range d.Runs[load] {
		if v, ok := round[keeper].Figures[figure]; ok {
			all = append(all, v)
		}
	}
	return all
}

// draw writes the chart, if there is something to draw.
func (d *durable) draw(dir string) error {
	if d == nil {
		return nil
	}
	chart := bench.Chart{Title: "QoS 1 to persistent sessions, messages a second (logarithmic; more is better)", Log: true}
	for _, w := range durableLoads {
		for _, k := range keepers {
			if v := d.of(w.key, k.name, "messages_per_second"); len(v) > 0 {
				chart.Bars = append(chart.Bars, bench.Bar{Group: w.title, Label: k.name, Value: median(v), Mark: k.broker == "midge"})
			}
		}
	}
	f, err := os.Create(filepath.Join(dir, "performance", "durable.svg"))
	if err != nil {
		return err
	}
	return errors.Join(chart.WriteSVG(f), f.Close())
}

// section writes the part of the page that is about it.
func (d *durable) section(b *bytes.Buffer) {
	if d == nil {
		return
	}
	fmt.Fprintf(b, `
## Kept on disk: QoS 1 to persistent sessions

Written by `+"`cd bench/compare && go run . durable`"+` on %s, on %s. 100 publishers, each to a subscriber of its own, all with sessions that outlive their connections, 64 bytes, %v s; every broker on one core and the generator on the other, its files on the same disk, where a write of 4 KiB and its sync take %s µs when nothing else does; the median of %d rounds. A sync is a call of fsync or fdatasync, counted by the kernel's tracepoints; what was written is what the kernel has the broker's dirty pages down for, whole pages of 4 KiB.

![messages a second by broker and promise](performance/durable.svg)
`, d.Time.Format("2 January 2006"), d.Machine, d.Seconds, number(d.Disk), d.rounds())
	for _, w := range durableLoads {
		if len(d.Runs[w.key]) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n| %s | acknowledged is | messages/s | syncs/s | messages a sync | bytes written a message |\n|---|---|---:|---:|---:|---:|\n", w.title)
		for _, k := range keepers {
			d.row(b, w.key, k)
		}
	}
	for _, w := range durableLoads {
		d.faults(b, w.key, w.title)
	}
}

func (d *durable) rounds() (n int) {
	for _, rounds := range d.Runs {
		n = max(n, len(rounds))
	}
	return n
}

func (d *durable) row(b *bytes.Buffer, load string, k keeper) {
	name := k.name
	if v := d.Versions[k.broker]; v != "" && k.broker != "midge" {
		name += " " + v
	}
	rates := d.of(load, k.name, "messages_per_second")
	if len(rates) == 0 {
		fmt.Fprintf(b, "| %s | %s | – | – | – | – |\n", name, k.promise)
		return
	}
	rate, perSync, syncs := median(rates), "–", "–"
	if all := d.of(load, k.name, "syncs_per_second"); len(all) > 0 {
		n := median(all)
		syncs = number(n)
		if n > 0 {
			perSync = number(rate / n)
		}
	}
	text := number(rate)
	if k.broker == "midge" {
		text = "**" + text + "**"
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", name, k.promise, text, syncs, perSync,
		number(median(d.of(load, k.name, "written_bytes_per_message"))))
}

// faults names runs that went wrong.
func (d *durable) faults(b *bytes.Buffer, load, title string) {
	for _, k := range keepers {
		for i, round := range d.Runs[load] {
			r := round[k.name]
			if r.Error != "" {
				fmt.Fprintf(b, "\n%s, %s, round %d: %s\n", title, k.name, i+1, r.Error)
			}
			for what, n := range r.Faults {
				fmt.Fprintf(b, "\n%s, %s, round %d: %s %s\n", title, k.name, i+1, number(n), what)
			}
		}
	}
}
