package tiny

import (
	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// publish takes one PUBLISH through its stages: is it a repeat, is there room
// with everybody who is to have it, may it be; then it is stored once, retained,
// queued and acknowledged. false is no room, and nothing has happened.
func (b *Broker) publish(at Slot, c *conn, p *packet.Publish) bool {
	s := b.of(c)
	if p.QoS == mqtt.AtMostOnce {
		b.publish0(at, s, p)
		return true
	}
	if s.in.Holds(p.ID) {
		b.repeated(at, c, p)
		return true
	}
	code := forbidden(p)
	var h handle
	if code == mqtt.Success {
		matched := b.match(p.Topic, s.at)
		if code = b.room1(c, p.QoS); code == wait {
			return false
		}
		if !code.Failed() && (matched || p.Retain) {
			h = b.store(p.Topic, p.Payload, p.QoS, p.Retain, p.Properties, b.now)
			if h == 0 {
				if c.in.Version() != mqtt.V5 {
					return false
				}
				code = mqtt.QuotaExceeded
			}
		}
		if code == mqtt.Success && !matched {
			code = mqtt.NoMatchingSubscribers
		}
	}
	b.stats.Received++
	if s.in.Publish(p.QoS, p.ID) == flow.Excess {
		b.slab.drop(h)
		b.end(at, mqtt.ReceiveMaximumExceeded) // [X5-3.3.4-e]
		return true
	}
	if !code.Failed() {
		if refused := b.ask(at, p); refused.Failed() {
			code = refused
		} else if h != 0 {
			if p.Retain {
				b.retain(h)
			}
			b.route(h, p.QoS, p.Retain)
			h = 0
		}
	}
	b.slab.drop(h)
	if code == mqtt.QuotaExceeded {
		b.stats.Refused++
	}
	s.in.Ack(p.ID, code)
	b.acknowledge(c)
	return true
}

// publish0 takes a QoS 0 message, which nobody waits for: what has no room is
// dropped.
func (b *Broker) publish0(at Slot, s *session, p *packet.Publish) {
	b.stats.Received++
	if code := forbidden(p); code != mqtt.Success {
		if code == mqtt.PayloadFormatInvalid {
			b.end(at, code)
		}
		return
	}
	if !b.match(p.Topic, s.at) && !p.Retain || b.hooks.Publish != nil && b.ask(at, p).Failed() {
		return
	}
	h := b.store(p.Topic, p.Payload, p.QoS, p.Retain, p.Properties, b.now)
	if h == 0 {
		b.stats.Dropped++
		return
	}
	if p.Retain {
		b.retain(h)
	}
	b.route(h, p.QoS, p.Retain)
}

// wait is what room1 says when a message has to: a code no packet carries.
const wait mqtt.ReasonCode = 0x7F

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

// ask asks Hooks.Publish.
func (b *Broker) ask(at Slot, p *packet.Publish) mqtt.ReasonCode {
	hook := b.hooks.Publish
	if hook == nil {
		return mqtt.Success
	}
	b.message = Message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain}
	b.busy = true
	code := hook(b.introduce(at), &b.message)
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

// room1 says whether everybody that match found has room for a QoS 1 or 2
// message: Success, wait, or QuotaExceeded.
//
// Nobody is made to wait for something that cannot come. A subscriber that is
// away makes no room, and one that is held back itself, or is the publisher,
// makes none because its acknowledgements stand behind what waits. In 5.0 the
// publisher is then told so. Older versions know no refusal: there, a
// subscriber that is held back borrows from what others leave free.
func (b *Broker) room1(c *conn, q mqtt.QoS) mqtt.ReasonCode {
	places, full, stuck, away := 0, false, false, false
	for _, i := range b.hits {
		if min(q, b.grants[i].qos()) == mqtt.AtMostOnce || int(i) == len(b.sessions) {
			continue
		}
		places++
		s := &b.sessions[i]
		if b.room(s) {
			continue
		}
		b.refuseFull(s)
		switch {
		case s.conn == 0:
			away = true
		case s.conn == b.of(c).conn || b.conns[s.conn-1].held:
			stuck = true
		default:
			full = true
		}
	}
	v5 := c.in.Version() == mqtt.V5
	switch {
	case v5 && (stuck || away):
		return mqtt.QuotaExceeded
	case full || away || places > b.nspare:
		return wait
	}
	return mqtt.Success
}

// route queues a message with everybody match found. The caller's reference
// goes along, or is dropped.
func (b *Broker) route(h handle, q mqtt.QoS, retain bool) {
	passed := false
	for _, i := range b.hits {
		g := b.grants[i]
		if int(i) == len(b.sessions) {
			b.deliver(h)
			continue
		}
		s := &b.sessions[i]
		// [MQTT-3.8.4-8, 5.0] [MQTT-3.8.4-6, 3.1.1] [MQTT-3.3.1-12, 5.0] [MQTT-3.3.1-9, 3.1.1]
		r := makeRef(h, min(q, g.qos()), retain && g.asPublished())
		if r.qos() == mqtt.AtMostOnce {
			if s.conn == 0 {
				continue // QoS 0 is for those who are there
			}
			if !b.room(s) {
				b.refuseFull(s)
				b.stats.Dropped++
				continue
			}
		}
		if passed {
			b.slab.hold(h)
		}
		if b.push(s, r) {
			passed = true
			continue
		}
		b.stats.Dropped++
		if passed {
			b.slab.drop(h)
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
