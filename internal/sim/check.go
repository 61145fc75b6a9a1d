package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/topic"
)

// settle ends all faults and lets everybody have what is due to them; then
// what is missing is missing.
func (w *World) settle() {
	w.note("settle")
	w.completeCrash()
	w.mend()
	w.pass(5 * time.Second)
	for range 2 {
		for _, a := range w.actors {
			a.settle()
			if a.k != nil && a.k.faulty.Load() {
				a.drop()
			}
			if len(a.view.watches) > 0 {
				a.live()
			}
		}
		for _, p := range w.programs {
			if x := p.view.current(); x != nil && x.k.faulty.Load() {
				x.k.cut()
			}
		}
		w.pass(2 * time.Minute)
	}
	count := &w.model.count
	for n, came := 0, -1; came != count.packets() && n < 100; n++ { // as long as anything comes
		came = count.packets()
		w.pass(time.Minute)
	}
	w.alive()
	w.probe("probe")
	w.model.missing()
	for _, p := range w.programs {
		w.model.unhandled(p.view)
	}
}

// alive wants everybody to be connected, and everything said to be answered.
func (w *World) alive() {
	for _, a := range w.actors {
		switch {
		case len(a.view.watches) == 0:
		case !a.up:
			w.fail("%s does not get in", a.name)
		case len(a.flying)+len(a.waiting) > 0:
			w.fail("%s waits for the answers to %d messages, %d more are not sent", a.name, len(a.flying), len(a.waiting))
		}
	}
	for _, p := range w.programs {
		if n := p.c.Stats().OutboxMessages; n > 0 || p.c.State() != client.Connected {
			w.fail("the program %s is %v with %d messages in its outbox", p.name, p.c.State(), n)
		}
	}
}

// probe has a new client ask for everything that is retained.
func (w *World) probe(name string) {
	if w.host == nil {
		return
	}
	a := &actor{w: w, name: name, view: w.model.view(name)}
	w.actors = append(w.actors, a)
	a.connect(Hello{Version: mqtt.V5, Clean: true})
	w.pass(time.Second)
	if a.up {
		a.write(a.subscribe(1, &Op{Filters: []Filter{{Filter: "#", QoS: mqtt.AtMostOnce}}}))
		w.model.count.Probes++
		w.pass(time.Second)
		if a.up {
			w.model.bare(a.view)
		}
		a.goodbye(0, 0)
	}
	w.pass(time.Second)
	a.drop()
	w.actors = slices.DeleteFunc(w.actors, func(b *actor) bool { return a == b })
}

// bare judges what a probe has not got.
func (m *model) bare(v *view) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := v.sess
	if len(s.standing) == 0 || len(s.subs) == 0 {
		return
	}
	got := map[string]bool{}
	for x, r := range s.receipts {
		if r.replays > 0 || x.sent > s.subs[0].sent {
			got[x.topic] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.writes)) {
		if !got[name] && !m.mayBeBare(name, s.subs[0].sent) {
			m.wrongLocked("there is no retained message on %s, and there must be one", name)
		}
	}
}

// missing judges what sessions have not got.
func (m *model) missing() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.order {
		s := v.sess
		if s == nil || !s.exists || s.online == nil || !s.online.open() {
			continue
		}
		m.count.Sessions++
		for _, x := range m.list {
			r := s.receipts[x]
			if r != nil && r.times > 0 || x.payload == "" || x.mortal && time.Since(x.sentAt) > x.brief-slack {
				continue
			}
			switch q, must := s.owed(x); {
			case !must:
			case q == 0:
				m.missingPlain(s, x)
			case x.will != nil:
				m.missingWill(s, x.will)
			case x.accepted():
				m.wrongLocked("%v never gets %v, which was acknowledged", s, x)
			}
		}
	}
	m.ungiven()
	m.unreplayed()
}

// unreplayed judges which retained messages a subscription has not brought,
// where the connection it was made on is still up.
func (m *model) unreplayed() {
	for _, v := range m.order {
		s := v.sess
		if s == nil || s.online == nil || !s.online.well() {
			continue
		}
		for i, b := range s.subs {
			again := b.by != s.online || b.acked == 0 || b.out > 0 || b.shared || b.noLocal || b.handling > 0 || s.standing[b.filter] == nil
			for _, c := range s.subs[i+1:] {
				again = again || c.filter == b.filter
			}
			for _, name := range slices.Sorted(maps.Keys(m.writes)) {
				if !again && topic.Match(b.match, name) && !m.mayBeBare(name, b.sent) && !s.has(name, b.sent) {
					m.wrongLocked("%v subscribes to %s, and never gets what is retained on %s", s, b.filter, name)
				}
			}
		}
	}
}

// has reports whether anything came on a topic after tick.
func (s *session) has(name string, tick int) bool {
	for x, r := range s.receipts {
		if x.topic == name && r.last > tick {
			return true
		}
	}
	return false
}

// missingPlain judges a message at QoS 0 that has not come: it has to where
// nothing at all has happened to either connection.
func (m *model) missingPlain(s *session, x *message) {
	to, from := s.online, x.last
	if m.w.plan.Kind == Fixed || from == nil || !from.well() || from.acceptedTick > x.sent || x.sends > 1 {
		return
	}
	if to.well() && to.acceptedTick < x.sent && m.restartsSince(x.sent) == 0 && !m.troubledSince(x.sentAt) && !x.code.Failed() {
		m.wrongLocked("%v never gets %v, and nothing has happened", s, x)
	}
}

// missingWill judges a will that a session has not heard.
func (m *model) missingWill(s *session, w *will) {
	x := w.k
	switch {
	case !x.accepted || x.closedAt.IsZero() || x.goodbye && !x.keepsWill: // it may be called off, or not have been taken
	case x.goodbye && !x.drained:
	case w.again && w.delay > 0, m.lostSince(w.m.sent):
	case time.Since(x.closedAt) < w.delay+time.Minute:
	default:
		m.wrongLocked("%v never hears %v, whose client has gone", s, w.m)
	}
}

// lostSince reports whether a server that remembers nothing came after tick.
func (m *model) lostSince(tick int) bool {
	for _, r := range m.restarts {
		if r.lost && r.tick > tick {
			return true
		}
	}
	return false
}

// ungiven judges what no member of a shared subscription has got.
func (m *model) ungiven() {
	for _, filter := range slices.Sorted(maps.Keys(m.groups)) {
		g := m.groups[filter]
		for _, x := range m.list {
			if !x.accepted() || x.will != nil || x.qos == 0 || x.payload == "" || x.mortal || m.lostSince(x.sent) {
				continue
			}
			due, got := m.members(filter, x)
			for _, tick := range g.endings {
				due = due && tick < x.sent
			}
			if due && !got {
				m.wrongLocked("no member of %s gets %v, which was acknowledged", filter, x)
			}
		}
	}
}

// members reports whether a shared subscription had nothing but certain
// members when x was sent, all of which take QoS 1 and are here now, and
// whether anybody got x.
func (m *model) members(filter string, x *message) (due, got bool) {
	for _, v := range m.order {
		s := v.sess
		if s == nil {
			continue
		}
		st := s.standing[filter]
		for _, b := range s.subs {
			if b.filter == filter && (st == nil || st.since > x.sent || st.qos == 0 || s.online == nil) {
				return false, true
			}
		}
		if st != nil && topic.Match(st.match, x.topic) {
			due = true
			if r := s.receipts[x]; r != nil && r.times > 0 {
				got = true
			}
		}
	}
	return due, got
}

// unhandled compares what a program was handed with what came over its wire.
func (m *model) unhandled(v *view) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v.sess == nil {
		return
	}
	for _, x := range m.list {
		n := v.handled[x]
		r := v.sess.receipts[x]
		if r != nil && r.kept && n == 0 && v.sess.exists {
			m.wrongLocked("the program %s was never handed %v, and it came", v.name, x)
		}
		if n > v.came[x] {
			m.wrongLocked("the program %s was handed %v %d times, it came %d times", v.name, x, n, v.came[x])
		}
	}
}

// tearDown ends everything.
func (w *World) tearDown() {
	for _, a := range w.actors {
		a.drop()
	}
	for _, p := range w.programs {
		p.stop()
	}
	h := w.host
	for _, k := range h.links {
		k.cut()
	}
	h.halt()
}
