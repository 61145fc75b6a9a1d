package tiny

import (
	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// publish takes one QoS 1 or 2 PUBLISH through its stages: is it a repeat, is there room
// with everybody who is to have it, may it be; then it is stored once, retained,
// queued and acknowledged. Without room it is parked: stored, and acknowledged
// when there is. false is no room even for that, and nothing has happened.
func (b *Broker) publish(at Slot, c *conn, p *packet.Publish) bool {
	s := b.of(c)
	switch {
	case s.in.Holds(p.ID):
		b.repeated(at, c, p)
		return true
	case s.in.Open()+int(s.npark) >= b.limits.ReceiveMaximum: // [X5-3.3.4-e]
		b.end(at, mqtt.ReceiveMaximumExceeded)
		return true
	}
	code := forbidden(p)
	if code == mqtt.Success && b.hooks.Publish != nil {
		b.message = Message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain}
		code = b.ask(at)
	}
	if !code.Failed() {
		code = b.verdict(c, p.Topic, s.at, p.QoS)
	}
	var h handle
	parks := code == wait || s.npark > 0 // in order, whatever becomes of it [MQTT-4.6.0-2]
	if parks || code == mqtt.Success || code == mqtt.NoMatchingSubscribers && p.Retain {
		after := 0
		if parks {
			after = parkedPart
		}
		if h = b.store(p, s.at, b.now, after); h == 0 {
			b.runShort()
			if parks || c.in.Version() != mqtt.V5 {
				return false
			}
			code = mqtt.QuotaExceeded
		} else {
			b.short = 0
		}
	}
	b.stats.Received++
	if p.Retain && h != 0 && !code.Failed() {
		b.retain(h) // at once, even if it is parked: it is newer than what was
	}
	if parks {
		b.park(s, h, p.ID, code)
	} else {
		b.accept(c, h, p.QoS, p.Retain, p.ID, code)
	}
	return true
}

// wait is a message that has to wait for room: a code no packet carries.
const wait mqtt.ReasonCode = 0x7F

// verdict says whether everybody who subscribes to a topic has room for a QoS 1
// or 2 message: Success, NoMatchingSubscribers, wait, or, where one is away and
// so makes no room and 5.0 lets us say so, QuotaExceeded.
func (b *Broker) verdict(c *conn, topic []byte, from uint8, q mqtt.QoS) mqtt.ReasonCode {
	if !b.match(topic, from) {
		return mqtt.NoMatchingSubscribers
	}
	code := mqtt.Success
	for _, i := range b.hits {
		if min(q, b.grants[i].qos()) == mqtt.AtMostOnce || int(i) == len(b.sessions) {
			continue
		}
		s := &b.sessions[i]
		if b.room(s) {
			continue
		}
		if s.conn == 0 && c.in.Version() == mqtt.V5 {
			return mqtt.QuotaExceeded
		}
		b.refuseFull(s)
		code = wait
	}
	return code
}

// accept routes and acknowledges a message that match has just found room for;
// h is what is stored of it, if it has to be.
func (b *Broker) accept(c *conn, h handle, q mqtt.QoS, retain bool, id mqtt.PacketID, code mqtt.ReasonCode) {
	s := b.of(c)
	s.in.Publish(q, id)
	if h != 0 && !code.Failed() {
		b.route(h, q, retain)
		h = 0
	}
	b.slab.drop(h)
	if code == mqtt.QuotaExceeded {
		b.stats.Refused++
	}
	s.in.Ack(id, code)
	b.acknowledge(c)
}

// publish0 takes a QoS 0 message, which nobody waits for: what has no room is
// dropped.
func (b *Broker) publish0(at Slot, c *conn, p *packet.Publish) {
	b.stats.Received++
	if p.Topic[0] == '$' || p.Properties.PayloadFormatIndicator != 0 { // rare, and so looked at twice
		if code := forbidden(p); code != mqtt.Success {
			if code == mqtt.PayloadFormatInvalid {
				b.end(at, code)
			}
			return
		}
	}
	if b.hooks.Publish != nil {
		b.message = Message{Topic: p.Topic, Payload: p.Payload, Retain: p.Retain}
		if b.ask(at).Failed() {
			return
		}
	}
	from := c.session - 1
	if !b.match(p.Topic, from) && !p.Retain {
		return
	}
	h := b.store(p, from, b.now, 0)
	if h == 0 {
		b.stats.Dropped++
		return
	}
	if p.Retain {
		b.retain(h)
	}
	b.route(h, p.QoS, p.Retain)
}

// acknowledge passes receipts on in the order the messages came. Before 5.0
// they cannot say no [MQTT-3.3.5-2, 3.1.1].
func (b *Broker) acknowledge(c *conn) {
	for {
		r, ok := b.of(c).in.Next()
		if !ok {
			return
		}
		t := packet.PUBACK
		if r.QoS == mqtt.ExactlyOnce {
			t = packet.PUBREC
		}
		c.reply(t, r.ID, r.Code)
	}
}

// repeated takes a message under an identifier that an open QoS 2 exchange
// holds [MQTT-4.3.3-10, 5.0] [MQTT-4.3.3-2, 3.1.1].
func (b *Broker) repeated(at Slot, c *conn, p *packet.Publish) {
	switch s := b.of(c); s.in.Publish(p.QoS, p.ID) {
	case flow.Clash:
		b.end(at, mqtt.PacketIdentifierInUse)
	case flow.Excess:
		b.end(at, mqtt.ReceiveMaximumExceeded)
	default:
		s.in.Ack(p.ID, mqtt.Success)
		b.acknowledge(c)
	}
}

// forbidden refuses what may not be published by anybody.
func forbidden(p *packet.Publish) mqtt.ReasonCode {
	switch {
	case p.Topic[0] == '$': // [X5-4.7.2-a] [X311-4.7.2-a]
		return mqtt.NotAuthorized
	case p.Properties.PayloadFormatIndicator == 1 && !p.PayloadFormatOK(): // [X5-3.3.2.3.2-a]
		return mqtt.PayloadFormatInvalid
	}
	return mqtt.Success
}

// ask asks Hooks.Publish about the message at hand.
func (b *Broker) ask(at Slot) mqtt.ReasonCode {
	b.busy = true
	code := b.hooks.Publish(b.introduce(at), &b.message)
	b.busy = false
	if code.Failed() {
		b.stats.Denied++
	}
	return code
}

// allowed asks Hooks.Publish about a will.
func (b *Broker) allowed(s *session, v *view) bool {
	hook := b.hooks.Publish
	if hook == nil {
		return true
	}
	b.client = Client{ID: b.slab.bytes(s.id)}
	b.message = Message{Topic: v.topic, Payload: v.payload, QoS: v.qos, Retain: v.retain}
	b.busy = true
	code := hook(&b.client, &b.message)
	b.busy = false
	if code.Failed() {
		b.stats.Denied++
	}
	return !code.Failed()
}

// route queues a message with everybody match found. The caller's reference
// goes along, or is dropped.
func (b *Broker) route(h handle, q mqtt.QoS, retain bool) {
	passed, full := false, uint16(b.limits.Queue)
	for _, i := range b.hits {
		g := b.grants[i]
		if int(i) == len(b.sessions) {
			b.deliver(h)
			continue
		}
		s := &b.sessions[i]
		// [MQTT-3.8.4-8, 5.0] [MQTT-3.8.4-6, 3.1.1] [MQTT-3.3.1-12, 5.0] [MQTT-3.3.1-9, 3.1.1]
		r := makeRef(h, min(q, g.qos()), retain && g.asPublished())
		if r.qos() == mqtt.AtMostOnce && s.conn == 0 {
			continue // QoS 0 is for those who are there
		}
		if s.queued >= full { // at QoS 1 and 2 only a will comes this far
			if s.conn != 0 {
				b.refuseFull(s)
			}
			b.stats.Dropped++
			continue
		}
		if passed {
			b.slab.hold(h)
		}
		passed = true
		b.push(s, r)
		if s.queued == full {
			b.brimful = true
		}
	}
	if !passed {
		b.slab.drop(h)
	}
}

// deliver hands a message to the program.
func (b *Broker) deliver(h handle) {
	if b.hooks.Message == nil {
		return
	}
	v := b.view(h)
	b.message = Message{Topic: v.topic, Payload: v.payload, QoS: v.qos, Retain: v.retain}
	b.busy = true
	b.hooks.Message(&b.message)
	b.busy = false
}
