package midge

import (
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// How long a run of several messages at QoS 1 or 2 may be. They lie in one piece
// of memory, and the last to be acknowledged holds all of it.
const (
	ackedMost  = 32
	ackedBytes = 16 << 10 // delivery.from and to have no room for more than 64 KiB
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
	r.plan, r.raw, r.n, r.packed, r.rest = nil, nil, 0, nil, r.rest[:0]
}

// claimAll claims and acknowledges packets that repeat the one at hand, as far as
// they are new, and returns how many bytes they have.
func (c *conn) claimAll(sc *scratch, b []byte) (n int) {
	r, size := &sc.run, len(sc.raw)
	t := packet.PUBACK
	if r.qos == mqtt.ExactlyOnce {
		t = packet.PUBREC
	}
	for at := size - len(sc.packets.Publish.Payload) - r.gap(); n < len(b); n += size { // the identifier's place
		hi, lo := b[n+at], b[n+at+1]
		if !c.session.in.Pass(r.qos, mqtt.PacketID(hi)<<8|mqtt.PacketID(lo)) {
			break
		}
		sc.confirms = append(sc.confirms, byte(t)<<4, 2, hi, lo)
	}
	return n
}

// pack returns the run as what outlives the batch, for those who are sent all of
// it: the message itself, or one that has all the frames as its payload. Each
// delivery of such a pack says where in there its own payload is.
func (r *run) pack(sc *scratch, by *conn) *message {
	switch {
	case r.packed != nil:
	case r.n == 1:
		by.takeOf(sc, r.raw)
		r.packed = sc.keep()
	default:
		frames := append([]byte(nil), r.raw...)
		h, _ := packet.ReadHeader(frames)
		r.packed = &message{
			topic: frames[h.Size+2:][:len(r.plan.topic)], payload: frames,
			origin: by.session.id, arrived: sc.now.UnixNano(), qos: r.qos,
		}
	}
	return r.packed
}

// gap is how many bytes stand between topic and payload, an identifier first:
// such a message has no properties.
func (r *run) gap() int {
	if r.v5 {
		return 3
	}
	return 2
}

// size is what the message costs a queue, in bytes. In a pack it is a share:
// while it is there, it may hold all of that.
func (d *delivery) size() int {
	if d.to == 0 {
		return d.m.size()
	}
	return len(d.m.topic) + int(d.to-d.from) + messageCost
}

// unpack gives a delivery a message of its own, of the same size.
func (d *delivery) unpack() {
	if d.to == 0 {
		return
	}
	m := *d.m
	m.payload = m.payload[d.from:d.to]
	d.m, d.from, d.to = m.clone(), 0, 0
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
	at := len(o.out)
	o.out = append(c.roomFor(len(r.raw)), r.raw...)
	before := s.flying
	s.openLocked(r, r.pack(sc, by), o.out[at:])
	s.b.hold(s.flying - before)
	o.messages += int32(r.n)
	o.sent.messages += uint32(r.n)
	o.sent.packets += uint32(r.n)
	c.markLocked(&sc.batch)
	return true
}

// openLocked opens an exchange for each message of the run, and gives the frames
// their identifiers.
func (s *session) openLocked(r *run, m *message, frames []byte) {
	size, idAt := 0, 0
	for from := 0; from < len(frames); from += size {
		if size == 0 || r.n*r.largest != len(frames) { // otherwise all have the length, and so the header, of the first
			h, _ := packet.ReadHeader(frames[from:])
			size, idAt = h.Size+h.Len, h.Size+2+len(r.plan.topic)
		}
		slot := s.out.Open(r.qos)
		d := &slot.Value
		d.m, d.qos = m, r.qos
		if r.n > 1 {
			d.from, d.to = uint16(from+idAt+r.gap()), uint16(from+size)
		}
		s.flying += d.size()
		frame := frames[from : from+size]
		frame[0] &^= 0x08 // DUP is the publisher's [MQTT-3.3.1-3]
		frame[idAt], frame[idAt+1] = byte(slot.ID>>8), byte(slot.ID)
	}
}
