package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/packet"
)

// Clients is many connections: how fast they get in (a storm), and what the
// broker keeps for each while they do nothing.
type Clients struct {
	Target

	Clients    int // [1, 10 million]; 0: 1000
	AtOnce     int // handshakes at a time, [1, 10000]; 0: 64
	Subscribe  bool
	Busy       int           // messages each sends to itself before it idles, with Subscribe, [0, 10000]
	BusyBytes  int           // of these, each [16, 1<<20]; 0: 1024
	Hold       time.Duration // how long they idle before memory is read; 0: 2 s
	Disconnect bool          // each leaves as soon as it is in: a storm without end

	// Memory, when set, reads what the broker holds, in bytes, in place of the
	// memory of PID: for one in the same process, where it counts this end too.
	Memory func() int64
}

func (c *Clients) defaults() error {
	for _, d := range []struct {
		name       string
		p          *int
		or, lo, hi int
	}{
		{"Clients", &c.Clients, 1000, 1, 10_000_000},
		{"AtOnce", &c.AtOnce, 64, 1, 10000},
		{"Busy", &c.Busy, 0, 0, 10000},
		{"BusyBytes", &c.BusyBytes, 1024, stampSize, 1 << 20},
	} {
		if *d.p == 0 {
			*d.p = d.or
		}
		if *d.p < d.lo || *d.p > d.hi {
			return fmt.Errorf("bench: %s is %d, want [%d, %d]", d.name, *d.p, d.lo, d.hi)
		}
	}
	if c.Hold == 0 {
		c.Hold = 2 * time.Second
	}
	if c.Busy > 0 && !c.Subscribe {
		return errors.New("bench: Busy needs Subscribe")
	}
	// One address has some 28,000 ports; leave room for the last run's.
	const perSource = 10_000
	if c.Sources == 0 && c.loopback() && c.Clients > perSource {
		c.Sources = 1 + c.Clients/perSource
	}
	return errors.Join(c.check(), checkPID(c.PID))
}

// Run connects, holds and reports. Clients that do not get in are counted; it
// is an error if none does.
func (c Clients) Run(ctx context.Context) (*Report, error) {
	if err := c.defaults(); err != nil {
		return nil, err
	}
	rep := c.newReport("clients")
	rep.set("clients", c.Clients)
	rep.set("at once", c.AtOnce)
	if c.Subscribe {
		rep.set("subscribe", true)
	}
	if c.Busy > 0 {
		rep.set("busy", c.Busy)
	}
	r := &clientsRun{Clients: &c, name: newRun(), peers: make([]*peer, c.Clients)}
	defer r.close()
	before, known := c.memory()
	start := time.Now()
	err := c.each(ctx, "connect", "clients", c.Clients, c.AtOnce, r.connect)
	took := time.Since(start).Seconds()
	if err != nil {
		return nil, err
	}
	in := float64(c.Clients) - float64(r.failed.Load())
	if in == 0 {
		return nil, *r.first.Load()
	}
	rep.add("connects_per_second", "connected", "clients/s", in/took)
	rep.add("connected", "clients connected", "", in)
	rep.add("failed", "clients that did not get in", "", float64(r.failed.Load()))
	if e := r.first.Load(); e != nil {
		rep.Notes = append(rep.Notes, (*e).Error())
	}
	rep.Latency, rep.Timed = r.latency.Latency(), "from dial to CONNACK"
	after, _ := c.memory()
	if known {
		rep.add("broker_cpu_us_per_connect", "broker CPU per client", "µs", us(after.cpu-before.cpu)/in)
	}
	if c.Disconnect {
		return rep, nil
	}
	if err := r.hold(ctx); err != nil {
		return nil, err
	}
	if held, ok := c.memory(); ok {
		rep.add("rss_bytes_per_client", "memory per idle client", "B", float64(held.rss-before.rss)/in)
		rep.add("broker_rss_mib", "broker memory", "MiB", float64(held.rss)/(1<<20))
		rep.add("idle_cpu_percent", "broker CPU while they idle", "%", 100*(held.cpu-after.cpu).Seconds()/c.Hold.Seconds())
	}
	return rep, nil
}

func (c *Clients) memory() (usage, bool) {
	if c.Memory != nil {
		return usage{rss: c.Memory()}, true
	}
	return process(c.PID)
}

type clientsRun struct {
	*Clients
	name    string
	peers   []*peer
	latency Histogram // from dial to CONNACK
	failed  atomic.Int64
	first   atomic.Pointer[error] // why one did not get in
}

func (r *clientsRun) connect(ctx context.Context, i int) error {
	id := fmt.Sprintf("b%s-%d", r.name, i)
	begin := time.Now()
	p, err := r.open(ctx, i, hello{id: id})
	if err == nil {
		r.latency.Record(time.Since(begin))
		err = r.settle(p, id)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		r.failed.Add(1)
		r.first.CompareAndSwap(nil, &err)
	case r.Disconnect:
		p.close()
	default:
		p.buf = nil // this end shall not be what fills the machine
		r.peers[i] = p
	}
	return nil
}

// settle subscribes a client and keeps it busy for a while, if so asked.
func (r *clientsRun) settle(p *peer, id string) error {
	if !r.Subscribe {
		return nil
	}
	topic := func(int) string { return "bench/" + id }
	if err := p.subscribe(&r.Target, 0, 1, topic); err != nil || r.Busy == 0 {
		return err
	}
	ring := newRing(0, p.version, 0, false, r.BusyBytes, 1, topic)
	p.nc.SetDeadline(time.Now().Add(r.timeout()))
	defer p.nc.SetDeadline(time.Time{})
	for n := range r.Busy {
		b, _ := ring.cut(uint32(n), 1, schedule{})
		if _, err := p.nc.Write(b); err != nil {
			return err
		}
		if _, err := p.await(packet.PUBLISH); err != nil {
			return err
		}
	}
	return nil
}

// hold lets time pass with the clients idle.
func (r *clientsRun) hold(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for start := time.Now(); ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		left := r.Hold - time.Since(start)
		if left <= 0 {
			return nil
		}
		r.progress(Progress{Phase: "hold", Done: r.Clients.Clients, Unit: "clients", Left: left})
	}
}

func (r *clientsRun) close() {
	for _, p := range r.peers {
		if p != nil {
			p.close()
		}
	}
}
