package tiny

import (
	"time"

	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

const (
	roomReply   = 5              // the longest acknowledgement
	roomConnack = 64             // more than any CONNACK takes
	roomAround  = 24 + 5*maxAsks // what PUBLISH has around topic, section and payload, at most
)

// Pending reports whether Outgoing, or Over, has news for a connection.
func (b *Broker) Pending(at Slot) bool {
	c := &b.conns[at]
	switch c.stage {
	case leaving, over:
		return true
	case open:
		s := b.of(c)
		return c.connack || c.n > 0 || c.answer != 0 || s.queued > 0 || s.owed > 0 || s.out.Pending()
	}
	return false
}

// Outgoing fills dst with whole packets that are to go to the client, and
// returns how many bytes they are; the broker forgets them, so they have to
// be sent. 0 is nothing to send, or no room for the next packet: sooner or
// later dst has to have Limits.MaxOutgoing bytes.
func (b *Broker) Outgoing(at Slot, dst []byte) int {
	c := &b.conns[at]
	if c.stage != open && c.stage != leaving {
		return 0
	}
	dst = dst[:0:len(dst)]
	if c.connack {
		if cap(dst) < roomConnack {
			return 0
		}
		dst = b.sayConnack(c, dst)
	}
	for c.n > 0 && cap(dst)-len(dst) >= roomReply {
		r := c.replies[c.first]
		c.first = (c.first + 1) % maxReplies
		c.n--
		c.stuck = false
		b.freed++
		if r.t == packet.PINGRESP {
			dst = c.out.Pingresp(dst)
		} else {
			dst = c.out.Ack(dst, r.t, r.id, r.code)
		}
	}
	if c.answer != 0 {
		dst = b.sayAnswer(c, dst)
	}
	if c.out.Closed() { // an answer did not fit, and the client has been told so
		b.leave(at, mqtt.PacketTooLarge)
		c.stage = over
		return len(dst)
	}
	if c.stage == leaving {
		if c.n == 0 && c.answer == 0 && cap(dst)-len(dst) >= roomConnack {
			dst = c.out.Refuse(dst, c.code, "")
			c.stage = over
		}
		b.unpark()
		return len(dst)
	}
	if c.n == 0 && c.answer == 0 {
		dst = b.sayMessages(c, b.of(c), dst)
	}
	b.unpark()
	return len(dst)
}

func (b *Broker) sayConnack(c *conn, dst []byte) []byte {
	c.connack = false
	k := &b.packets.Connack
	*k = packet.Connack{SessionPresent: c.present && c.in.Version() != mqtt.V31}
	if c.in.Version() == mqtt.V5 {
		l, p := c.in.Limits(), b.packets.Blank()
		p.ReceiveMaximum, p.MaximumPacketSize = l.ReceiveMaximum, l.MaxPacketSize
		p.Present = p.Present.With(packet.PropSharedSubscriptionAvailable)
		if l.MaxQoS < mqtt.ExactlyOnce {
			p.MaximumQoS = byte(l.MaxQoS)
			p.Present = p.Present.With(packet.PropMaximumQoS)
		}
		if !l.RetainAvailable {
			p.Present = p.Present.With(packet.PropRetainAvailable)
		}
		if c.given {
			p.AssignedClientIdentifier = b.slab.bytes(b.of(c).id) // [MQTT-3.2.2-16, 5.0]
		}
		k.Properties = p
	}
	dst = c.out.Connack(dst, k)
	c.out.Open()
	return dst
}

func (b *Broker) sayAnswer(c *conn, dst []byte) []byte {
	o := b.slab.bytes(c.answer)
	if cap(dst)-len(dst) < len(o)+8 {
		return dst
	}
	b.packets.Suback = packet.Suback{Type: packet.Type(o[0]), ID: mqtt.PacketID(get16(o[1:])), Codes: o[answerCodes:]}
	dst = c.out.Suback(dst, &b.packets.Suback)
	b.slab.drop(c.answer)
	c.answer, c.stuck = 0, false
	b.freed++
	return dst
}

// sayMessages adds what goes to the client of its own accord: what an earlier
// connection left open, what waits, and retained messages it is owed.
func (b *Broker) sayMessages(c *conn, s *session, dst []byte) []byte {
	for s.out.Pending() {
		next, ok := b.resend(c, s, dst)
		if !ok {
			return next
		}
		dst = next
	}
	for s.queued > 0 {
		before := uint16(0)
		if !s.out.Ready() {
			// [MQTT-4.9.0-3, 5.0] what needs no quota goes on
			if before = b.lastAcked(s); before == s.last {
				return dst
			}
		}
		next, ok := b.say(c, s, dst, b.places[b.after(s, before)-1].ref, nil)
		if !ok {
			return dst
		}
		dst = next
		b.slab.drop(b.take(s, before).handle())
	}
	for s.owed > 0 {
		sub, m := b.nextOwed(s)
		if m == nil {
			break
		}
		v := b.view(m.msg)
		r := makeRef(m.msg, qosOf(sub, &v), true) // [MQTT-3.3.1-8]
		if r.qos() > mqtt.AtMostOnce && !s.out.Ready() {
			return dst
		}
		next, ok := b.say(c, s, dst, r, sub)
		if !ok {
			return dst
		}
		dst = next
		m.used = b.tick()
		sub.cursor++
	}
	return dst
}

// resend sends an exchange of an earlier connection again [MQTT-4.4.0-1]
// [MQTT-3.3.1-1]. false is no room, or no quota.
func (b *Broker) resend(c *conn, s *session, dst []byte) ([]byte, bool) {
	if cap(dst)-len(dst) < b.limits.MaxOutgoing() {
		return dst, false
	}
	slot := s.out.Resend()
	if slot == nil {
		return dst, false
	}
	if slot.Stage == flow.AwaitPubcomp {
		return c.out.Ack(dst, packet.PUBREL, slot.ID, mqtt.Success), true
	}
	f := packet.Forward{Dup: true, ID: slot.ID}
	end := b.forward(c, s, &f, slot.Value, nil)
	f.Expiry, _ = left(end, b.now) // its identifier is in use: it goes out even if late
	if c.out.Fits(f.Size(c.in.Version())) {
		b.stats.Sent++
		return f.Append(dst, c.in.Version()), true
	}
	// [MQTT-3.1.2-25, 5.0] as if it had been acknowledged
	b.slab.drop(slot.Value.handle())
	if slot.Stage == flow.AwaitPuback {
		s.out.Puback(slot.ID)
	} else {
		s.out.Pubrec(slot.ID, mqtt.PacketTooLarge)
	}
	return dst, true
}

// say adds one PUBLISH, and at QoS 1 and 2 opens its exchange. A message that
// expired or is too large for the client is passed over. false is no room in dst.
func (b *Broker) say(c *conn, s *session, dst []byte, r ref, due *subscription) ([]byte, bool) {
	var f packet.Forward
	if end := b.forward(c, s, &f, r, due); f.Expires {
		var fresh bool
		if f.Expiry, fresh = left(end, b.now); !fresh {
			b.stats.Expired++
			return dst, true
		}
	}
	atMost := len(f.Topic) + len(f.Payload) + len(f.Section) + roomAround
	if cap(dst)-len(dst) < atMost || !c.out.Fits(atMost) { // then it is worth counting
		switch size := f.Size(c.in.Version()); {
		case !c.out.Fits(size): // [MQTT-3.1.2-25, 5.0]
			return dst, true
		case cap(dst)-len(dst) < size:
			return dst, false
		}
	}
	if f.QoS > mqtt.AtMostOnce {
		f.ID = s.out.Publish(f.QoS, r)
		b.slab.hold(r.handle())
	}
	b.stats.Sent++
	return f.Append(dst, c.in.Version()), true
}

// forward is a message as one session gets it. It carries the identifiers of
// all the session's subscriptions that match [MQTT-3.3.4-3] [MQTT-3.3.4-4, 5.0],
// or, a retained one, of the one it is due to.
func (b *Broker) forward(c *conn, s *session, f *packet.Forward, r ref, due *subscription) (end time.Duration) {
	end = b.load(r.handle(), f)
	f.QoS, f.Retain = r.qos(), r.retain()
	if s.asks == 0 || c.in.Version() != mqtt.V5 {
		return end
	}
	ids, own := b.ids[:0], b.slab.bytes(r.handle())[originAt] == s.at
	for i := range b.subs[:b.nsubs] {
		sub := &b.subs[i]
		switch {
		case sub.id == 0 || sub.session != s.at || due != nil && sub != due:
		case due == nil && (own && sub.options&optionNoLocal != 0 || !b.matches(sub, f.Topic)):
		default:
			ids = append(ids, sub.id)
		}
	}
	f.IDs = ids
	return end
}
