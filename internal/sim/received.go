package sim

import (
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// gotPublish judges a message that has come.
func (x *watch) gotPublish(h packet.Header, body []byte) {
	var p packet.Publish
	if err := p.Decode(x.version, h.Flags, body); err != nil {
		x.m.wrongLocked("%s gets a bad PUBLISH: %v", x.name, err)
		return
	}
	name, s := x.resolve(1, &p), x.sess
	x.m.count.Delivered[p.QoS]++
	var m *message
	if len(p.Payload) > 0 {
		m = x.m.messages[string(p.Payload)]
		if m == nil || m.topic != name {
			x.m.wrongLocked("%v gets %q on %s, which nobody published", s, p.Payload, name)
			return
		}
	}
	again := false
	if p.QoS > 0 {
		again = x.identify(&p, m)
	}
	if p.Dup && s.conns < 2 {
		x.m.wrongLocked("%v gets %v with DUP on its first connection", s, m)
	}
	if m == nil {
		return // the clearing of a retained message
	}
	r := s.receipt(m)
	r.times++
	r.last = x.m.tick
	if p.Retain && !m.retain {
		x.m.wrongLocked("%v gets %v with RETAIN, it was published without", s, m)
	}
	if !again {
		r.app++
		x.came[m]++
		r.kept = r.kept || p.QoS > 0
	}
	x.timely(&p, m)
	if p.Retain {
		if !again {
			r.replays++
		}
		s.replayed(m)
		return
	}
	if !p.Dup {
		r.fresh++
	}
	x.rightly(&p, m, r, again)
}

// identify keeps the books about packet identifiers. It reports whether the
// message is one that has come before and counts as one with it.
func (x *watch) identify(p *packet.Publish, m *message) (again bool) {
	s := x.sess
	if _, open := x.unacked[p.ID]; open {
		x.m.wrongLocked("%v gets %v under identifier %d, which is in use", s, m, p.ID)
	}
	x.unacked[p.ID] = m
	room := 65535
	if n := x.hello.Properties.ReceiveMaximum; x.version == mqtt.V5 && n > 0 {
		room = int(n)
	}
	if len(x.unacked) > room {
		x.m.wrongLocked("%v has %d messages in flight, Receive Maximum is %d", s, len(x.unacked), room)
	}
	if p.QoS < mqtt.ExactlyOnce {
		return false
	}
	if held, ok := s.held[p.ID]; ok {
		if !p.Dup || held != m {
			x.m.wrongLocked("%v gets %v under identifier %d (DUP %v) while it holds %v", s, m, p.ID, p.Dup, held)
		}
		return true
	}
	s.held[p.ID] = m
	return false
}

// replayed judges a message with RETAIN set.
func (s *session) replayed(m *message) {
	plain, shared := s.matches(&message{topic: m.topic})
	model := s.v.m
	for _, b := range plain {
		if b.rap || b.handling < 2 && (m.sent > b.sent || model.possible(m, b.sent)) {
			return
		}
	}
	for _, b := range shared {
		if b.rap { // as published; none is sent because of the subscription
			return
		}
	}
	model.wrongLocked("%v gets %v as retained, and has not asked for it, or it was no more", s, m)
}

// timely judges how old a message is.
func (x *watch) timely(p *packet.Publish, m *message) {
	if !m.expires || p.Dup { // what is under way is sent again, however old
		return
	}
	left, now := time.Duration(p.Properties.MessageExpiryInterval)*time.Second, time.Now()
	if x.version == mqtt.V5 && left > m.expiry {
		x.m.wrongLocked("%v gets %v with an expiry of %v, published with %v", x.sess, m, left, m.expiry)
	}
	if m.acked == 0 || m.will != nil || x.slow || x.k.down.slow() || x.m.troubledSince(m.sentAt) {
		return
	}
	wire := x.k.down.wire.Delay
	if late := now.Sub(m.ackedAt) - m.expiry - wire; late > slack {
		x.m.wrongLocked("%v gets %v %v after it has expired", x.sess, m, late)
	}
	if waited := now.Sub(m.ackedAt) - wire; x.version == mqtt.V5 && m.expiry-left < waited-slack {
		x.m.wrongLocked("%v gets %v with an expiry of %v after it has waited %v of %v", x.sess, m, left, waited, m.expiry)
	}
}

// rightly judges who gets a message, and how often.
func (x *watch) rightly(p *packet.Publish, m *message, r *receipt, again bool) {
	s := x.sess
	plain, shared := s.matches(m)
	copies := distinct(shared)
	fits := false
	for _, b := range plain {
		fits = fits || min(m.qos, b.qos) == p.QoS
	}
	for _, b := range shared {
		fits = fits || min(m.qos, b.qos) == p.QoS
	}
	if len(plain) > 0 {
		copies++
	}
	restarts := x.m.restartsSince(m.sent)
	if copies == 0 {
		x.m.wrongLocked("%v gets %v, and has no subscription to it", s, m)
		return
	}
	if p.QoS > m.qos || !fits {
		x.m.wrongLocked("%v gets %v at QoS %d", s, m, p.QoS)
	}
	if m.code.Failed() && m.acked > 0 && m.sends == 1 {
		x.m.wrongLocked("%v gets %v, which was refused with %v", s, m, m.code)
	}
	x.identified(p, m, append(plain, shared...))
	limit := copies
	if m.qos == mqtt.AtLeastOnce {
		limit = copies * m.sends
	}
	if m.qos > 0 || m.will != nil {
		limit += copies * restarts
	}
	if r.fresh > limit {
		x.m.wrongLocked("%v gets %v %d times without DUP, at most %d are due", s, m, r.fresh, limit)
	}
	if p.QoS == mqtt.ExactlyOnce && !again {
		if r.exact++; r.exact > copies {
			x.m.wrongLocked("%v gets %v %d times, %d are due", s, m, r.exact, copies)
		}
	}
	switch {
	case len(shared) == 0 && !again && m.will == nil:
		x.inOrder(p, m, r)
	case copies == 1 && len(plain) == 0:
		x.oneMember(p, m, shared[0], again, limit)
	}
	if m.will != nil {
		m.will.rightly(s)
	}
}

// identified judges the Subscription Identifiers a message comes with.
func (x *watch) identified(p *packet.Publish, m *message, subs []*sub) {
	if x.w.plan.Kind == Fixed {
		return // it says what matches when it sends, not when it got the message
	}
	for id := range p.Properties.IDs.All() {
		known := false
		for _, b := range subs {
			known = known || b.id == id
		}
		if !known && !p.Dup {
			x.m.wrongLocked("%v gets %v with the Subscription Identifier %d, which none of its subscriptions has", x.sess, m, id)
		}
	}
	if len(subs) == 1 && subs[0].id != 0 && x.version == mqtt.V5 && !p.Dup && p.Properties.SubscriptionIdentifier != subs[0].id {
		x.m.wrongLocked("%v gets %v without the Subscription Identifier %d", x.sess, m, subs[0].id)
	}
}

// distinct counts the shared subscriptions among subs.
func distinct(subs []*sub) int {
	seen := map[string]bool{}
	for _, b := range subs {
		seen[b.filter] = true
	}
	return len(seen)
}

// inOrder holds messages to the order they were sent in, when they first come.
func (x *watch) inOrder(p *packet.Publish, m *message, r *receipt) {
	if r.app-r.replays != 1 {
		return
	}
	if _, must := x.sess.owed(m); m.sends > 1 && (!must || m.mortal || x.m.spoiltSince(m.sentAt)) {
		return // the first time, nobody here had asked for it, or it expired on its way, or was refused
	}
	key := lineKey{m.origin, m.topic, m.qos, p.QoS}
	if last := x.sess.last[key]; last > m.sent {
		x.m.wrongLocked("%v gets %v after one that was published later", x.sess, m)
	} else {
		x.sess.last[key] = m.sent
	}
}

// oneMember holds a shared subscription to giving each message to one.
func (x *watch) oneMember(p *packet.Publish, m *message, b *sub, again bool, limit int) {
	g := x.m.group(b.filter)
	for _, tick := range g.endings {
		if tick > m.sent && m.qos > 0 {
			limit++
		}
	}
	for _, v := range x.m.order { // whose session may have ended, unnoticed
		if s := v.sess; s != nil && !s.certain() && m.qos > 0 && s.asks(b.filter) {
			limit++
		}
	}
	if !p.Dup {
		g.fresh[m]++
	}
	if g.fresh[m] > limit {
		x.m.wrongLocked("%s gives %v to %d members, at most %d are due", b.filter, m, g.fresh[m], limit)
	}
	if p.QoS == mqtt.ExactlyOnce && !again {
		if g.app[m]++; g.app[m] > 1 {
			x.m.wrongLocked("%s gives %v to a second member", b.filter, m)
		}
	}
}

// asks reports whether the session has ever had a subscription.
func (s *session) asks(filter string) bool {
	for _, b := range s.subs {
		if b.filter == filter {
			return true
		}
	}
	return s.parent != nil && s.parent.asks(filter)
}

// rightly judges a will that is heard.
func (w *will) rightly(s *session) {
	x, m, now := w.k, w.m, time.Now()
	switch {
	case x.closedAt.IsZero() && x.well() && !x.m.troubledSince(now.Add(-2*slack)):
		x.m.wrongLocked("%v hears %v, and its client is well", s, m)
	case !w.cancelled.IsZero():
		x.m.wrongLocked("%v hears %v, which a new connection has called off", s, m)
	case w.calledOff():
		x.m.wrongLocked("%v hears %v, whose client has said goodbye", s, m)
	case w.delay > 0 && !w.again && !x.m.closing: // a clean start makes it due
		if early := x.heard.Add(min(w.delay, x.life()) - x.k.down.wire.Delay).Sub(now); early > slack {
			x.m.wrongLocked("%v hears %v %v too early", s, m, early)
		}
	}
}

// life is the least time the session has after the connection.
func (x *watch) life() time.Duration { return min(lifetime(expiry(&x.hello)), x.sess.least) }

// calledOff reports whether the server must have read the DISCONNECT that
// calls the will off.
func (w *will) calledOff() bool {
	x := w.k
	return x.proper && !x.overtaken && x.drained && !x.m.troubledSince(x.closedAt.Add(-slack))
}

// well reports whether the connection is as it should be.
func (x *watch) well() bool {
	return x.open() && !x.goodbye && !x.silent && !x.slow && x.watches[len(x.watches)-1] == x
}
