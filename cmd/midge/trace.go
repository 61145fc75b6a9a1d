package main

import (
	"context"
	"fmt"
	"io"

	"github.com/midgemq/midge/trace"
)

func traceCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("trace", out, errs, "midge trace [options]", `
Shows what happens in a running broker around one client, user, address or
topic, while it happens: connections and why they end, subscriptions, messages
that come in, and for each subscriber what becomes of them and why one does not
get them. --packets adds every packet in and out. Passwords are never shown;
payloads are with --payload. Several of --client, --user, --address and --topic
have to hold together; without any it shows everything. The broker has to serve
[admin] url. It ends after --for and --events, or with Ctrl-C; nobody waits for
it, and what it cannot take is counted.

Exit codes: 0 when it has come to its end, 1 when the broker cannot be asked.

Examples:
  midge trace --client sensor-17                 why does it not get through?
  midge trace --topic 'alarm/#' --payload 64     who is told, who is not
  midge trace --user joe --packets --for 10m
  midge trace --address 192.0.2.0/24             who comes from there
  midge trace --client sensor-17 --json | jq 'select(.event == "lost")'`)
	var ask askFlags
	var f trace.Filter
	ask.define(fs)
	fs.StringVar(&f.Client, "client", "", "of the client with this `identifier`")
	fs.StringVar(&f.User, "user", "", "of clients with this user `name`")
	fs.StringVar(&f.Address, "address", "", "of clients from this IP `address`, or network such as 192.0.2.0/24")
	fs.StringVar(&f.Topic, "topic", "", "of messages that this `filter` matches, and subscriptions to them")
	fs.BoolVar(&f.Packets, "packets", false, "show every packet, in and out")
	fs.IntVar(&f.Payload, "payload", 0, "show so many `bytes` of each payload")
	fs.DurationVar(&f.For, "for", trace.DefaultFor, "end after this `time`, at most a day")
	fs.IntVar(&f.Events, "events", trace.DefaultEvents, "end after so `many`")
	asJSON := fs.Bool("json", false, "print an event a line as JSON")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if _, err := f.Resolve(); err != nil {
		return usage(fs, err)
	}
	c, err := ask.open()
	if err != nil {
		return err
	}
	defer c.Close()
	if *asJSON {
		lines := jsonTo(out)
		return ask.explain(c.Trace(ctx, f, func(e trace.Event) { lines.Encode(e) }))
	}
	d := traceDrawing{out: out, paint: painted(out)}
	err = c.Trace(ctx, f, func(e trace.Event) {
		if e.Kind == trace.Began {
			d.header(f)
			return
		}
		d.draw(e)
	})
	if err == nil {
		d.summary()
	}
	return ask.explain(err)
}

// header says what there is to come.
func (d *traceDrawing) header(f trace.Filter) {
	fmt.Fprintf(d.out, "%s\n", d.in(dim, fmt.Sprintf("%s, for %s or %s; Ctrl-C ends it", f, f.For, count(f.Events, "event"))))
}
