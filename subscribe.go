package midge

import (
	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/topic"
)

// subscribe answers a SUBSCRIBE: filter by filter, in order, with one SUBACK
// [MQTT-3.8.4-5, 5.0] [MQTT-3.8.4-4, 3.1.1]. The SUBACK goes out before the
// retained messages the new subscriptions are owed.
func (c *conn) subscribe(sc *scratch, p *packet.Subscribe) error {
	s := c.session
	sc.codes = sc.codes[:0]
	var fresh []replay
	due := s.owedAlready()
	var pos store.Position
	for req := range p.Filters.All() {
		var code mqtt.ReasonCode
		if s.in != nil && s.in.Holds(p.ID) {
			code = mqtt.PacketIdentifierInUse
		} else if due > 4*c.b.retained.Len()+c.b.bounds.Load().MaxQueuedMessages {
			code = mqtt.QuotaExceeded
			c.b.count.limited.replays.Add(1)
		} else if sub, wants, refused := c.subscribeOne(sc, p, req); refused.Failed() {
			code = refused
		} else {
			code = grant(sub.spec.QoS)
			r := replay{sub: sub}
			if wants {
				r = c.replayOf(sc, sub)
				due += len(r.left)
				fresh = append(fresh, r)
			}
			pos = max(pos, s.keepSubscription(sub, 0, r.owed))
		}
		if code == mqtt.QuotaExceeded || code == mqtt.TopicFilterInvalid {
			c.sayLimited(code, "filter", req.Filter)
		}
		if code.Failed() && c.version != mqtt.V5 {
			code = mqtt.UnspecifiedError // the one failure SUBACK had [MQTT-3.9.3-2, 3.1.1]
		}
		sc.codes = append(sc.codes, byte(code))
	}
	ack := packet.Suback{Type: packet.SUBACK, ID: p.ID, Codes: sc.codes}
	c.sendAfter(pos, func(w *link.Writer, out []byte) []byte { return w.Suback(out, &ack) })
	for _, r := range fresh {
		r.after = pos
		s.owe(r)
	}
	s.pump(c, &sc.batch)
	return nil
}

// subscribeOne puts one filter into effect. retained says whether retained
// messages are due.
func (c *conn) subscribeOne(sc *scratch, p *packet.Subscribe, req packet.Subscription) (sub *subscription, retained bool, refused mqtt.ReasonCode) {
	// [MQTT-4.7.1-1, 5.0] [MQTT-4.7.1-2, 5.0] [MQTT-4.7.3-1, 5.0] [MQTT-4.8.2-1, 5.0] [MQTT-4.8.2-2, 5.0]
	if topic.CheckFilter(req.Filter) != nil {
		return nil, false, mqtt.TopicFilterInvalid
	}
	if c.b.bounds.Load().outsized(req.Filter) != nil {
		c.b.count.limited.topics.Add(1)
		return nil, false, mqtt.TopicFilterInvalid
	}
	sub = &subscription{s: c.session, seq: uint32(c.b.sequence.Add(1)), spec: Subscription{
		Filter:            string(req.Filter),
		QoS:               min(req.QoS, c.b.set.limits.MaxQoS),
		NoLocal:           req.NoLocal,
		RetainAsPublished: req.RetainAsPublished,
		RetainHandling:    req.RetainHandling,
		ID:                p.Properties.SubscriptionIdentifier,
	}}
	_, rest, shared := topic.Shared(sub.spec.Filter)
	if !shared {
		rest = sub.spec.Filter
	}
	// 5.0 clients were disconnected by the link for these.
	if shared && !c.b.set.limits.SharedAvailable {
		return nil, false, mqtt.SharedSubscriptionsNotSupported
	}
	// [MQTT-3.8.3-2, 3.1.1]
	if topic.HasWildcard(rest) && !c.b.set.limits.WildcardAvailable {
		return nil, false, mqtt.WildcardSubscriptionsNotSupported
	}
	if a := c.access(); a != nil && !a.MaySubscribe(rest) {
		c.b.count.denied.subscribes.Add(1)
		c.b.log.Info("subscription denied", "client", c.id(), "user", c.username(), "filter", sub.spec.Filter)
		return nil, false, mqtt.NotAuthorized
	}
	if refusal := c.askSubscribe(sc, &sub.spec); refusal != nil {
		return nil, false, refusal.Code
	}
	sub.id[0] = sub.spec.ID

	s := c.session
	if !shared && c.replays(req) && c.replaysTooMuch(sc, rest) {
		return nil, false, mqtt.QuotaExceeded
	}
	s.mu.Lock()
	old := s.subs.get(sub.spec.Filter)
	if old == nil && s.subs.len() >= c.b.bounds.Load().MaxSubscriptions {
		s.mu.Unlock()
		c.b.count.limited.subscriptions.Add(1)
		return nil, false, mqtt.QuotaExceeded
	}
	if old == nil && c.b.tooMuch(short) {
		s.mu.Unlock()
		return nil, false, mqtt.QuotaExceeded
	}
	s.subs = s.subs.with(sub)
	s.mu.Unlock()
	c.b.install(sub, old)

	switch {
	case shared: // [X5-4.8.2-a]
	case c.version != mqtt.V5: // [MQTT-3.8.4-3, 3.1.1]
		retained = true
	default: // [MQTT-3.3.1-9, 5.0] [MQTT-3.3.1-10, 5.0] [MQTT-3.3.1-11, 5.0]
		retained = sub.spec.RetainHandling == 0 || (sub.spec.RetainHandling == 1 && old == nil)
	}
	return sub, retained, mqtt.Success
}

// replays reports whether a subscription may bring retained messages.
func (c *conn) replays(req packet.Subscription) bool {
	if c.version != mqtt.V5 || req.RetainHandling == 0 {
		return true
	}
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	return req.RetainHandling == 1 && c.session.subs.get(string(req.Filter)) == nil
}

// askSubscribe asks Hooks.Subscribe, which may lower the QoS.
func (c *conn) askSubscribe(sc *scratch, spec *Subscription) *Refusal {
	hook := c.b.set.Hooks.Subscribe
	if hook == nil {
		return nil
	}
	c.mayWait(sc)
	asked := *spec
	err := c.b.contain("Subscribe", func() error { return hook(c.context(), c.info(), &asked) })
	spec.QoS = min(spec.QoS, asked.QoS)
	if err != nil {
		c.b.log.Info("subscription refused", "client", c.id(), "filter", spec.Filter, "error", err)
	}
	return refusalOf(err)
}

// unsubscribe ends subscriptions and says for each whether there was one
// [MQTT-3.10.4-5, 5.0] [MQTT-3.10.4-6, 5.0].
func (c *conn) unsubscribe(p *packet.Unsubscribe) {
	codes := make([]byte, 0, p.Filters.Len())
	var pos store.Position
	for filter := range p.Filters.All() {
		code := c.unsubscribeOne(p.ID, filter)
		if code == mqtt.Success && c.session.stored.Load() {
			pos = c.b.keep.st.Append(&store.Op{Kind: store.EndSubscription, Session: c.session.number, Filter: string(filter)})
		}
		codes = append(codes, byte(code))
	}
	ack := packet.Suback{Type: packet.UNSUBACK, ID: p.ID, Codes: codes}
	c.sendAfter(pos, func(w *link.Writer, out []byte) []byte { return w.Suback(out, &ack) })
}

// unsubscribeOne ends the subscription to one filter.
func (c *conn) unsubscribeOne(id mqtt.PacketID, filter []byte) mqtt.ReasonCode {
	s := c.session
	if c.version == mqtt.V5 && s.in != nil && s.in.Holds(id) { // before, there was no way to say so
		return mqtt.PacketIdentifierInUse
	}
	s.mu.Lock()
	// [MQTT-3.10.4-1] character by character, $share and all.
	sub := s.subs.remove(string(filter))
	s.mu.Unlock()
	switch {
	case sub != nil:
		c.b.uninstall(sub)
		s.owe(replay{sub: sub})
		return mqtt.Success
	case topic.CheckFilter(filter) != nil:
		return mqtt.TopicFilterInvalid
	}
	return mqtt.NoSubscriptionExisted
}
