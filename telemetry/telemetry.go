package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/trace"
)

const (
	journeysKept = 2048            // that wait to be sent
	journeysSent = 256             // in one request, at most
	spanInterval = 5 * time.Second // after which they are, however few
)

// An Exporter sends one broker's telemetry until Close.
type Exporter struct {
	// Immutable.
	b        *midge.Broker
	cfg      Config
	traces   *destination // nil: none are sent
	metrics  *destination // nil: none are sent
	resource []byte       // as a message's first field
	started  time.Time
	below    uint64 // a random number under it is a message to follow
	stop     context.CancelFunc
	ctx      context.Context
	over     sync.WaitGroup
	full     chan struct{}
	post     *poster
	samples  bool // messages

	mu       sync.Mutex
	journeys []*trace.Journey // guarded by mu: not sent yet
	room     atomic.Int32     // for more of them

	counts struct{ spans, spansLost, points, pointsLost, failures, unsampled atomic.Uint64 }
}

// Counts are what an Exporter has done so far.
type Counts struct {
	Spans, SpansLost   uint64 // taken by the collector; given up
	Points, PointsLost uint64 // of metrics
	Failures           uint64 // requests that failed, those that were repeated included
	Unsampled          uint64 // messages that were to be followed, and were not: too many waited to be sent
}

// Start begins to send what b does to where cfg says. An error is cfg's. One
// Exporter at a time follows a broker's messages: it takes [midge.Broker.Sample].
func Start(b *midge.Broker, cfg Config) (*Exporter, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Samples == nil {
		cfg.Samples = admin.New(admin.Config{Broker: b, Logger: cfg.Logger}).Samples
	}
	e := &Exporter{b: b, cfg: cfg, started: b.Stats().Started, full: make(chan struct{}, 1)}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.resource = resourceOf(&cfg)
	e.below = uint64(cfg.Ratio * (1 << 63))
	e.post = newPoster(&cfg)
	e.traces = e.post.to("traces", cfg.urlOf("traces", cfg.Traces), cfg.TraceHeaders)
	e.metrics = e.post.to("metrics", cfg.urlOf("metrics", cfg.Metrics), cfg.MetricHeaders)
	if e.traces != nil && (cfg.Ratio > 0 || !cfg.IgnoreParents) {
		e.samples = true
		e.room.Store(journeysKept)
		b.Sample(sampler{e})
		e.over.Go(e.sendTraces)
	}
	if e.metrics != nil {
		e.over.Go(e.sendMetrics)
	}
	return e, nil
}

// Close sends what there is, for as long as ctx allows and each collector takes
// it at the first attempt, and ends. Close it before the broker.
func (e *Exporter) Close(ctx context.Context) {
	if e.samples {
		e.b.Sample(nil)
	}
	giveUp := func() {
		e.traces.giveUp()
		e.metrics.giveUp()
	}
	defer context.AfterFunc(ctx, giveUp)()
	e.stop()
	e.over.Wait()
	giveUp()
	e.post.client.CloseIdleConnections()
}

// Counts reads them.
func (e *Exporter) Counts() Counts {
	n := &e.counts
	return Counts{
		n.spans.Load(), n.spansLost.Load(), n.points.Load(), n.pointsLost.Load(), n.failures.Load(), n.unsampled.Load(),
	}
}

// A sampler is an Exporter as the broker knows it.
type sampler struct{ e *Exporter }

func (s sampler) Sample(context []byte) bool {
	e := s.e
	wanted := false
	p, known := parent{}, false
	if len(context) > 0 && !e.cfg.IgnoreParents {
		p, known = parseParent(context)
	}
	if wanted = p.sampled; !known {
		wanted = rand.Uint64()>>1 < e.below
	}
	if wanted && e.room.Load() <= 0 {
		e.counts.unsampled.Add(1)
		return false
	}
	return wanted
}

func (s sampler) Tell(j *trace.Journey) {
	e := s.e
	curb(j)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.journeys) == journeysKept {
		e.counts.unsampled.Add(1)
		return
	}
	e.journeys = append(e.journeys, j)
	e.room.Store(int32(journeysKept - len(e.journeys)))
	if len(e.journeys) >= journeysSent {
		select {
		case e.full <- struct{}{}:
		default:
		}
	}
}

// some takes journeys to send.
func (e *Exporter) some() []*trace.Journey {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(len(e.journeys), journeysSent)
	some := e.journeys[:n:n]
	e.journeys = e.journeys[n:]
	if len(e.journeys) == 0 {
		e.journeys = nil
	}
	e.room.Store(int32(journeysKept - len(e.journeys)))
	return some
}

func (e *Exporter) sendTraces() {
	tick := time.NewTicker(spanInterval)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-e.full:
		case <-tick.C:
		case <-e.ctx.Done():
			over = true
		}
		for some := e.some(); len(some) > 0; some = e.some() {
			var spans uint64
			body := e.request(func(b []byte) []byte {
				for _, j := range some {
					var n int
					b, n = appendJourney(b, 2, j)
					spans += uint64(n)
				}
				return b
			})
			e.count(e.traces.send(e.ctx, body, spans), &e.counts.spans, &e.counts.spansLost)
		}
	}
}

func (e *Exporter) sendMetrics() {
	tick := time.NewTicker(cmp.Or(e.cfg.Interval, time.Minute))
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-tick.C:
		case <-e.ctx.Done():
			over = true
		}
		var points uint64
		body := e.request(func(b []byte) []byte {
			b, n := appendMetrics(b, 2, append(e.cfg.Samples(), e.own()...), e.started, time.Now())
			points = uint64(n)
			return b
		})
		e.count(e.metrics.send(e.ctx, body, points), &e.counts.points, &e.counts.pointsLost)
	}
}

// count notes how a request went.
func (e *Exporter) count(o outcome, taken, lost *atomic.Uint64) {
	taken.Add(o.taken)
	lost.Add(o.lost)
	e.counts.failures.Add(o.failures)
}

// request is the frame that both kinds of request have: one resource, one scope,
// and in it what f appends.
func (e *Exporter) request(f func(b []byte) []byte) []byte {
	return appendMessage(nil, 1, func(b []byte) []byte {
		b = append(b, e.resource...)
		return appendMessage(b, 2, func(b []byte) []byte {
			b = appendMessage(b, 1, func(b []byte) []byte {
				return appendBytes(appendBytes(b, 1, "github.com/midgemq/midge"), 2, midge.Version)
			})
			return f(b)
		})
	})
}

// resourceOf says whose telemetry it is.
func resourceOf(cfg *Config) []byte {
	return appendMessage(nil, 1, func(b []byte) []byte {
		all := map[string]string{
			"service.name": "midge", "service.version": midge.Version,
			"service.instance.id": fmt.Sprintf("%x", newID()),
		}
		for key, value := range cfg.Attributes {
			all[key] = value
		}
		if cfg.Service != "" {
			all["service.name"] = cfg.Service
		}
		for key, value := range all {
			b = appendText(b, 1, key, value)
		}
		return b
	})
}

// own are what an Exporter says of itself.
func (e *Exporter) own() []admin.Sample {
	c := e.Counts()
	one := func(name, help string, v uint64) admin.Sample {
		return admin.Sample{Name: "midge_telemetry_" + name + "_total", Help: help, Counter: true, Value: float64(v)}
	}
	return []admin.Sample{
		one("spans", "Spans that the collector has taken.", c.Spans),
		one("lost_spans", "Spans given up because it did not.", c.SpansLost),
		one("unsampled_messages", "Messages that were to be followed and were not, since too many waited to be sent.", c.Unsampled),
		one("failures", "Requests that failed.", c.Failures),
	}
}
