package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A prober asks for retained messages, as a client that has never been there,
// and holds them against the ledger.
type prober struct {
	w *world
	n int
}

func (p *prober) run(ctx context.Context) {
	for ctx.Err() == nil {
		p.n++
		if err := p.look(ctx); err != nil {
			p.w.failed(ctx, "probe", err)
			continue
		}
		p.w.looks.Add(1)
		p.w.pause(ctx, 50*time.Millisecond)
	}
}

// A look is what one new subscriber gets to see.
type look struct {
	wire  *wire
	mark  string          // the topic of a message of its own, behind the retained ones
	least map[*stream]int // up to where all was acknowledged before it subscribed
	found map[*stream]int // what came as retained; of a topic for which nothing did, what came as new
	live  map[*stream]bool
}

func (p *prober) look(ctx context.Context) error {
	v := mqtt.V311 + mqtt.Version(p.n%2)
	id := fmt.Sprintf("probe-%d", p.n)
	w, _, err := connect(ctx, p.w.addr, hello(v, id, 0))
	if err != nil {
		return err
	}
	defer w.close()
	l := &look{wire: w, mark: "c/mark/" + id, least: p.w.ledger.floors(), found: map[*stream]int{}, live: map[*stream]bool{}}
	sub := packet.Subscribe{ID: 1, Properties: new(packet.Properties)}
	for _, filter := range []string{"c/r/+/+", "c/q/+/+", l.mark} {
		sub.Filters = sub.Filters.Add(packet.Subscription{Filter: []byte(filter), QoS: 1})
	}
	if err := w.send(sub.Append(nil, v)); err != nil {
		return err
	}
	w.nc.SetReadDeadline(time.Now().Add(patience))
	if err := p.collect(l); err != nil {
		return err
	}
	p.w.ledger.compareRetained(l)
	return nil
}

// collect reads until the mark comes. A message that is replaced at that very
// moment may come as the new one alone, behind the mark even: there is a moment
// for that.
func (p *prober) collect(l *look) error {
	for marked := false; ; {
		h, body, err := l.wire.next()
		if marked && errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		switch h.Type {
		case packet.SUBACK:
			m := packet.Publish{QoS: 1, ID: 1, Topic: []byte(l.mark), Payload: []byte("end"), Properties: new(packet.Properties)}
			err = l.wire.send(m.Append(nil, l.wire.v))
		case packet.PUBLISH:
			var m packet.Publish
			if err = m.Decode(l.wire.v, h.Flags, body); err == nil && m.QoS > mqtt.AtMostOnce {
				err = l.wire.ack(packet.PUBACK, m.ID)
			}
			if string(m.Topic) != l.mark {
				p.w.ledger.saw(l, &m)
				break
			}
			marked = true
			l.wire.nc.SetReadDeadline(time.Now().Add(2 * time.Second))
		case packet.DISCONNECT:
			err = errors.New("the broker ended the connection")
		}
		if err != nil || marked && p.w.ledger.complete(l) {
			return err
		}
	}
}

// floors are, for each stream that is retained, up to where all is
// acknowledged.
func (l *ledger) floors() map[*stream]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[*stream]int{}
	for _, s := range l.streams {
		if s.retained {
			all[s] = s.floor
		}
	}
	return all
}

// saw takes note of one message. What clears a topic is not retained, and comes
// as new alone.
func (l *ledger) saw(k *look, m *packet.Publish) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.topics[string(m.Topic)]
	if s != nil && len(m.Payload) == 0 {
		k.live[s] = true
		return
	}
	n := 0
	if s != nil {
		n, _ = s.number(m.Payload)
	}
	if n == 0 {
		l.faults.add(&l.faults.Foreign, "at %v: %s has %q, which nobody sent", l.now(), m.Topic, m.Payload[:min(len(m.Payload), 20)])
		return
	}
	if _, some := k.found[s]; m.Retain || !some {
		k.found[s] = n
	}
}

// lacks reports whether a topic has something retained and nothing has come.
func (k *look) lacks(s *stream) bool {
	_, some := k.found[s]
	return !some && !k.live[s] && !s.mayBeEmpty(k.least[s])
}

func (l *ledger) complete(k *look) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range k.least {
		if k.lacks(s) {
			return false
		}
	}
	return true
}

// compareRetained holds what a new subscriber was sent against what was
// acknowledged before it subscribed: that or something later, and nothing only
// if one of these clears the topic.
func (l *ledger) compareRetained(k *look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s, floor := range k.least {
		n, some := k.found[s]
		switch {
		case k.lacks(s):
			l.faults.add(&l.faults.Stale, "at %v: nothing is retained on %s, and #%d was acknowledged", l.now(), s.topic, floor)
		case some && n < floor:
			l.faults.add(&l.faults.Stale, "at %v: %s retains #%d, and #%d was acknowledged", l.now(), s.topic, n, floor)
		}
	}
}

// mayBeEmpty reports whether a topic whose messages up to floor are
// acknowledged may have nothing retained.
func (s *stream) mayBeEmpty(floor int) bool {
	for n := max(floor, 1); n <= len(s.sent); n++ {
		if s.clears(n) {
			return true
		}
	}
	return floor == 0
}
