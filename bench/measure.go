package bench

import (
	"context"
	"os"
	"runtime"
	"time"
)

const sampleEvery = 100 * time.Millisecond

// A reading is where the counters stood at a time.
type reading struct {
	at       time.Time
	received uint64
	sent     uint64
	usage    usage
	known    bool  // usage
	own      usage // this process's
	mallocs  uint64
}

func (r *loadRun) read() reading {
	x := reading{at: time.Now()}
	for _, s := range r.subs {
		x.received += s.received.Load()
	}
	for _, p := range r.pubs {
		p.mu.Lock()
		x.sent += uint64(p.sent)
		p.mu.Unlock()
	}
	return x
}

// weigh is read, with what it took.
func (r *loadRun) weigh() reading {
	x := r.read()
	x.usage, x.known = process(r.PID)
	x.own, _ = process(os.Getpid())
	if r.Dial != nil {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		x.mallocs = m.Mallocs
	}
	return x
}

// measure runs the phases of the load: warm up, measure, drain.
func (r *loadRun) measure(ctx context.Context) error {
	w := &watch{r: r}
	var begin reading
	warm := r.Messages == 0 && r.Warmup > 0
	if !warm { // then every message counts
		begin = r.begin()
	}
	for _, p := range r.pubs {
		p.start()
	}
	if warm {
		if err := w.wait(ctx, "warm up", r.Warmup, nil); err != nil {
			return err
		}
		begin = r.begin()
	}
	w.samples = nil
	duration, whole := r.Duration, (func(reading) bool)(nil)
	if r.Messages > 0 {
		duration, whole = 0, func(now reading) bool { return now.received >= uint64(r.Messages)*uint64(r.deliveries()) }
	}
	if err := w.wait(ctx, "measure", duration, whole); err != nil {
		return err
	}
	end := r.weigh()
	r.report.Samples = w.samples
	r.record.Store(false)
	sent := uint64(0)
	for _, p := range r.pubs {
		sent += uint64(p.stop())
	}
	expected := sent * uint64(r.deliveries()) / uint64(len(r.pubs))
	err := w.wait(ctx, "drain", 0, func(now reading) bool { return now.received >= expected })
	if err != nil {
		return err
	}
	r.sum(begin, end)
	return nil
}

// begin weighs what has happened so far and records from now on.
func (r *loadRun) begin() reading {
	r.record.Store(true)
	if r.begun != nil {
		close(r.begun)
	}
	return r.weigh()
}

// deliveries is what one message of every publisher comes to.
func (r *loadRun) deliveries() int {
	if r.Shape == Pairs {
		return r.publishers
	}
	return r.publishers * r.subscribers
}

// A watch looks at a load while it runs.
type watch struct {
	r       *loadRun
	samples []float64
}

// wait samples until d is over (0: no such end), until says so, or nothing has
// moved for too long with all that was to be sent sent.
func (w *watch) wait(ctx context.Context, phase string, d time.Duration, over func(reading) bool) error {
	every := sampleEvery
	if over != nil {
		every = 5 * time.Millisecond // so that the end is seen when it comes
	}
	until := w.r.until
	if phase != "measure" {
		until = nil
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	start := time.Now()
	last := w.r.read()
	moved := last
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-w.r.failed:
			return err
		case <-until:
			return nil
		case <-tick.C:
		}
		now := w.r.read()
		if over != nil && over(now) || d > 0 && now.at.Sub(start) >= d {
			return nil
		}
		if now.received > moved.received {
			moved = now
		}
		if now.at.Sub(moved.at) > w.r.stall {
			if !w.release() && d == 0 {
				return nil // all is sent, and nothing comes
			}
			moved.at = now.at
		}
		if gap := now.at.Sub(last.at); gap >= sampleEvery {
			rate := float64(now.received-last.received) / gap.Seconds()
			last = now
			w.samples = append(w.samples, rate)
			w.tell(phase, now, rate, d-now.at.Sub(start))
		}
	}
}

// release gives up on messages that hold their publishers up.
func (w *watch) release() (any bool) {
	for _, p := range w.r.pubs {
		if p.forgive() {
			any = true
		}
	}
	return any
}

func (w *watch) tell(phase string, now reading, rate float64, left time.Duration) {
	p := Progress{Phase: phase, Done: int(now.received), Unit: "messages", Rate: rate, Left: max(left, 0)}
	if w.r.Messages > 0 {
		p.Total = w.r.Messages * w.r.deliveries()
	}
	w.r.progress(p)
}

// sum turns two readings into figures.
func (r *loadRun) sum(a, b reading) {
	r.halt() // the connections' counters are ours now

	took := b.at.Sub(a.at).Seconds()
	n := float64(b.received - a.received)
	rep := r.report
	rep.add("messages_per_second", "delivered", "messages/s", n/took)
	rep.add("published_per_second", "published", "messages/s", float64(b.sent-a.sent)/took)
	rep.add("megabytes_per_second", "payload delivered", "MB/s", n*float64(r.Payload)/took/1e6)
	if a.known && b.known && n > 0 {
		cpu := b.usage.cpu - a.usage.cpu
		rep.add("broker_cpu_us_per_message", "broker CPU per delivered message", "µs", us(cpu)/n)
		rep.add("broker_cpu_percent", "broker CPU", "%", 100*cpu.Seconds()/took)
		rep.add("broker_rss_mib", "broker memory", "MiB", float64(b.usage.rss)/(1<<20))
	}
	if own := b.own.cpu - a.own.cpu; own > 0 && n > 0 {
		rep.add("generator_cpu_us_per_message", "generator CPU per delivered message", "µs", us(own)/n)
		rep.add("generator_cpu_percent", "generator CPU", "%", 100*own.Seconds()/took)
	}
	if r.Dial != nil && n > 0 {
		rep.add("allocations_per_message", "allocations per delivered message", "", float64(b.mallocs-a.mallocs)/n)
	}
	rep.add("messages", "messages measured", "", n)
	for _, c := range r.all {
		rep.Faults.add(c.faults)
		rep.Faults.Lost += c.lost()
	}
	if r.latency != nil {
		rep.Latency, rep.Timed = r.latency.Latency(), "from when each was due"
	}
}
