package sim

import (
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/topic"
)

func (x *watch) sentSubscribe(body []byte) {
	var p packet.Subscribe
	p.Decode(x.version, body)
	var all []*sub
	for f := range p.Filters.All() {
		b := &sub{
			filter: string(f.Filter), match: string(f.Filter), qos: f.QoS, noLocal: f.NoLocal, rap: f.RetainAsPublished,
			handling: f.RetainHandling, id: p.Properties.SubscriptionIdentifier, by: x, sent: x.m.tick,
		}
		if _, rest, shared := topic.Shared(b.filter); shared {
			b.shared, b.match = true, rest
		}
		all = append(all, b)
		x.sess.subs = append(x.sess.subs, b)
		if st := x.sess.standing[b.filter]; st != nil { // it may be in force already
			st.qos, st.noLocal = min(st.qos, b.qos), st.noLocal || b.noLocal
		}
	}
	x.asked[p.ID] = all
}

func (x *watch) sentUnsubscribe(body []byte) {
	var p packet.Unsubscribe
	p.Decode(x.version, body)
	a := ask{sent: x.m.tick}
	for f := range p.Filters.All() {
		a.filters = append(a.filters, string(f))
		if st := x.sess.standing[string(f)]; st != nil && st.shared {
			g := x.m.group(string(f))
			g.endings = append(g.endings, x.m.tick)
		}
		delete(x.sess.standing, string(f))
	}
	x.undone[p.ID] = a
}

func (x *watch) gotPacket(h packet.Header, body []byte) {
	x.m.next()
	x.m.w.seen(x, h, body)
	if x.sess == nil || !x.accepted && h.Type != packet.CONNACK {
		x.m.wrongLocked("%s gets %v before CONNACK", x.name, h.Type)
		return
	}
	switch h.Type {
	case packet.CONNACK:
		x.gotConnack(body)
	case packet.PUBLISH:
		x.gotPublish(h, body)
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP:
		var a packet.Ack
		if err := a.Decode(x.version, h.Type, body); err != nil {
			x.m.wrongLocked("%s gets a bad %v: %v", x.name, h.Type, err)
			return
		}
		x.gotAck(&a)
	case packet.SUBACK:
		var a packet.Suback
		a.Decode(x.version, h.Type, body)
		x.gotSuback(&a)
	case packet.UNSUBACK:
		var a packet.Suback
		a.Decode(x.version, h.Type, body)
		u := x.undone[a.ID]
		delete(x.undone, a.ID)
		for _, f := range u.filters {
			for _, b := range x.sess.subs {
				if b.filter == f && b.sent < u.sent && b.out == 0 {
					b.out = x.m.tick
				}
			}
		}
	}
}

func (x *watch) gotConnack(body []byte) {
	var p packet.Connack
	if err := p.Decode(x.version, body); err != nil {
		x.m.wrongLocked("%s gets a bad CONNACK: %v", x.name, err)
		return
	}
	if p.Code.Failed() || p.Return != mqtt.Accepted {
		return
	}
	s := x.sess
	stale := x.watches[len(x.watches)-1] != x // a later CONNECT has left: this answer settles nothing
	x.accepted, x.acceptedTick = true, x.m.tick
	if stale {
		return
	}
	switch {
	case p.SessionPresent && x.hello.CleanStart:
		x.m.wrongLocked("%s asks for a clean start and is told of a session present", x.name)
	case p.SessionPresent && x.fresh == s:
		x.m.wrongLocked("%s is told of a session present, and there is none", s)
	case !p.SessionPresent && !x.hello.CleanStart && !s.gone && time.Now().Before(x.was):
		x.m.wrongLocked("%s is told that there is no session, and there must be one", s)
	case p.SessionPresent && x.doubted:
		s.unsettleLocked(x.m) // it may be a new one that an unanswered CONNECT made
	}
	if !p.SessionPresent {
		x.begin()
	}
	s = x.sess
	s.exists, s.lost, s.online = true, false, x
	s.least = lifetime(expiry(&x.hello))
	if p.Properties.Has(packet.PropSessionExpiryInterval) {
		s.least = lifetime(p.Properties.SessionExpiryInterval)
	}
	s.most = s.least
	if p.SessionPresent {
		x.callOff()
	}
	x.contested()
}

// contested notes that an earlier CONNECT was still waiting at the server, and
// may have taken this connection over: nothing is certain then.
func (x *watch) contested() {
	for _, old := range x.watches {
		if old == x || old.accepted || !old.closedAt.IsZero() && old.closedAt.Before(x.began) {
			continue
		}
		x.k.faulty.Store(true)
		x.sess.widen(expiry(&old.hello))
		if old.hello.CleanStart {
			x.sess.lost = true
			x.sess.unsettleLocked(x.m)
		}
	}
}

// begin is the first moment of a new session.
func (x *watch) begin() {
	s := x.sess
	if x.hello.CleanStart && s.parent != nil {
		for at := s.parent; at != nil; at = at.parent {
			at.endLocked(x.m)
		}
		s.parent = nil
	} else if x.fresh != s {
		n := s.conns
		s.endLocked(x.m)
		x.view.sess = x.view.newSession(nil)
		s = x.sess
		s.conns = min(n, 1)
	}
	clear(x.asked)
	clear(x.undone)
	for id, m := range x.sending {
		delete(x.sending, id)
		if m.complete {
			continue
		}
		m.given = true
		if m.last == nil || !m.last.closedAt.IsZero() {
			m.done = x.m.tick
		}
	}
}

// callOff notes which delayed wills the resumed session has called off.
func (x *watch) callOff() {
	for _, old := range x.watches {
		w := old.will
		if old == x || w == nil || w.delay == 0 || w.due || old.goodbye || !w.cancelled.IsZero() {
			continue
		}
		if time.Now().Before(old.heard.Add(min(w.delay, lifetime(expiry(&old.hello)), 1<<60) - slack)) {
			w.cancelled = time.Now()
		}
	}
}

func (x *watch) gotAck(a *packet.Ack) {
	m := x.sending[a.ID]
	if m == nil {
		return
	}
	switch {
	case a.Type == packet.PUBCOMP:
		m.complete = true
		delete(x.sending, a.ID)
	case m.acked == 0:
		m.acked, m.ackedAt, m.code = x.m.tick, time.Now(), a.Code
		m.done = x.m.tick
		x.m.count.Acked[m.qos]++
		x.m.answered(m)
	}
	if a.Type == packet.PUBACK || a.Type == packet.PUBREC && a.Code.Failed() {
		m.complete = true
		delete(x.sending, a.ID)
	}
}

// answered compares the answer to a message with who should get it.
func (m *model) answered(a *message) {
	if a.code != mqtt.NoMatchingSubscribers || a.sends > 1 || m.restartsSince(a.sent) > 0 {
		return
	}
	for _, v := range m.order {
		if s := v.sess; s != nil && s.certain() {
			if _, must := s.owed(a); must {
				m.wrongLocked("%v is said to match no subscription, and %v has one", a, s)
			}
		}
	}
}

func (x *watch) gotSuback(a *packet.Suback) {
	all := x.asked[a.ID]
	delete(x.asked, a.ID)
	if len(all) != len(a.Codes) {
		if all != nil {
			x.m.wrongLocked("%s: SUBACK with %d codes for %d filters", x.name, len(a.Codes), len(all))
		}
		return
	}
	for i, b := range all {
		b.acked = x.m.tick
		if mqtt.ReasonCode(a.Codes[i]).Failed() {
			b.out = x.m.tick
			continue
		}
		if q := mqtt.QoS(a.Codes[i]); q != b.qos {
			x.m.wrongLocked("%s: %s is granted QoS %d, asked for %d", x.name, b.filter, q, b.qos)
		}
		for _, old := range x.sess.subs {
			if old != b && old.filter == b.filter && old.sent < b.sent && old.out == 0 {
				old.out = x.m.tick // replaced
			}
		}
		if later := x.withdrawn(b); later {
			continue
		}
		st := x.sess.standing[b.filter]
		if st == nil {
			st = &standing{since: x.m.tick, qos: b.qos, noLocal: b.noLocal, match: b.match, shared: b.shared}
			x.sess.standing[b.filter] = st
		}
		for _, later := range x.asked { // on their way, perhaps in force already
			for _, c := range later {
				if c.filter == b.filter {
					st.qos, st.noLocal = min(st.qos, c.qos), st.noLocal || c.noLocal
				}
			}
		}
	}
}

// withdrawn reports whether an UNSUBSCRIBE is under way for b.
func (x *watch) withdrawn(b *sub) bool {
	for _, u := range x.undone {
		for _, f := range u.filters {
			if f == b.filter && u.sent > b.sent {
				return true
			}
		}
	}
	return false
}
