package midge

import (
	"hash/maphash"

	"github.com/midgemq/midge/mqtt"
)

// A target is one session a topic goes to, all its matching subscriptions in
// one: the highest QoS of them [MQTT-3.3.5-1, 3.1.1] [MQTT-3.3.4-2, 5.0] and
// every identifier [MQTT-3.3.4-4, 5.0].
type target struct {
	s    *session
	subs []*subscription // more than one where filters overlap
	one  *subscription   // the only one otherwise
	ids  []uint32
	qos  mqtt.QoS
	rap  bool
	nl   bool // one of them has No Local
}

// A plan is who gets what is published to a topic, as the index stood at a
// version of it. Owned by the scratch it was made in.
type plan struct {
	topic   []byte
	version uint64
	targets []target
	groups  []*group
	plain   bool     // all targets are clients that want messages as they come
	asker   *session // whose Access was asked last
	denied  bool     // and said that it may not publish there
}

// A routeCache remembers the plans of the topics published to of late. While
// nobody subscribes or unsubscribes, a topic is matched twice: one that comes
// once takes nothing's place.
type routeCache struct {
	slots   []routeSlot
	once    plan   // of a topic that has no slot
	onceOf  uint64 // its digest
	version uint64 // of the index that plans are from
	room    int    // targets that plans have room for, in all
	found   []*subscription
	place   map[*session]int
	ahead
}

// A routeSlot has a topic's plan, and the digest of the topic that will be the
// next to have it if it comes once more.
type routeSlot struct {
	plan       *plan // nil: none
	here, next uint32
}

const (
	routesKept  = 1024  // topics remembered; looked up by digest, they push each other out
	targetsKept = 16384 // in all their plans, unless one alone has more
)

var routeSeed = maphash.MakeSeed()

func (r *routeCache) plan(b *Broker, topic []byte) *plan {
	if r.slots == nil {
		r.slots = make([]routeSlot, routesKept)
	}
	version := b.index.Version()
	if r.version != version {
		clear(r.slots) // and with them sessions that may be gone
		r.once.clear()
		r.version, r.room = version, 0
		r.renew()
	}
	digest := maphash.Bytes(routeSeed, topic)
	slot, tag := &r.slots[digest%routesKept], uint32(digest>>32)
	if p := slot.plan; slot.here == tag && p != nil && string(p.topic) == string(topic) {
		return p
	}
	if r.onceOf == digest && string(r.once.topic) == string(topic) {
		return &r.once
	}
	p := &r.once
	if slot.next == tag {
		p = slot.admit()
	} else {
		r.onceOf, slot.next = digest, tag
	}
	p.clear()
	p.topic, p.version = append(p.topic, topic...), version
	r.found = r.match(b.index, topic, r.found[:0])
	r.room -= cap(p.targets)
	r.build(p)
	r.room += cap(p.targets)
	clear(r.found)
	if r.room > targetsKept {
		clear(r.slots)
		r.room = cap(r.once.targets)
		if p != &r.once {
			slot.plan, slot.here = p, tag
			r.room += cap(p.targets)
		}
	}
	if cap(r.found) > targetsKept {
		r.found, r.place = nil, nil
	}
	return p
}

// admit gives the slot to the topic that is to have it.
func (s *routeSlot) admit() *plan {
	if s.plan == nil {
		s.plan = new(plan)
	}
	s.here = s.next
	return s.plan
}

// clear forgets whose plan it was.
func (p *plan) clear() {
	clear(p.targets)
	clear(p.groups)
	p.topic, p.targets, p.groups = p.topic[:0], p.targets[:0], p.groups[:0]
	p.asker, p.denied = nil, false
}

// denies reports whether c may not publish to the topic.
func (p *plan) denies(c *conn) bool {
	if c.access() == nil {
		return false
	}
	if p.asker != c.session {
		p.asker, p.denied = c.session, !c.access().MayPublish(p.topic)
	}
	return p.denied
}

// build merges what the index found by session.
func (r *routeCache) build(p *plan) {
	several := len(r.found) > 1
	if several && r.place == nil {
		r.place = map[*session]int{}
	}
	for _, sub := range r.found {
		if sub.group != nil {
			p.groups = append(p.groups, sub.group)
			continue
		}
		if !sub.s.mayReceive(p.topic) {
			continue
		}
		if several {
			if i, ok := r.place[sub.s]; ok {
				p.targets[i].add(sub)
				continue
			}
			r.place[sub.s] = len(p.targets)
		}
		p.targets = append(p.targets, target{
			s: sub.s, one: sub, ids: sub.ids(), qos: sub.spec.QoS,
			rap: sub.spec.RetainAsPublished, nl: sub.spec.NoLocal,
		})
	}
	if several {
		clear(r.place)
	}
	p.plain = len(p.groups) == 0
	for i := range p.targets {
		t := &p.targets[i]
		if t.subs != nil {
			t.merge(t.subs)
		}
		p.plain = p.plain && len(t.ids) == 0 && !t.nl && t.s.local == nil
	}
}

// add notes one more subscription of the session. Two to one filter come one
// after the other, since the index keeps them together: the later is about to
// replace the earlier.
func (t *target) add(sub *subscription) {
	if t.subs == nil {
		t.subs = []*subscription{t.one}
	}
	last := &t.subs[len(t.subs)-1]
	switch {
	case (*last).spec.Filter != sub.spec.Filter:
		t.subs = append(t.subs, sub)
	case sub.replaces(*last):
		*last = sub
	}
}

func (t *target) merge(subs []*subscription) {
	t.qos, t.rap, t.nl, t.ids = 0, false, false, nil
	for _, sub := range subs {
		t.qos = max(t.qos, sub.spec.QoS)
		t.rap = t.rap || sub.spec.RetainAsPublished
		t.nl = t.nl || sub.spec.NoLocal
		t.ids = append(t.ids, sub.ids()...)
	}
}

// withoutLocal returns the target as its own messages see it: less what has No
// Local [MQTT-3.8.3-3, 5.0]. False is nobody left.
func (t *target) withoutLocal() (target, bool) {
	var rest []*subscription
	for _, sub := range t.subs {
		if !sub.spec.NoLocal {
			rest = append(rest, sub)
		}
	}
	if len(rest) == 0 {
		return target{}, false
	}
	own := target{s: t.s}
	own.merge(rest)
	return own, true
}

// route hands the message at hand to everyone whose subscription matches and
// returns how many that were.
func (b *Broker) route(sc *scratch, by *batch) (n int) {
	p := sc.routes.plan(b, sc.m.topic)
	followed := sc.watches != nil && sc.followed()
	if followed {
		sc.setsOut()
	}
	for i := range p.targets {
		t := &p.targets[i]
		if t.nl && sc.m.origin == t.s.id {
			own, ok := t.withoutLocal()
			if !ok {
				continue
			}
			t = &own
		}
		t.s.deliver(sc, by, delivery{
			qos:    min(sc.m.qos, t.qos), // [MQTT-3.8.4-8, 5.0] [MQTT-3.8.4-6, 3.1.1]
			ids:    t.ids,
			retain: sc.m.retain && t.rap, // [MQTT-3.3.1-12, 5.0] [MQTT-3.3.1-9, 3.1.1]
		})
		if followed {
			sc.arrives(t.s)
		}
		n++
	}
	for _, g := range p.groups {
		if g.deliver(sc, by, nil) {
			n++
		}
	}
	if followed {
		b.routed(sc, n)
	}
	return n
}
