package midge

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/midgemq/midge/internal/index"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/topic"
)

// A subscription is what the index finds: one session's wish to be sent what
// a filter matches, or, with group set, that of all members of a shared one.
// Immutable, and 64 bytes: one line of a processor's cache.
type subscription struct {
	entry index.Entry[*subscription] // of itself, for the index
	s     *session
	group *group
	spec  Subscription
	seq   uint32    // counts them, and may wrap round: see replaces
	id    [1]uint32 // spec.ID, for ids
}

// replaces reports whether sub is later than old, which is to the same filter.
func (sub *subscription) replaces(old *subscription) bool { return int32(sub.seq-old.seq) > 0 }

// enter puts the subscription into the index.
func (b *Broker) enter(filter string, sub *subscription) {
	sub.entry.Value = sub
	b.index.AddEntry(filter, &sub.entry)
}

// ids is the subscription's identifier as deliveries share it; nil: none.
func (sub *subscription) ids() []uint32 {
	if sub.id[0] == 0 {
		return nil
	}
	return sub.id[:]
}

// Subscriptions are those of one session. Most have few: those are looked
// through, more are looked up.
type subscriptions struct {
	few  []*subscription
	many map[string]*subscription // nil while there are few
}

// fewSubscriptions is how many are few.
const fewSubscriptions = 8

func (ss *subscriptions) len() int {
	if ss == nil {
		return 0
	}
	return len(ss.few) + len(ss.many)
}

func (ss *subscriptions) get(filter string) *subscription {
	if ss == nil {
		return nil
	}
	for _, sub := range ss.few {
		if sub.spec.Filter == filter {
			return sub
		}
	}
	return ss.many[filter]
}

// with is ss and sub, in place of one to the same filter.
func (ss *subscriptions) with(sub *subscription) *subscriptions {
	if ss == nil {
		return &subscriptions{few: []*subscription{sub}}
	}
	for i, old := range ss.few {
		if old.spec.Filter == sub.spec.Filter {
			ss.few[i] = sub
			return ss
		}
	}
	if ss.many == nil && len(ss.few) < fewSubscriptions {
		ss.few = append(ss.few, sub)
		return ss
	}
	if ss.many == nil {
		ss.many = map[string]*subscription{}
	}
	for _, old := range ss.few {
		ss.many[old.spec.Filter] = old
	}
	ss.few = nil
	ss.many[sub.spec.Filter] = sub
	return ss
}

// remove takes out and returns the one to filter, nil if there is none.
func (ss *subscriptions) remove(filter string) *subscription {
	if ss == nil {
		return nil
	}
	for i, sub := range ss.few {
		if sub.spec.Filter == filter {
			ss.few = slices.Delete(ss.few, i, i+1)
			return sub
		}
	}
	sub := ss.many[filter]
	delete(ss.many, filter)
	return sub
}

func (ss *subscriptions) all(yield func(*subscription) bool) {
	if ss == nil {
		return
	}
	for _, sub := range ss.few {
		if !yield(sub) {
			return
		}
	}
	for _, sub := range ss.many {
		if !yield(sub) {
			return
		}
	}
}

// A group is one shared subscription: a share name and a filter.
type group struct {
	key    string // the filter as subscribed, $share and all
	filter string

	next    atomic.Uint64            // round robin
	members atomic.Pointer[[]member] // snapshot; written under shares.mu
	entry   *subscription
}

type member struct {
	s   *session
	sub *subscription
}

// shares are the groups of a broker.
type shares struct {
	mu     sync.Mutex
	groups map[string]*group // guarded by mu, by key
}

// install puts sub into effect in place of old, which may be nil. The new
// one stands before the old one goes, so no message falls between
// [MQTT-3.8.4-4, 5.0] [MQTT-3.8.4-3, 3.1.1].
func (b *Broker) install(sub, old *subscription) {
	if _, rest, shared := topic.Shared(sub.spec.Filter); shared {
		b.shares.join(b, sub, rest)
		if old == nil {
			b.count.shared.Add(1)
		}
	} else {
		b.enter(sub.spec.Filter, sub)
		if old != nil {
			b.index.Remove(old.spec.Filter, old)
		}
	}
	if old == nil {
		b.hold(len(sub.spec.Filter))
		b.count.subscriptions.Add(1)
	}
}

// uninstall ends a subscription: nothing new is queued for it
// [MQTT-3.10.4-2, 5.0].
func (b *Broker) uninstall(sub *subscription) {
	b.hold(-len(sub.spec.Filter))
	b.count.subscriptions.Add(-1)
	if _, _, shared := topic.Shared(sub.spec.Filter); shared {
		b.count.shared.Add(-1)
		b.shares.leave(b, sub)
		return
	}
	b.index.Remove(sub.spec.Filter, sub)
}

func (sh *shares) join(b *Broker, sub *subscription, filter string) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	g := sh.groups[sub.spec.Filter]
	if g == nil {
		g = &group{key: sub.spec.Filter, filter: filter}
		g.members.Store(&[]member{})
		g.entry = &subscription{group: g}
		if sh.groups == nil {
			sh.groups = map[string]*group{}
		}
		sh.groups[g.key] = g
		b.enter(filter, g.entry)
	}
	g.put(sub.s, sub)
}

func (sh *shares) leave(b *Broker, sub *subscription) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	g := sh.groups[sub.spec.Filter]
	if g == nil {
		return
	}
	if g.put(sub.s, nil); len(*g.members.Load()) == 0 {
		b.index.Remove(g.filter, g.entry)
		delete(sh.groups, g.key)
	}
}

// put makes sub the membership of s; nil ends it.
func (g *group) put(s *session, sub *subscription) {
	old := *g.members.Load()
	members := make([]member, 0, len(old)+1)
	for _, m := range old {
		if m.s != s {
			members = append(members, m)
		}
	}
	if sub != nil {
		members = append(members, member{s, sub})
	}
	g.members.Store(&members)
}

// deliver hands the message at hand to one member: the next in turn that is
// connected, or the next that can keep it. except was tried and is gone.
// [X5-4.8.2-a] [MQTT-4.8.2-3, 5.0]
func (g *group) deliver(sc *scratch, by *batch, except *session) bool {
	members := *g.members.Load()
	if len(members) == 0 {
		return false
	}
	start := int(g.next.Add(1) % uint64(len(members)))
	var away *member
	for i := range members {
		m := &members[(start+i)%len(members)]
		switch {
		case m.s == except, !m.s.mayReceive(sc.m.topic):
		case m.s.online():
			g.give(sc, by, m)
			return true
		case away == nil:
			away = m
		}
	}
	if away == nil {
		return false
	}
	g.give(sc, by, away)
	return true
}

func (g *group) give(sc *scratch, by *batch, m *member) {
	m.s.deliver(sc, by, g.delivery(sc, m))
	if sc.watches != nil && sc.followed() {
		sc.arrives(m.s)
	}
}

func (g *group) delivery(sc *scratch, m *member) delivery {
	spec := &m.sub.spec
	return delivery{
		share:  g,
		qos:    min(sc.m.qos, spec.QoS),
		retain: sc.m.retain && spec.RetainAsPublished,
		ids:    m.sub.ids(),
	}
}

// grant is the SUBACK code for a granted QoS.
func grant(q mqtt.QoS) mqtt.ReasonCode { return mqtt.ReasonCode(q) }
