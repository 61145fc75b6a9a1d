package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// Retained fills the broker with retained messages, has them all replayed to
// a new subscriber, and watches how long another pair of clients, which have
// nothing to do with them, wait meanwhile.
type Retained struct {
	Target

	Messages int  // each with a topic of its own, [1, 10 million]; 0: 10,000
	Payload  int  // bytes, [16, 1<<20]; 0: 64
	Keep     bool // leave them there
}

func (c *Retained) defaults() error {
	if c.Messages == 0 {
		c.Messages = 10000
	}
	if c.Payload == 0 {
		c.Payload = 64
	}
	if c.Messages < 1 || c.Messages > 10_000_000 || c.Payload < stampSize || c.Payload > 1<<20 {
		return fmt.Errorf("bench: Messages is %d, want [1, 10000000]; Payload is %d, want [%d, %d]", c.Messages, c.Payload, stampSize, 1<<20)
	}
	return errors.Join(c.check(), checkPID(c.PID))
}

// Run loads, replays and deletes. It blocks until that is done.
func (c Retained) Run(ctx context.Context) (*Report, error) {
	if err := c.defaults(); err != nil {
		return nil, err
	}
	rep := c.newReport("retained")
	rep.set("messages", c.Messages)
	rep.set("payload", c.Payload)
	r := &retainedRun{Retained: &c, prefix: "bench/" + newRun(), report: rep}
	err := r.fill(ctx)
	if err == nil {
		err = r.replay(ctx)
	}
	if !c.Keep {
		clean := r.publish(context.WithoutCancel(ctx), "delete", 0)
		err = errors.Join(err, clean)
	}
	if err != nil {
		return nil, err
	}
	return rep, nil
}

type retainedRun struct {
	*Retained
	prefix string
	report *Report
}

func (r *retainedRun) topic(i int) string { return fmt.Sprintf("%s/%04d/%07d", r.prefix, i/1000, i) }

func (r *retainedRun) fill(ctx context.Context) error {
	before, _ := process(r.PID)
	start := time.Now()
	if err := r.publish(ctx, "fill", r.Payload); err != nil {
		return err
	}
	n := float64(r.Messages)
	r.report.add("retained_per_second", "retained", "messages/s", n/time.Since(start).Seconds())
	if after, ok := process(r.PID); ok {
		r.report.add("rss_bytes_per_message", "memory per retained message", "B", float64(after.rss-before.rss)/n)
		r.report.add("broker_cpu_us_per_retain", "broker CPU per retained message", "µs", us(after.cpu-before.cpu)/n)
	}
	return nil
}

// publish retains a message of so many bytes under each topic, at QoS 1, so
// that the broker has all of them when it returns. None deletes.
func (r *retainedRun) publish(ctx context.Context, phase string, payload int) error {
	const batch = 500
	_, err := r.with(ctx, "pub", func(p *peer) error {
		p.nc.SetDeadline(time.Time{})
		window := min(batch, p.receiveMax)
		msg := packet.Publish{QoS: mqtt.AtLeastOnce, Retain: true, Payload: make([]byte, payload)}
		var out []byte
		start := time.Now()
		for from := 0; from < r.Messages; from += window {
			out = out[:0]
			to := min(from+window, r.Messages)
			for i := from; i < to; i++ {
				msg.ID, msg.Topic = mqtt.PacketID(i-from+1), []byte(r.topic(i))
				out = msg.Append(out, p.version)
			}
			p.nc.SetDeadline(time.Now().Add(r.timeout()))
			if _, err := p.nc.Write(out); err != nil {
				return err
			}
			for range to - from {
				body, err := p.await(packet.PUBACK)
				if err != nil {
					return err
				}
				if len(body) > 2 && body[2] >= 0x80 {
					return &RefusedError{"retained message", mqtt.ReasonCode(body[2])}
				}
			}
			r.progress(Progress{Phase: phase, Done: to, Total: r.Messages, Unit: "messages", Rate: float64(to) / time.Since(start).Seconds()})
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		return nil
	})
	return err
}

// with connects, does, and says goodbye. It returns how long fn took.
func (r *retainedRun) with(ctx context.Context, role string, fn func(p *peer) error) (time.Duration, error) {
	p, err := r.open(ctx, 0, hello{id: "bench-" + role + "-" + r.prefix[len("bench/"):], buffer: 64 << 10})
	if err != nil {
		return 0, err
	}
	defer p.close()
	start := time.Now()
	err = fn(p)
	return time.Since(start), err
}

// replay subscribes to everything, beside a pair of bystanders.
func (r *retainedRun) replay(ctx context.Context) error {
	begin, over, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	by := Load{Target: r.Target, Shape: Pairs, Clients: 1, Rate: 1000, Warmup: 500 * time.Millisecond, Duration: time.Hour, until: over}
	by.PID, by.begun = 0, begin
	by.Progress = nil
	var side *Report
	var sideErr error
	go func() {
		defer close(ended)
		side, sideErr = by.Run(ctx)
	}()
	select {
	case <-begin:
	case <-ended:
		return sideErr
	}
	before, _ := process(r.PID)
	got := 0
	took, err := r.with(ctx, "sub", func(p *peer) error { return r.collect(p, &got) })
	after, known := process(r.PID)
	close(over)
	<-ended
	if err = errors.Join(err, sideErr); err != nil {
		return err
	}
	rep := r.report
	rep.add("replayed_per_second", "replayed to a wildcard", "messages/s", float64(got)/took.Seconds())
	rep.add("replay_seconds", "replay", "s", took.Seconds())
	rep.Faults.Lost += uint64(r.Messages - got)
	if known {
		rep.add("broker_cpu_us_per_replay", "broker CPU per message replayed", "µs", us(after.cpu-before.cpu)/float64(got))
	}
	rep.Latency, rep.Timed = side.Latency, "a bystander's 1,000 messages/s while the replay goes on"
	rep.Faults.add(side.Faults)
	return nil
}

// collect takes retained messages until all are there or none comes.
func (r *retainedRun) collect(p *peer, got *int) error {
	if err := r.ask(p); err != nil {
		return err
	}
	start := time.Now()
	for *got < r.Messages {
		if *got%1000 == 0 {
			p.nc.SetReadDeadline(time.Now().Add(r.timeout()))
			r.progress(Progress{Phase: "replay", Done: *got, Total: r.Messages, Unit: "messages", Rate: float64(*got) / time.Since(start).Seconds()})
		}
		if *got%100 == 0 {
			runtime.Gosched() // the bystanders' messages may have come
		}
		h, body, err := p.next()
		switch {
		case isTimeout(err):
			return nil // what has not come is lost
		case err != nil:
			return err
		case h.Type == packet.PUBLISH:
			*got++
		case h.Type == packet.DISCONNECT:
			return farewell(body)
		}
	}
	return nil
}

// ask subscribes without waiting: retained messages may come before SUBACK.
func (r *retainedRun) ask(p *peer) error {
	s := packet.Subscribe{ID: 1}
	s.Filters = s.Filters.Add(packet.Subscription{Filter: []byte(r.prefix + "/#")})
	_, err := p.nc.Write(s.Append(nil, p.version))
	return err
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
