package tiny

import (
	"time"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A stage is how far a connection has come.
type stage uint8

const (
	vacant   stage = iota
	greeting       // CONNECT is due
	open
	leaving // the last words are still to be written
	over    // there is nothing more to say
)

// A conn is one connection. What outlives it is its session's.
type conn struct {
	in    link.Reader
	out   link.Writer
	timer link.Timer

	since   time.Duration // leaving since; held or stuck since
	heldAt  uint32        // freed, when held was set
	stage   stage
	session uint8           // index + 1; 0: none yet
	code    mqtt.ReasonCode // the last word
	held    bool            // a packet waits for room
	stuck   bool            // answers wait that the client does not take
	connack bool            // CONNACK is due
	present bool            // what it says
	given   bool            // it carries the identifier the server chose

	first, n uint8 // replies waiting, a ring
	replies  [maxReplies]reply
	answer   handle // a SUBACK or UNSUBACK that waits
	filled   uint16 // bytes in the receive buffer
}

// maxReplies bounds the acknowledgements a client has not taken yet. When
// they are as many, nothing more is read from it.
const maxReplies = 8

// A reply is an acknowledgement, or PINGRESP.
type reply struct {
	id   mqtt.PacketID
	t    packet.Type
	code mqtt.ReasonCode
}

func (c *conn) reply(t packet.Type, id mqtt.PacketID, code mqtt.ReasonCode) {
	c.replies[(c.first+c.n)%maxReplies] = reply{id, t, code}
	c.n++
}

// Buffer returns the free part of a connection's receive buffer, to be read
// into. It is empty when the broker has to get rid of something first, and
// always if Limits want no buffers.
func (b *Broker) Buffer(s Slot) []byte {
	all := b.buffer(s)
	return all[b.conns[s].filled:]
}

func (b *Broker) buffer(s Slot) []byte {
	size := orNone(b.limits.ReceiveBuffer)
	return b.buffers[int(s)*size:][:size:size]
}

// Received says that n bytes have come into Buffer, and takes what packets
// they complete, as Receive does: it returns how many bytes they were. Call it
// again with 0 until it returns 0, with Outgoing in between, and when the broker
// may have found room since.
func (b *Broker) Received(s Slot, n int) (took int) {
	c, all := &b.conns[s], b.buffer(s)
	end := int(c.filled) + n
	took = b.Receive(s, all[:end])
	c.filled = uint16(copy(all, all[took:end]))
	return took
}

// Receive takes whole packets from the front of p, in place, and returns how
// many bytes they were. The rest is to be offered again, in front of what comes
// next: at once, after Outgoing, if any were taken, for Receive leaves off when
// it has filled somebody's queue; later if none were, for a packet may have been
// left where it is until there is room for it. p has to have room for MaxPacket
// bytes in one piece.
func (b *Broker) Receive(s Slot, p []byte) (n int) {
	c := &b.conns[s]
	for n < len(p) {
		switch {
		case c.stage != greeting && c.stage != open:
			return len(p) // nobody listens any more
		case c.held && c.heldAt == b.freed, c.n == maxReplies, c.answer != 0:
			return n
		}
		t, size, _, err := c.in.Next(p[n:], &b.packets)
		if err != nil {
			b.fault(s, err)
			b.unpark()
			return len(p)
		}
		if size == 0 {
			return n
		}
		if !b.handle(s, c, t) {
			if !c.held {
				b.stats.Held++
				c.since = b.now
				b.wake(b.now + 2*patience)
			}
			c.held, c.heldAt = true, b.freed
			return n
		}
		c.held = false
		c.timer.Heard(b.now)
		n += size
		if (c.n == maxReplies || c.answer != 0) && !c.stuck {
			c.stuck, c.since = true, b.now
			b.wake(b.now + patience)
		}
		if b.brimful { // the owner can empty it before more comes
			b.brimful = false
			break
		}
	}
	b.unpark()
	return n
}

// Held reports whether the bytes Receive left lie there for lack of room, and
// there is still none: nothing more should be read from the client until it is
// false. Then they are to be offered again.
func (b *Broker) Held(s Slot) bool {
	c := &b.conns[s]
	return c.stage == open && (c.held && c.heldAt == b.freed || c.n == maxReplies || c.answer != 0)
}

// fault ends a connection whose peer broke a rule [MQTT-4.13.1-1, 5.0]
// [MQTT-4.8.0-1, 3.1.1].
func (b *Broker) fault(s Slot, err error) {
	code := mqtt.UnspecifiedError
	if e, ok := err.(*packet.Error); ok {
		code = e.Code
	}
	c := &b.conns[s]
	c.out.Answer(c.in.Version(), c.in.PeerMax())
	b.end(s, code)
}

// handle does what the packet at hand asks for. false is no room for it now:
// nothing has happened yet.
func (b *Broker) handle(s Slot, c *conn, t packet.Type) bool {
	p := &b.packets
	switch t {
	case packet.CONNECT:
		b.connect(s, c, &p.Connect)
	case packet.PUBLISH:
		if p.Publish.QoS > mqtt.AtMostOnce {
			return b.publish(s, c, &p.Publish)
		}
		b.publish0(s, c, &p.Publish)
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP:
		b.acked(c, &p.Ack)
	case packet.PUBREL:
		code := mqtt.Success
		if !b.of(c).in.Pubrel(p.Ack.ID) {
			code = mqtt.PacketIdentifierNotFound
		}
		c.reply(packet.PUBCOMP, p.Ack.ID, code) // [MQTT-4.3.3-11, 5.0]
	case packet.SUBSCRIBE:
		return b.subscribe(s, c, &p.Subscribe)
	case packet.UNSUBSCRIBE:
		return b.unsubscribe(c, &p.Unsubscribe)
	case packet.PINGREQ:
		c.reply(packet.PINGRESP, 0, 0) // [MQTT-3.12.4-1]
	case packet.DISCONNECT:
		d := &p.Disconnect
		if d.Properties.Has(packet.PropSessionExpiryInterval) {
			b.of(c).expiry = d.Properties.SessionExpiryInterval
		}
		b.leave(s, d.Code)
		c.stage = over
	default: // AUTH; without a method agreed on, the link lets none through
	}
	return true
}

func (b *Broker) of(c *conn) *session { return &b.sessions[c.session-1] }

// acked takes PUBACK, PUBREC and PUBCOMP.
func (b *Broker) acked(c *conn, a *packet.Ack) {
	s := b.of(c)
	s.since = b.now
	switch a.Type {
	case packet.PUBACK:
		r, _ := s.out.Puback(a.ID)
		b.slab.drop(r.handle())
	case packet.PUBCOMP:
		s.out.Pubcomp(a.ID)
	case packet.PUBREC:
		r, known := s.out.Pubrec(a.ID, a.Code)
		b.slab.drop(r.handle())
		if known && a.Code.Failed() {
			break
		}
		// [MQTT-4.3.3-4, 5.0] [MQTT-4.3.3-1, 3.1.1]
		code := mqtt.Success
		if !known {
			code = mqtt.PacketIdentifierNotFound
		}
		c.reply(packet.PUBREL, a.ID, code)
	}
	b.freed++
}

// end makes the broker leave a connection, with code as the last word.
func (b *Broker) end(s Slot, code mqtt.ReasonCode) {
	c := &b.conns[s]
	b.leave(s, code)
	c.stage, c.code, c.since = leaving, code, b.now
	b.wake(b.now + farewell)
}

// leave parts a connection from its session; code says how it ended.
func (b *Broker) leave(s Slot, code mqtt.ReasonCode) {
	c := &b.conns[s]
	if c.session == 0 {
		return
	}
	ses := b.of(c)
	if hook := b.hooks.Disconnected; hook != nil {
		b.busy = true
		hook(b.introduce(s), code)
		b.busy = false
	}
	if c.connack && c.given { // too late to say which identifier it was
		c.connack, c.n = false, 0
		b.slab.drop(c.answer)
		c.answer = 0
	}
	c.session = 0
	c.held = false
	b.detach(ses, code)
}
