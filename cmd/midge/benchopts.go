package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/bench"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// benchOptions are the options of midge bench.
type benchOptions struct {
	clients, payload, window, rate, topics, filters, messages int
	atOnce, busy, sources, pid                                int
	qos                                                       int
	version                                                   string
	warmup, duration, hold                                    time.Duration
	durable, subscribe, keep, embed, json, insecure           bool
	user, password, cafile, svg                               string
}

func (o *benchOptions) define(fs *flag.FlagSet) {
	fs.IntVar(&o.clients, "clients", 0, "how many, `n`, see the workloads (default 10; connect and idle 1000)")
	fs.IntVar(&o.qos, "qos", 0, "`QoS` of messages and subscriptions")
	fs.IntVar(&o.payload, "payload", 64, "`bytes` of a message, at least 16")
	fs.IntVar(&o.window, "window", 0, "messages `n` of one publisher on their way (default 20 at QoS 1 and 2, up to 1000 at QoS 0)")
	fs.IntVar(&o.rate, "rate", 0, "publish `n` messages a second and measure latency (default as fast as it goes)")
	fs.IntVar(&o.topics, "topics", 0, "each publisher takes turns with `n` topics, with --filters n for each of those (default 1; wildcard 100)")
	fs.IntVar(&o.filters, "filters", 0, "wildcard filters `n` of each subscriber, for pairs and filters (filters: 1000)")
	fs.IntVar(&o.messages, "messages", 0, "send `n` from each publisher instead of measuring for a time; for retained, how many (10000)")
	fs.DurationVar(&o.warmup, "warmup", time.Second, "`time` before measuring begins")
	fs.DurationVar(&o.duration, "duration", 5*time.Second, "`time` to measure for")
	fs.BoolVar(&o.durable, "durable", false, "sessions that outlive their connections")
	fs.IntVar(&o.atOnce, "at-once", 0, "handshakes `n` at a time, for connect and idle (default 64)")
	fs.BoolVar(&o.subscribe, "subscribe", false, "connect and idle: one subscription each")
	fs.IntVar(&o.busy, "busy", 0, "idle: each sends itself `n` messages first")
	fs.DurationVar(&o.hold, "hold", 2*time.Second, "idle: `time` before memory is read")
	fs.IntVar(&o.sources, "sources", 0, "connect from `n` addresses 127.0.x.y (default as many as ports demand)")
	fs.BoolVar(&o.keep, "keep", false, "retained: leave the messages there")
	fs.StringVar(&o.version, "V", "311", "protocol `version`: 31, 311 or 5")
	fs.StringVar(&o.user, "user", "", "user `name`")
	fs.StringVar(&o.password, "password", "", "`password`")
	fs.StringVar(&o.cafile, "cafile", "", "PEM `file` with the authorities to trust")
	fs.BoolVar(&o.insecure, "insecure", false, "trust any certificate")
	fs.IntVar(&o.pid, "pid", 0, "the broker's process `id` on this machine, to report its CPU and memory")
	fs.BoolVar(&o.embed, "embed", false, "run midge in this process, over memory, instead of ADDR")
	fs.BoolVar(&o.json, "json", false, "print the report as JSON")
	fs.StringVar(&o.svg, "svg", "", "draw throughput over time, or latency, into this `file`")
	fs.VisitAll(func(f *flag.Flag) {
		if f.DefValue == "0" {
			f.DefValue = "" // what 0 stands for is in the text
		}
	})
}

// A workload runs against a target.
type workload func(context.Context, bench.Target) (*bench.Report, error)

// shapeOf are the workloads that send messages in a shape.
var shapeOf = map[string]bench.Shape{
	"pairs": bench.Pairs, "fanout": bench.FanOut, "fanin": bench.FanIn,
	"all": bench.AllToAll, "wildcard": bench.Wildcard, "filters": bench.Pairs,
}

func (o *benchOptions) workload(name string, given map[string]bool) (workload, error) {
	if o.qos < 0 || o.qos > 2 {
		return nil, fmt.Errorf("there is no QoS %d", o.qos)
	}
	if shape, ok := shapeOf[name]; ok {
		return o.load(name, shape, given), nil
	}
	switch name {
	case "connect", "idle":
		return o.many(name), nil
	case "retained":
		return func(ctx context.Context, t bench.Target) (*bench.Report, error) {
			return bench.Retained{Target: t, Messages: o.messages, Payload: o.payload, Keep: o.keep}.Run(ctx)
		}, nil
	case "":
		return nil, errors.New("say which workload")
	}
	return nil, fmt.Errorf("there is no workload %q", name)
}

func (o *benchOptions) load(name string, shape bench.Shape, given map[string]bool) workload {
	l := bench.Load{
		Shape: shape, Clients: o.clients, QoS: mqtt.QoS(o.qos), Payload: o.payload, Window: o.window, Rate: o.rate,
		Topics: o.topics, Filters: o.filters, Messages: o.messages, Warmup: o.warmup, Duration: o.duration, Durable: o.durable,
	}
	if o.warmup == 0 {
		l.Warmup = -1
	}
	if name == "filters" && !given["filters"] {
		l.Filters = 1000
	}
	return func(ctx context.Context, t bench.Target) (*bench.Report, error) {
		l.Target = t
		r, err := l.Run(ctx)
		if r != nil {
			r.Workload = name
		}
		return r, err
	}
}

func (o *benchOptions) many(name string) workload {
	return func(ctx context.Context, t bench.Target) (*bench.Report, error) {
		c := bench.Clients{
			Target: t, Clients: o.clients, AtOnce: o.atOnce, Subscribe: o.subscribe,
			Busy: o.busy, BusyBytes: o.payload, Hold: o.hold, Disconnect: name == "connect",
		}
		if o.embed {
			c.Memory = heap
		}
		r, err := c.Run(ctx)
		if r != nil {
			r.Workload = name
			if o.embed {
				r.Notes = append(r.Notes, "memory is the heap and the stacks of this process: the broker, the pipe, and the generator's end")
			}
		}
		return r, err
	}
}

// heap is what this process holds in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// target is the broker at an address, or one of our own. end is to be called
// when it is done with.
func (o *benchOptions) target(addr string) (t bench.Target, end func(), err error) {
	t = bench.Target{Username: o.user, Password: o.password, Sources: o.sources, PID: o.pid}
	switch o.version {
	case "31", "3.1", "mqttv31":
		t.Version = mqtt.V31
	case "311", "3.1.1", "mqttv311":
		t.Version = mqtt.V311
	case "5", "5.0", "mqttv5":
		t.Version = mqtt.V5
	default:
		return t, nil, fmt.Errorf("there is no version %q; want 31, 311 or 5", o.version)
	}
	if o.embed {
		return embed(t)
	}
	if !strings.Contains(addr, "://") && !strings.HasPrefix(addr, "unix:") {
		addr = "tcp://" + addr
	}
	t.URL = addr
	if o.cafile != "" || o.insecure {
		t.TLS = &tls.Config{InsecureSkipVerify: o.insecure} // asked for by name
	}
	if o.cafile != "" {
		pem, err := os.ReadFile(o.cafile)
		if err != nil {
			return t, nil, err
		}
		t.TLS.RootCAs = x509.NewCertPool()
		if !t.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return t, nil, fmt.Errorf("%s holds no certificate", o.cafile)
		}
	}
	return t, func() {}, nil
}

func embed(t bench.Target) (bench.Target, func(), error) {
	ln := transport.ListenPipe("bench", 0)
	b, err := midge.New(midge.Config{Listeners: []midge.Listener{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return t, nil, err
	}
	if err := b.Serve(ln); err != nil {
		return t, nil, err
	}
	t.Dial = func(ctx context.Context, _ int) (transport.Conn, error) { return ln.Dial(ctx) }
	return t, func() { b.Close() }, nil
}
