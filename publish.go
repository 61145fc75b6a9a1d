package midge

import (
	"context"

	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/store"
)

// publish takes one PUBLISH through its stages, in this order and no other:
// the link has decoded it and resolved its alias; here it is claimed (is it a
// repeat?), authorized, retained, routed and acknowledged.
func (c *conn) publish(sc *scratch, p *packet.Publish) error {
	sc.heard.messages++
	arrival := flow.Fresh
	if p.QoS > mqtt.AtMostOnce {
		arrival = c.session.inbound(c).Publish(p.QoS, p.ID)
	}
	code := mqtt.Success
	var reason string
	var pos store.Position
	switch {
	case arrival == flow.Excess:
		return &Refusal{Code: mqtt.ReceiveMaximumExceeded} // [X5-3.3.4-e]
	case arrival == flow.Clash:
		return &Refusal{Code: mqtt.PacketIdentifierInUse}
	case arrival == flow.Duplicate:
		c.endRun(sc)
	case c.runOn(sc, p):
	default:
		c.endRun(sc)
		c.take(sc, p)
		heard, refusal := 0, c.authorize(sc, p)
		if p.QoS > mqtt.AtMostOnce && refusal == nil && c.b.keep.stuck() {
			if refusal = errStuck; c.version != mqtt.V5 {
				return c.notYet(p, refusal)
			}
		}
		if refusal == nil && c.b.burdens(sc) {
			refusal = c.burden()
			if refusal != nil && c.version != mqtt.V5 {
				return c.notYet(p, refusal)
			}
		}
		if refusal == nil {
			heard, refusal = c.b.accept(sc, &sc.batch)
			pos = c.commit(sc, p, refusal)
		}
		switch {
		case refusal != nil:
			code, reason = refusal.Code, refusal.Reason
			c.refuses(sc, refusal)
			if c.b.count.refusedPublish(refusal); refusal == errRetainedFull || refusal == errShort {
				c.sayLimited(refusal.Code, "topic", p.Topic)
			}
		case heard == 0:
			code = mqtt.NoMatchingSubscribers
		}
	}
	if p.QoS == mqtt.AtMostOnce {
		if code == mqtt.PayloadFormatInvalid {
			return &Refusal{Code: code, Reason: reason}
		}
		return nil
	}
	c.session.inbound(c).Ack(p.ID, code)
	for {
		r, ok := c.session.inbound(c).Next()
		if !ok {
			return nil
		}
		c.acknowledge(sc, r, reason, pos)
	}
}

// notYet ends the connection of a client that cannot be told in any other way
// that its message is not taken: it keeps it, and sends it again as one that is
// new here.
func (c *conn) notYet(p *packet.Publish, refusal *Refusal) error {
	c.session.inbound(c).Ack(p.ID, refusal.Code)
	c.session.inbound(c).Next()
	return refusal
}

// commit ends the routing of the message at hand. A QoS 2 identifier is held
// from here on, in the same breath: what is routed is routed once.
func (c *conn) commit(sc *scratch, p *packet.Publish, refused *Refusal) store.Position {
	if c.b.keep == nil {
		return 0
	}
	id := p.ID
	if p.QoS != mqtt.ExactlyOnce || refused != nil {
		id = 0
	}
	pos := c.b.keep.commit(sc, c.session, id)
	c.promise(pos)
	return pos
}

// acknowledge sends PUBACK or PUBREC. Before 5.0 there is no way to say no:
// the message is acknowledged and goes nowhere [MQTT-3.3.5-2, 3.1.1].
// pos is where what it promises is stored.
func (c *conn) acknowledge(sc *scratch, r flow.Receipt, reason string, pos store.Position) {
	t := packet.PUBACK
	if r.QoS == mqtt.ExactlyOnce {
		t = packet.PUBREC
	}
	if c.confirm(sc, t, r.ID, r.Code) {
		return
	}
	c.sendAfter(pos, func(w *link.Writer, out []byte) []byte {
		if reason == "" {
			return w.Ack(out, t, r.ID, r.Code)
		}
		return w.AckWith(out, &packet.Ack{
			Type: t, ID: r.ID, Code: r.Code, Properties: &packet.Properties{ReasonString: []byte(reason)},
		})
	})
}

// confirm has an acknowledgement that nothing keeps back, and that says only
// that all is well, go out with the others of the batch: it is four bytes in
// every version.
func (c *conn) confirm(sc *scratch, t packet.Type, id mqtt.PacketID, code mqtt.ReasonCode) bool {
	if c.b.keep != nil || code != mqtt.Success {
		if len(sc.confirms) > 0 {
			c.touch(sc) // what came before goes before
		}
		return false
	}
	flags := byte(0)
	if t == packet.PUBREL {
		flags = 2
	}
	sc.confirms = append(packet.AppendHeader(sc.confirms, t, flags, 2), byte(id>>8), byte(id))
	return true
}

// pubrel ends a QoS 2 exchange [MQTT-4.3.3-11, 5.0].
func (c *conn) pubrel(sc *scratch, a *packet.Ack) {
	code := mqtt.Success
	var pos store.Position
	if !c.session.inbound(c).Pubrel(a.ID) {
		code = mqtt.PacketIdentifierNotFound
	} else if s := c.session; s.stored.Load() {
		pos = c.b.keep.st.Append(&store.Op{Kind: store.Release, Session: s.number, PacketID: a.ID})
	}
	if c.confirm(sc, packet.PUBCOMP, a.ID, code) {
		return
	}
	id := a.ID
	c.sendAfter(pos, func(w *link.Writer, out []byte) []byte { return w.Ack(out, packet.PUBCOMP, id, code) })
}

// take makes p the message at hand.
func (c *conn) take(sc *scratch, p *packet.Publish) {
	sc.begin()
	m := &sc.m
	m.topic, m.payload = p.Topic, p.Payload
	m.qos, m.retain = p.QoS, p.Retain
	m.origin = c.session.id
	m.arrived = sc.now.UnixNano()
	m.props, m.expires, m.expiry = nil, false, 0
	if props := p.Properties; props.Present != 0 {
		sc.props = packet.AppendForward(sc.props[:0], props)
		m.props = sc.props
		if props.Has(packet.PropMessageExpiryInterval) {
			m.expires, m.expiry = true, props.MessageExpiryInterval
		}
	}
}

// authorize asks whether this client may publish this.
func (c *conn) authorize(sc *scratch, p *packet.Publish) *Refusal {
	if sc.tooFast {
		return errTooFast
	}
	// [X5-4.7.2-a] [X311-4.7.2-a]
	if p.Topic[0] == '$' {
		return &Refusal{Code: mqtt.NotAuthorized, Reason: "topics that begin with $ are the server's"}
	}
	if refused := c.b.bounds.Load().outsized(p.Topic); refused != nil {
		c.sayDenied(p.Topic, refused.Reason)
		return refused
	}
	// [X5-3.3.2.3.2-a]
	if p.Properties.PayloadFormatIndicator == 1 && !p.PayloadFormatOK() {
		return &Refusal{Code: mqtt.PayloadFormatInvalid, Reason: "payload is not UTF-8"}
	}
	if c.access() != nil && sc.routes.plan(c.b, p.Topic).denies(c) {
		c.sayDenied(p.Topic, "")
		return errDenied
	}
	if c.b.set.Hooks.Publish == nil {
		return nil
	}
	c.mayWait(sc)
	return c.b.askPublish(c.context(), c.info(), &sc.m)
}

var errDenied = &Refusal{Code: mqtt.NotAuthorized}

// askPublish asks Hooks.Publish about m.
func (b *Broker) askPublish(ctx context.Context, info ClientInfo, m *message) *Refusal {
	hook := b.set.Hooks.Publish
	if hook == nil {
		return nil
	}
	pub := m.public(m.arrived)
	err := b.contain("Publish", func() error { return hook(ctx, info, &pub) })
	if err != nil {
		b.log.Debug("publish refused", "client", info.ClientID, "topic", string(m.topic), "error", err)
	}
	return refusalOf(err)
}

// accept retains the message at hand if it asks for that, and routes it.
func (b *Broker) accept(sc *scratch, by *batch) (heard int, refused *Refusal) {
	if sc.m.retain && !b.retain(sc) {
		b.count.limited.retained.Add(1)
		return 0, errRetainedFull
	}
	return b.route(sc, by), nil
}

var errRetainedFull = &Refusal{Code: mqtt.QuotaExceeded, Reason: "no room for one more retained message"}
