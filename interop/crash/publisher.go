package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A publisher sends numbered messages at QoS 1 and 2 and holds on to each
// through as many connections as its acknowledgement takes, as the standard
// has it: the same identifier, DUP set, in the old order [MQTT-4.4.0-1].
type publisher struct {
	w       *world
	id      string
	version mqtt.Version
	streams [][]*stream // by kind, so that each kind gets its share
	pace    time.Duration
	idle    atomic.Bool // it is to send nothing new, and has nothing open

	mu     sync.Mutex
	rng    *rand.Rand
	past   past
	flight []*flying
	ids    mqtt.PacketID
}

// A flying message is not acknowledged for good.
type flying struct {
	s        *stream
	n        int
	id       mqtt.PacketID
	payload  []byte
	released bool // PUBREC has come
}

const (
	window = 16 // how many may be open; mosquitto's own limit is 20
	seldom = 4  // the kind that gets less than its share
)

func (p *publisher) run(ctx context.Context) {
	var before *wire
	defer func() { before.end() }()
	for !p.idle.Load() && ctx.Err() == nil {
		w, present, err := connect(ctx, p.w.addr, hello(p.version, p.id, forever))
		before.end()
		before = nil
		if err != nil {
			p.past.tried = true
			p.w.failed(ctx, p.id, err)
			continue
		}
		p.converse(ctx, w, present)
		if before = w; p.rng.IntN(2) == 0 { // or it is taken over
			before.end()
		}
	}
}

// converse publishes until the connection ends, it has had enough of it, or all
// is done.
func (p *publisher) converse(ctx context.Context, w *wire, present bool) {
	if p.resume(w, present) != nil {
		return
	}
	ended := w.listen(func(h packet.Header, body []byte) error { return p.answer(w, h, body) })
	tick := time.NewTicker(p.pace)
	defer tick.Stop()
	leave := time.NewTimer(between{100 * time.Millisecond, 5 * time.Second}.pick(p.rng))
	defer leave.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
			return
		case <-leave.C:
			if !p.w.draining() {
				return
			}
		case <-tick.C:
			if p.step(w) != nil || p.idle.Load() {
				return
			}
		}
	}
}

// resume takes up what is open.
func (p *publisher) resume(w *wire, present bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.w.ledger.present(p.id, &p.past, present)
	if !present {
		p.flight = nil // whether the broker had them nobody can tell
	}
	for _, f := range p.flight {
		var err error
		if f.released {
			err = w.ack(packet.PUBREL, f.id)
		} else {
			err = f.send(w, true)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *flying) send(w *wire, dup bool) error {
	m := packet.Publish{
		Dup: dup, Retain: f.s.retained, QoS: f.s.qos, ID: f.id, Topic: []byte(f.s.topic), Payload: f.payload,
		Properties: new(packet.Properties),
	}
	return w.send(m.Append(nil, w.v))
}

// step sends one new message, if it may.
func (p *publisher) step(w *wire) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w.draining() {
		p.idle.Store(len(p.flight) == 0)
		return nil
	}
	if len(p.flight) >= window {
		return nil
	}
	kind := p.streams[p.rng.IntN(seldom)]
	if p.rng.IntN(50) == 0 {
		kind = p.streams[seldom]
	}
	f := &flying{s: kind[p.rng.IntN(len(kind))], id: p.freeID()}
	f.n, f.payload = p.w.ledger.next(f.s)
	p.flight = append(p.flight, f)
	return f.send(w, false)
}

func (p *publisher) freeID() mqtt.PacketID {
	for {
		p.ids++
		if p.ids != 0 && !slices.ContainsFunc(p.flight, func(f *flying) bool { return f.id == p.ids }) {
			return p.ids
		}
	}
}

// answer takes an acknowledgement. They come in the order of what they
// acknowledge [MQTT-4.6.0-2] [MQTT-4.6.0-3].
func (p *publisher) answer(w *wire, h packet.Header, body []byte) error {
	var a packet.Ack
	switch h.Type {
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP:
	default:
		return nil
	}
	if err := a.Decode(w.v, h.Type, body); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.flight, func(f *flying) bool { return f.id == a.ID })
	if i < 0 {
		p.w.ledger.fault(func(f *faults) *int { return &f.Acks }, "%s got %v of nothing, %d", p.id, h.Type, a.ID)
		return nil
	}
	f := p.flight[i]
	early := slices.ContainsFunc(p.flight[:i], func(g *flying) bool { return g.s.qos == f.s.qos && !g.released })
	want := f.s.qos == mqtt.AtLeastOnce && h.Type == packet.PUBACK ||
		f.s.qos == mqtt.ExactlyOnce && (h.Type == packet.PUBREC && !f.released || h.Type == packet.PUBCOMP && f.released)
	if !want || h.Type != packet.PUBCOMP && early {
		p.w.ledger.fault(func(f *faults) *int { return &f.Acks }, "%s got %v for %s #%d, early %v", p.id, h.Type, f.s.topic, f.n, early)
	}
	switch {
	case a.Code.Failed() && h.Type != packet.PUBCOMP: // PUBCOMP: not found is what it says to a second PUBREL
		p.w.ledger.fault(func(f *faults) *int { return &f.Refused }, "%s got %v %v for %s #%d", p.id, h.Type, a.Code, f.s.topic, f.n)
	case h.Type == packet.PUBREC:
		f.released = true
		return w.ack(packet.PUBREL, f.id)
	default:
		p.w.ledger.acknowledged(f.s, f.n)
	}
	p.flight = slices.Delete(p.flight, i, i+1)
	return nil
}
