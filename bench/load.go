package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// A Load is messages through the broker: as many as it carries, or, with Rate,
// so many a second to see how long they take.
type Load struct {
	Target

	Shape   Shape // "": Pairs
	Clients int   // of the shape's many side, [1, 100000]; 0: 10
	QoS     mqtt.QoS
	Payload int // bytes, [16, 1<<20]; 0: 64

	// Window is how many messages of one publisher may be on their way,
	// [1, 60000]: end to end at QoS 0, not acknowledged at QoS 1 and 2. 0: 20
	// at QoS 1 and 2, at QoS 0 as many as no broker's queue minds, up to 1000.
	Window int

	// Rate is how many messages are published a second, by all publishers
	// together, [1, 10 million]; latency is then measured, from when each was
	// due. 0: as many as Window allows.
	Rate int

	// Topics each publisher takes turns with, [1, 8192]; 0: 1, 100 for Wildcard.
	// With Filters, how many of them each filter matches.
	Topics int

	// Filters, of Pairs, is how many wildcard filters each subscriber holds,
	// [1, 1<<20]; its publisher takes turns with what they match. 0: one
	// filter, no wildcard.
	Filters int

	// Messages is what each publisher sends; the load ends when all have
	// arrived. 0: Duration counts.
	Messages int
	Warmup   time.Duration // not measured; 0: 1 s; negative: none
	Duration time.Duration // measured; 0: 5 s

	// Durable asks for sessions that outlive their connections, so that a
	// broker that promises to keep messages has to. They are ended afterwards.
	Durable bool

	begun chan<- struct{} // closed when the measuring begins
	until <-chan struct{} // ends what Duration would
	stall time.Duration   // no message for so long: what is out is lost; 0: 3 s
}

// ring sizes: what one write takes, and how many topics stand side by side.
const (
	writeSize = 64 << 10
	maxTopics = 8192
)

func (l *Load) defaults() error {
	or := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	or(&l.Clients, 10)
	or(&l.Payload, 64)
	if l.Shape == "" {
		l.Shape = Pairs
	}
	if l.Shape == Wildcard {
		or(&l.Topics, 100)
	}
	or(&l.Topics, 1)
	if l.Warmup == 0 {
		l.Warmup = time.Second
	}
	if l.stall == 0 {
		l.stall = 3 * time.Second
	}
	if l.Duration == 0 {
		l.Duration = 5 * time.Second
	}
	bad := func(name string, v, lo, hi int) error {
		if v < lo || v > hi {
			return fmt.Errorf("bench: %s is %d, want [%d, %d]", name, v, lo, hi)
		}
		return nil
	}
	err := errors.Join(l.check(), checkPID(l.PID),
		bad("Clients", l.Clients, 1, 100000), bad("Payload", l.Payload, stampSize, 1<<20),
		bad("Window", l.Window, 0, 60000), bad("Rate", l.Rate, 0, 10_000_000),
		bad("Topics", l.Topics, 1, maxTopics), bad("Filters", l.Filters, 0, 1<<20),
		bad("Messages", l.Messages, 0, 1<<30), bad("QoS", int(l.QoS), 0, 2))
	switch {
	case err != nil:
		return err
	case !l.Shape.known():
		return fmt.Errorf("bench: there is no shape %q; there are %q", l.Shape, Shapes)
	case l.Filters > 0 && l.Shape != Pairs:
		return errors.New("bench: Filters belong to Pairs")
	case l.Duration < 0:
		return errors.New("bench: Duration is negative")
	}
	return nil
}

// A loadRun is a Load at work.
type loadRun struct {
	*Load
	plan
	name    string
	all     []*client
	pubs    []*publisher
	subs    []*client
	latency *Histogram
	record  atomic.Bool
	epoch   time.Time
	report  *Report

	done   chan struct{} // the end of everything
	failed chan error    // the first connection that ended by itself
	wg     sync.WaitGroup
}

// Run loads the broker. It blocks until the load is over; ctx cuts it short.
// The error says that there are no figures; faults are in the report.
func (l Load) Run(ctx context.Context) (*Report, error) {
	if err := l.defaults(); err != nil {
		return nil, err
	}
	r := &loadRun{Load: &l, name: newRun(), done: make(chan struct{}), failed: make(chan error, 1)}
	r.plan = l.plan("bench/" + r.name)
	r.report = l.newReport(string(l.Shape))
	r.settings()
	defer r.close()
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	if err := r.subscribe(ctx); err != nil {
		return nil, err
	}
	if err := r.start(); err != nil {
		return nil, err
	}
	if err := r.measure(ctx); err != nil {
		return nil, err
	}
	if err := r.unsubscribe(ctx); err != nil {
		return nil, err
	}
	if l.Durable {
		r.endSessions(ctx)
	}
	return r.report, nil
}

func (r *loadRun) connect(ctx context.Context) error {
	before, _ := process(r.PID)
	packetSize := r.Payload + 128
	buffer := 64 << 10
	if r.clients > 200 {
		buffer = 16 << 10
	}
	buffer = max(buffer, 2*packetSize)
	r.all = make([]*client, r.clients)
	err := r.each(ctx, "connect", "clients", r.clients, 16, func(ctx context.Context, i int) error {
		id := fmt.Sprintf("bench-%s-%d", r.name, i)
		p, err := r.open(ctx, i, hello{id: id, durable: r.Durable, buffer: buffer})
		if err == nil {
			r.all[i] = &client{peer: p, id: id, record: &r.record}
		}
		return err
	})
	if err != nil {
		return err
	}
	if after, ok := process(r.PID); ok {
		r.report.add("rss_bytes_per_client", "memory per client, just connected", "B", float64(after.rss-before.rss)/float64(r.clients))
	}
	r.subs = r.all[r.clients-r.subscribers:]
	return nil
}

func (r *loadRun) subscribe(ctx context.Context) error {
	before, _ := process(r.PID)
	start := time.Now()
	err := r.each(ctx, "subscribe", "clients", r.subscribers, 8, func(_ context.Context, i int) error {
		return r.subs[i].subscribe(&r.Target, r.QoS, r.filters, func(k int) string { return r.filter(i, k) })
	})
	if err != nil || r.Filters == 0 {
		return err
	}
	n := float64(r.filters * r.subscribers)
	r.report.add("filters", "filters", "", n)
	r.report.add("subscribes_per_second", "filters subscribed", "/s", n/time.Since(start).Seconds())
	if after, ok := process(r.PID); ok {
		r.report.add("rss_bytes_per_filter", "memory per filter", "B", float64(after.rss-before.rss)/n)
		r.report.add("broker_cpu_us_per_subscribe", "broker CPU per filter subscribed", "µs", us(after.cpu-before.cpu)/n)
	}
	return nil
}

// start lets every connection's goroutines run; nothing is sent yet.
func (r *loadRun) start() error {
	r.epoch = time.Now()
	if r.Rate > 0 {
		r.latency = new(Histogram)
	}
	window := r.window(&r.plan)
	for i := range r.publishers {
		p := r.newPublisher(i, window)
		r.all[i].pub = p
		r.pubs = append(r.pubs, p)
	}
	for i, s := range r.subs {
		first, n := r.streams(i)
		s.first, s.streams, s.touched = first, make([]stream, n), make([]uint32, 0, n)
	}
	for _, c := range r.all {
		c.senders, c.epoch, c.latency = r.pubs, r.epoch, r.latency
		c.out = make([]byte, 0, 4096)
		r.wg.Go(func() {
			err := c.receive()
			select {
			case r.failed <- fmt.Errorf("client %s: connection ended: %w", c.id, err):
			default: // the first is told, the rest follow from it
			}
		})
	}
	for _, p := range r.pubs {
		r.wg.Go(func() { p.serve(r.done) })
	}
	if r.Rate > 0 {
		return r.pace()
	}
	return nil
}

func (r *loadRun) newPublisher(i, window int) *publisher {
	p := &publisher{c: r.all[i], fan: uint32(r.subscribers), window: uint32(window), total: uint32(r.Messages), schedule: schedule{int64(r.Rate), int64(r.publishers), int64(i)}}
	if r.Shape == Pairs {
		p.fan = 1
	}
	if r.QoS > 0 {
		// Acknowledgements set the pace; the end-to-end window only keeps
		// queues from overflowing.
		p.ackWindow = uint32(min(window, p.c.receiveMax))
		p.window = 4 * uint32(window)
	}
	if p.paced() {
		p.ackWindow *= 50 // as many as it takes: lateness shows in the latency
		p.ackWindow = min(p.ackWindow, uint32(p.c.receiveMax), 60000)
	}
	n := max(1, min(writeSize/(r.Payload+64), int(p.window)))
	stride := 1
	if r.topics > 1 {
		n = min(max(n, r.topics), maxTopics)
		n -= n % min(r.topics, n) // every topic equally often
		stride = max(1, r.topics/n)
	}
	p.ring = newRing(uint32(i), r.version(), r.QoS, false, r.Payload, n, func(k int) string { return r.topic(i, k*stride%r.topics) })
	p.init()
	return p
}

// halt ends the goroutines and leaves the connections open.
func (r *loadRun) halt() {
	select {
	case <-r.done:
		return
	default:
	}
	close(r.done)
	for _, c := range r.all {
		if c != nil {
			c.nc.SetDeadline(time.Unix(1, 0))
		}
	}
	r.wg.Wait()
	for _, c := range r.all {
		if c != nil {
			c.nc.SetDeadline(time.Time{})
		}
	}
}

func (r *loadRun) close() {
	r.halt()
	for _, c := range r.all {
		if c != nil {
			c.peer.close()
		}
	}
}

// unsubscribe measures the way back where there are many filters.
func (r *loadRun) unsubscribe(ctx context.Context) error {
	if r.Filters == 0 {
		return nil
	}
	before, _ := process(r.PID)
	start := time.Now()
	err := r.each(ctx, "unsubscribe", "clients", r.subscribers, 8, func(_ context.Context, i int) error {
		return r.subs[i].unsubscribe(&r.Target, r.filters, func(k int) string { return r.filter(i, k) })
	})
	n := float64(r.filters * r.subscribers)
	r.report.add("unsubscribes_per_second", "filters unsubscribed", "/s", n/time.Since(start).Seconds())
	if after, ok := process(r.PID); ok {
		r.report.add("broker_cpu_us_per_unsubscribe", "broker CPU per filter unsubscribed", "µs", us(after.cpu-before.cpu)/n)
	}
	return err
}

// endSessions makes the broker forget durable sessions.
func (r *loadRun) endSessions(ctx context.Context) {
	r.close()
	r.each(ctx, "clean up", "clients", len(r.all), 16, func(ctx context.Context, i int) error {
		if p, err := r.open(ctx, i, hello{id: r.all[i].id}); err == nil {
			p.close()
		}
		return nil
	})
}

func us(d time.Duration) float64 { return float64(d) / 1e3 }
