package midge

import (
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// How long a run at QoS 1 or 2 may be. Its messages lie in one piece of memory,
// and the last to be acknowledged holds all of it.
const (
	ackedMost  = 32
	ackedBytes = 8 << 10 // no message is added behind so many
)

// endAcked hands over a run at QoS 1 or 2: to those who can take all of it at
// once, and to the others message by message: what waits in a queue, perhaps
// for long and without its neighbours, has memory of its own.
func (c *conn) endAcked(sc *scratch) {
	r := &sc.run
	for i := range r.plan.targets {
		if t := &r.plan.targets[i]; !t.s.deliverRun(sc, c, t) {
			r.rest = append(r.rest, t)
		}
	}
	for raw := r.raw; len(r.rest) > 0 && len(raw) > 0; {
		raw = c.takeOf(sc, raw)
		for _, t := range r.rest {
			t.s.deliver(sc, &sc.batch, delivery{qos: min(r.qos, t.qos)})
		}
	}
	clear(r.rest)
	clear(r.kept)
	r.plan, r.raw, r.n, r.kept, r.rest = nil, nil, 0, r.kept[:0], r.rest[:0]
}

// messages are those of the run of by, for those who are sent all of it.
func (r *run) messages(sc *scratch, by *conn) []*message {
	if len(r.kept) > 0 {
		return r.kept
	}
	if r.n == 1 {
		by.takeOf(sc, r.raw)
		r.kept = append(r.kept, sc.keep())
		return r.kept
	}
	all := make([]message, r.n)
	b := make([]byte, 0, len(r.raw)) // a little more than the topic once and all payloads
	b = append(b, r.plan.topic...)
	topic := b[:len(b):len(b)]
	rest := r.raw
	for i := range all {
		h, _ := packet.ReadHeader(rest)
		n := h.Size + h.Len
		at := len(b)
		b = append(b, rest[r.payloadAt(h):n]...)
		all[i] = message{
			topic: topic, payload: b[at:len(b):len(b)], origin: by.session.id,
			arrived: sc.now.UnixNano(), qos: r.qos,
		}
		r.kept = append(r.kept, &all[i])
		rest = rest[n:]
	}
	return r.kept
}

// idAt is where the Packet Identifier stands in a frame with header h.
func (r *run) idAt(h packet.Header) int { return h.Size + 2 + len(r.plan.topic) }

// payloadAt is where the payload begins: such a message has no properties.
func (r *run) payloadAt(h packet.Header) int {
	if r.v5 {
		return r.idAt(h) + 3
	}
	return r.idAt(h) + 2
}

// deliverRun takes the run of by for this session, which t is about: all of it
// is written and awaits its acknowledgements. False is a session that has to be
// given each message by itself.
func (s *session) deliverRun(sc *scratch, by *conn, t *target) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &sc.run
	c := s.conn.Load()
	if s.ended || c == nil || t.qos < r.qos || s.backlog.Load() || s.outLocked().Room() < r.n ||
		s.fullLocked(len(r.raw)+r.n*messageCost) {
		return false
	}
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stage != flowing || (o.w.Version() == mqtt.V5) != r.v5 || o.w.Aliasing() || !o.w.Fits(r.largest) ||
		c.keptLocked().messages > 0 || len(o.out)+len(c.keptLocked().b)+len(r.raw) > flushAt {
		return false
	}
	rest := len(o.out)
	o.out = append(c.roomFor(len(r.raw)), r.raw...)
	before := s.flying
	for _, m := range r.messages(sc, by) {
		id := s.out.Publish(r.qos, delivery{m: m, qos: r.qos})
		s.flying += m.size()
		frame := o.out[rest:]
		h, _ := packet.ReadHeader(frame)
		frame[0] &^= 0x08 // DUP is the publisher's [MQTT-3.3.1-3]
		at := r.idAt(h)
		frame[at], frame[at+1] = byte(id>>8), byte(id)
		rest += h.Size + h.Len
	}
	s.b.hold(s.flying - before)
	o.messages += int32(r.n)
	o.sent.messages += uint32(r.n)
	o.sent.packets += uint32(r.n)
	c.markLocked(&sc.batch)
	return true
}
