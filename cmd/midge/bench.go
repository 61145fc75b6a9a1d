package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/midgemq/midge/bench"
)

// exitFaults is what bench ends with when there are figures, but messages were
// lost, doubled or out of order.
const exitFaults = 3

const benchText = `
Loads the MQTT broker at ADDR and prints what it does. ADDR is host:port or a
URL: tcp, tls, ws, wss, unix.

Workloads:
  pairs      --clients publishers, each to a subscriber of its own
  fanout     one publisher to --clients subscribers
  fanin      --clients publishers to one subscriber
  all        --clients clients, each publishes to all
  wildcard   one publisher of many topics to --clients wildcard subscribers
  filters    pairs, with --filters wildcard filters for each subscriber
  connect    --clients clients come and go, as fast as they are let in
  idle       --clients clients come and stay; how much memory each costs
  retained   --messages retained messages, replayed to a new subscriber

Messages are numbered. It ends with 0; with 3 if messages were lost, doubled or
out of order; with 1 if there are no figures; with 2 if the command line makes
no sense.

Examples:
  midge bench pairs --qos 1 127.0.0.1:1883
  midge bench pairs --rate 10000 --svg latency.svg 127.0.0.1:1883
  midge bench fanout --clients 1000 --pid $(pidof mosquitto) 127.0.0.1:1883
  midge bench filters --clients 100 --filters 10000 --pid 4711 127.0.0.1:1883
  midge bench idle --clients 15000 --subscribe --pid 4711 127.0.0.1:1883
  midge bench pairs --embed                  midge itself, in this process`

func benchCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	name := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	fs := newFlags("bench", out, errs, "midge bench WORKLOAD [options] ADDR", benchText)
	var o benchOptions
	o.define(fs.FlagSet)
	addresses := 1
	if slices.Contains(args, "--embed") || slices.Contains(args, "-embed") {
		addresses = 0
	}
	if err := parse(fs, args, addresses); err != nil {
		return err
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	work, err := o.workload(name, given)
	if err != nil {
		return usage(fs, err)
	}
	target, end, err := o.target(fs.Arg(0))
	if err != nil {
		return usage(fs, err)
	}
	defer end()
	show, clear := benchProgress(errs)
	target.Progress = show
	report, err := work(ctx, target)
	clear()
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return errors.New(strings.TrimPrefix(err.Error(), "bench: "))
	}
	if err := o.write(out, report); err != nil {
		return err
	}
	if report.Faults.Any() {
		return &exitError{code: exitFaults}
	}
	return nil
}

// write prints the report, and draws it if so asked.
func (o *benchOptions) write(out io.Writer, r *bench.Report) error {
	write := r.WriteText
	if o.json {
		write = r.WriteJSON
	}
	if err := write(out); err != nil || o.svg == "" {
		return err
	}
	chart := r.Chart()
	if chart == nil {
		return errors.New("there is nothing to draw in this workload")
	}
	f, err := os.Create(o.svg)
	if err != nil {
		return err
	}
	return errors.Join(chart.WriteSVG(f), f.Close())
}

// benchProgress draws one line that is written over on a terminal, and one
// line for each phase elsewhere.
func benchProgress(errs io.Writer) (show func(bench.Progress), clear func()) {
	tty := terminal(errs) != nil
	phase := ""
	show = func(p bench.Progress) {
		if !tty {
			if p.Phase != phase {
				fmt.Fprintf(errs, "%s\n", p.Phase)
			}
			phase = p.Phase
			return
		}
		line := fmt.Sprintf("%-8s %d", p.Phase, p.Done)
		if p.Total > 0 {
			line += fmt.Sprintf(" of %d", p.Total)
		}
		line += " " + p.Unit
		if p.Rate > 0 {
			line += fmt.Sprintf(", %.0f/s", p.Rate)
		}
		if p.Left > 0 {
			line += fmt.Sprintf(", %v left", p.Left.Round(100*time.Millisecond))
		}
		fmt.Fprintf(errs, "\r\x1b[K%s", line)
	}
	return show, func() {
		if tty {
			fmt.Fprint(errs, "\r\x1b[K")
		}
	}
}
