package conform

import (
	"fmt"
	"strings"

	"github.com/midgemq/midge/mqtt"
)

// newID returns the peer's next packet identifier.
func (p *peer) newID() uint16 {
	p.nextID++
	return p.nextID
}

// maxPacket is the largest packet the broker takes from the peer, in bytes.
func (p *peer) maxPacket() int {
	most := int(p.connack.num(pMaxPacketSize, 1<<20))
	if m := p.t.target.MaxPacket; m > 0 {
		most = min(most, m)
	}
	return most
}

// subscribe subscribes to one filter and wants it granted at the QoS asked.
// Retained messages that came before the SUBACK stay for later wants.
func (p *peer) subscribe(filter string, opts byte, ps ...propList) {
	p.subscribeAll(props(ps...), sub{filter, opts})
}

func (p *peer) subscribeAll(ps propList, subs ...sub) {
	n := p.newID()
	var granted []byte
	for _, s := range subs {
		if strings.HasPrefix(s.filter, "$share/") && p.connack.num(pShared, 1) == 0 {
			p.t.skipf("the broker announces that it has no shared subscriptions")
		}
		granted = append(granted, s.opts&3)
	}
	p.send(subscribe{id: n, subs: subs, props: ps})
	p.pick("SUBACK that grants the QoS asked for", typeSUBACK, id(n), codes(granted...))
}

func (p *peer) unsubscribe(filter string) {
	n := p.newID()
	p.send(unsubscribe{id: n, filters: []string{filter}})
	p.pick("UNSUBACK", typeUNSUBACK, id(n))
}

// publish sends a message and plays the sender's part of its QoS to the end.
// It returns the reason code of PUBACK or PUBREC.
func (p *peer) publish(m publish) byte {
	if m.retain && m.payload != "" {
		p.t.retained = append(p.t.retained, m.topic)
	}
	if m.qos > 0 && m.id == 0 {
		m.id = p.newID()
	}
	p.send(m)
	switch m.qos {
	case 1:
		return p.pick("PUBACK for the PUBLISH", typePUBACK, id(m.id)).code
	case 2:
		r := p.pick("PUBREC for the PUBLISH", typePUBREC, id(m.id))
		if r.code < 0x80 {
			p.send(ack{typ: typePUBREL, id: m.id})
			p.pick("PUBCOMP for the PUBREL", typePUBCOMP, id(m.id), code(0))
		}
		return r.code
	}
	return 0
}

// say publishes with QoS 1 and wants it accepted: when it returns the broker
// owns the message.
func (p *peer) say(topic, payload string) {
	p.accept(publish{topic: topic, payload: payload, qos: 1})
}

// accept publishes and wants success.
func (p *peer) accept(m publish) {
	if c := p.publish(m); c >= 0x80 {
		p.t.failf("%s: want %q published to %q accepted, got reason code 0x%02X", p.name, m.payload, m.topic, c)
	}
}

// wantMessage wants a PUBLISH of that topic and payload next and leaves it
// unacknowledged.
func (p *peer) wantMessage(why, name, body string, ms ...match) *reply {
	sentence := fmt.Sprintf("the message to %q: %s", name, why)
	return p.want(sentence, typePUBLISH, append([]match{topic(name), payload(body)}, ms...)...)
}

// take is wantMessage and the receiver's part of the message's QoS.
func (p *peer) take(why, name, body string, ms ...match) *reply {
	r := p.wantMessage(why, name, body, ms...)
	p.acknowledge(r)
	return r
}

// acknowledge plays the receiver's part for a delivered message to the end.
func (p *peer) acknowledge(r *reply) {
	switch r.qos() {
	case 1:
		p.send(ack{typ: typePUBACK, id: r.id})
	case 2:
		p.send(ack{typ: typePUBREC, id: r.id})
		p.pick("PUBREL for the PUBREC", typePUBREL, id(r.id), code(0))
		p.send(ack{typ: typePUBCOMP, id: r.id})
	}
}

// pair opens a subscriber of the case's topic "t" and a publisher.
func (t *T) pair(opts byte) (sub, pub *peer) {
	sub = t.connect("sub", connect{})
	sub.subscribe(t.topic("t"), opts)
	return sub, t.connect("pub", connect{})
}

// orV5 picks a value by version.
func orV5[V any](t *T, older, v5 V) V {
	if t.version == mqtt.V5 {
		return v5
	}
	return older
}
