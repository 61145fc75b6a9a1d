package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/midgemq/midge/tiny"
	"github.com/midgemq/midge/tiny/host"
	"github.com/midgemq/midge/transport"
)

// tinyFlags are the options of midge tiny.
type tinyFlags struct {
	tcp      list
	limits   tiny.Limits
	bill     bool
	counters bool
	retained string
}

func (f *tinyFlags) define(fs *flag.FlagSet) {
	fs.Func("tcp", "listen for MQTT on `host:port` (repeatable)", func(addr string) error {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return errors.New("want host:port, such as :1883 or 127.0.0.1:1883")
		}
		return f.tcp.Set(addr)
	})
	f.limits = f.limits.Filled()
	for _, l := range []struct {
		name  string
		field *int
		usage string
	}{
		{"clients", &f.limits.Clients, "`number` of clients connected at once"},
		{"sessions", &f.limits.Sessions, "`number` of sessions kept, connected or away; 0 is as many as clients"},
		{"filters", &f.limits.Filters, "`number` of subscriptions of all clients together"},
		{"max-packet", &f.limits.MaxPacket, "`bytes` of the largest packet"},
		{"receive-buffer", &f.limits.ReceiveBuffer, "`bytes` a connection to receive in; 0 is the largest packet, -1 none: read in place"},
		{"queue", &f.limits.Queue, "`number` of messages that wait for one client"},
		{"inflight", &f.limits.Inflight, "`number` of QoS 1 and 2 messages sent to one client and not acknowledged"},
		{"receive-maximum", &f.limits.ReceiveMaximum, "`number` of QoS 1 and 2 messages one client may have unacknowledged"},
		{"retained", &f.limits.Retained, "`number` of retained messages; -1 is none"},
		{"retained-bytes", &f.limits.RetainedBytes, "`bytes` of the slab they may take"},
		{"slab", &f.limits.Slab, "`bytes` for messages, wills, filters and identifiers"},
		{"max-qos", &f.limits.MaxQoS, "highest `QoS`: 2, 1, or -1 for 0"},
	} {
		fs.IntVar(l.field, l.name, *l.field, l.usage)
	}
	fs.StringVar(&f.retained, "retained-file", "", "keep retained messages in `file`, as a chip does in flash")
	fs.BoolVar(&f.bill, "bill", false, "print the memory bill and exit")
	fs.BoolVar(&f.counters, "counters", false, "print a line of counters every second")
}

func tinyCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	// Sessions and receive buffers follow what they depend on, unless given.
	var f tinyFlags
	fs := newFlags("tiny", out, errs, "midge tiny [options]", `
Serves the fixed-memory broker: what a microcontroller will do, to be tried on
this machine. Every table is laid out at the start, from the limits below; the
bill says what they cost. It listens on 127.0.0.1:1883 unless told otherwise.

Examples:
  midge tiny --bill
  midge tiny --tcp 127.0.0.1:1884 --clients 4 --slab 2048 --counters
  midge tiny --retained-file /var/lib/midge/retained.flash`)
	f.define(fs.FlagSet)
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	given := map[string]bool{}
	fs.Visit(func(o *flag.Flag) { given[o.Name] = true })
	if !given["sessions"] {
		f.limits.Sessions = 0
	}
	if !given["receive-buffer"] {
		f.limits.ReceiveBuffer = 0
	}
	b, err := tiny.New(f.limits, tiny.Hooks{})
	if err != nil {
		return usage(fs, err)
	}
	if f.bill {
		printBill(out, b.Limits())
		return nil
	}
	return f.serve(ctx, b, out, errs)
}

// printBill draws the bill; the last line is the total, in bytes.
func printBill(out io.Writer, l tiny.Limits) {
	for _, i := range l.Bill() {
		fmt.Fprintf(out, "%-26s %5d x %5d = %7d\n", i.Name, i.Count, i.Each, i.Bytes())
	}
	fmt.Fprintf(out, "%-26s %23d\n", "total", l.Bytes())
}

func (f *tinyFlags) serve(ctx context.Context, b *tiny.Broker, out, errs io.Writer) error {
	if f.retained != "" {
		flash, err := f.openFlash(b)
		if err != nil {
			return err
		}
		defer flash.Close()
	}
	if len(f.tcp) == 0 {
		f.tcp = list{"127.0.0.1:1883"}
	}
	var lns []transport.Listener
	defer func() {
		for _, ln := range lns {
			ln.Close()
		}
	}()
	var urls []string
	for _, addr := range f.tcp {
		ln, err := transport.Listen(ctx, "tcp://"+addr, transport.Options{})
		if err != nil {
			return fmt.Errorf("%w\n%s", err, advise(err))
		}
		lns = append(lns, ln)
		urls = append(urls, ln.String())
	}
	greet(out, urls)
	fmt.Fprintf(out, "  fixed memory: %d clients in %d bytes; midge tiny --bill itemizes them\n", b.Limits().Clients, b.Limits().Bytes())
	return f.run(ctx, host.New(b), lns, out)
}

// run serves until ctx ends or a listener fails.
func (f *tinyFlags) run(ctx context.Context, h *host.Host, lns []transport.Listener, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if f.counters {
		go printCounters(ctx, h, out)
	}
	failed := make(chan error, len(lns))
	for _, ln := range lns {
		go func() { failed <- h.Serve(ctx, ln) }()
	}
	var first error
	for range lns {
		if err := <-failed; err != nil && first == nil {
			first = err
		}
		stop()
	}
	h.Do(func(b *tiny.Broker) { b.Keep() })
	return first
}

// openFlash makes the file as large as the limits ask for.
func (f *tinyFlags) openFlash(b *tiny.Broker) (*host.Flash, error) {
	l := b.Limits()
	size := 4096
	for size < l.RetainedBytes+16*(l.Retained+1) {
		size *= 2
	}
	flash, err := host.OpenFlash(f.retained, 2, size)
	if err != nil {
		return nil, err
	}
	if _, err := b.Restore(flash); err != nil {
		flash.Close()
		return nil, err
	}
	return flash, nil
}

func printCounters(ctx context.Context, h *host.Host, out io.Writer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var s tiny.Stats
		h.Do(func(b *tiny.Broker) { s = b.Stats() })
		fmt.Fprintf(out, "clients %d sessions %d filters %d retained %d slab %d peak %d in %d out %d dropped %d held %d refused %d\n",
			s.Clients, s.Sessions, s.Filters, s.Retained, s.SlabUsed, s.SlabPeak, s.Received, s.Sent, s.Dropped, s.Held, s.Refused)
	}
}
