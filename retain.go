package midge

import (
	"cmp"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/internal/index"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
)

// retain stores the message at hand as its topic's retained one, or clears
// the topic if it is empty [MQTT-3.3.1-5, 5.0] [MQTT-3.3.1-6, 5.0]
// [MQTT-3.3.1-10, 3.1.1] [MQTT-3.3.1-11, 3.1.1]. It runs before routing: a
// subscriber that comes in between gets the message at least once, and never
// an older one after it. False is a message there is no room for.
func (b *Broker) retain(sc *scratch) bool {
	topic := string(sc.m.topic)
	switch {
	case !b.set.limits.RetainAvailable:
		return true
	case len(sc.m.payload) == 0:
		sc.asked = b.unretain(topic, func(*message) bool { return true })
		if b.keep != nil && sc.asked == 0 && sc.m.qos > mqtt.AtMostOnce {
			sc.asked = b.keep.st.Append(&store.Op{Kind: store.Commit}) // behind whoever cleared it first
		}
		return true
	}
	m := sc.keep()
	switch {
	case b.keep == nil:
		m.number = store.MessageID(b.sequence.Add(1))
	case topic[0] != '$':
		m.number = b.keep.newMessage(sc)
	}
	if topic[0] == '$' {
		b.retained.Set(topic, m)
		return true
	}
	return b.retained.SetIf(topic, m, func(old *message) bool {
		n, bytes := 1, sc.m.size()
		if old != nil {
			n, bytes = 0, bytes-old.size()
		}
		ok := (bytes <= 0 || !b.tooMuch(tight)) && b.stored.add(n, bytes, b.bounds.Load())
		if ok && b.keep != nil {
			b.keep.st.Append(&store.Op{Kind: store.Retain, Message: sc.number, Filter: topic})
		}
		return ok
	})
}

// unretain clears a topic whose message is still what the caller thinks.
// It returns where in the store that is, 0 if it is not.
func (b *Broker) unretain(topic string, still func(*message) bool) (pos store.Position) {
	b.retained.DeleteIf(topic, func(m *message) bool {
		ok := still(m)
		if ok && topic[0] != '$' {
			b.stored.add(-1, -m.size(), b.bounds.Load())
			if b.keep != nil {
				pos = b.keep.st.Append(&store.Op{Kind: store.Unretain, Filter: topic})
			}
		}
		return ok
	})
	return pos
}

// A holding counts retained messages, those of $-topics left out. Written by
// whoever writes Broker.retained; anyone may read it.
type holding struct{ messages, bytes atomic.Int64 }

// add reports false, and adds nothing, where there would be too many or too
// much. Less is never too much.
func (h *holding) add(n, bytes int, set *settings) bool {
	if n > 0 && int(h.messages.Load())+n > set.MaxRetained ||
		bytes > 0 && int(h.bytes.Load())+bytes > set.MaxRetainedBytes {
		return false
	}
	h.messages.Add(int64(n))
	h.bytes.Add(int64(bytes))
	return true
}

// sweepRetained forgets retained messages whose time is up [X5-3.3.1.3-b].
func (b *Broker) sweepRetained(now time.Time) {
	var expired []*message
	for w := b.retained.Walk("#"); w.More(); runtime.Gosched() {
		steps := walkSteps
		for m := w.Next(&steps); m != nil; m = w.Next(&steps) {
			if _, alive := m.remaining(now.UnixNano()); !alive {
				expired = append(expired, m)
			}
		}
	}
	for _, m := range expired {
		b.unretain(string(m.topic), func(cur *message) bool { return cur == m })
	}
}

// A replay is the retained messages one new subscription is owed: found on the
// way, or, for a session that is stored, all of them in the order in which the
// store numbers them.
type replay struct {
	sub   *subscription
	after store.Position // where the subscription is stored; its SUBACK goes first

	walk   index.Walk[message]
	until  store.MessageID // what was retained later is routed to the subscription
	held   *message        // out of walk, and not sent yet
	weight int             // of left, in the budget

	left       []*message
	sent, owed store.MessageID // of left, in the store: from beyond the one up to the other
}

// walkSteps is how much of the retained store is looked at in one go, and
// briefly how much is nothing to speak of.
const (
	walkSteps = 2048
	briefly   = 128
)

// pending reports whether there may be something to send.
func (r *replay) pending() bool { return r.walk.More() || r.held != nil || len(r.left) > 0 }

// replayOf is what a new subscription of c's session is owed.
func (c *conn) replayOf(sc *scratch, sub *subscription) replay {
	b, r := c.b, replay{sub: sub}
	switch n := b.retained.Len(); {
	case n == 0:
		return r
	case c.session.stored.Load():
		if n > briefly {
			c.mayWait(sc)
		}
		if r.left = b.owed(sub); len(r.left) > 0 {
			r.owed = r.left[len(r.left)-1].number
		}
		return r
	}
	r.walk, r.until = b.retained.Walk(sub.spec.Filter), b.lastRetained()
	for steps := briefly; r.held == nil && steps > 0 && r.walk.More(); { // most filters match nothing
		if m := r.walk.Next(&steps); m != nil && r.wants(m, sc.now.UnixNano()) {
			r.held = m
		}
	}
	return r
}

// wants reports whether what the walk has found is to be sent.
func (r *replay) wants(m *message, now int64) bool {
	_, alive := m.remaining(now)
	return alive && m.number <= r.until && r.sub.s.mayReceive(m.topic)
}

// lastRetained is at least the number of every message retained so far.
func (b *Broker) lastRetained() store.MessageID {
	if b.keep != nil {
		return store.MessageID(b.keep.messages.Load())
	}
	return store.MessageID(b.sequence.Load())
}

// owed collects what sub is to be sent of the retained store, in the order in
// which the broker's own store numbers it. It lets others go first now and then.
func (b *Broker) owed(sub *subscription) []*message {
	var all []*message
	now := time.Now().UnixNano()
	for w := b.retained.Walk(sub.spec.Filter); w.More(); runtime.Gosched() {
		steps := walkSteps
		for m := w.Next(&steps); m != nil; m = w.Next(&steps) {
			if _, alive := m.remaining(now); alive && sub.s.mayReceive(m.topic) {
				all = append(all, m)
			}
		}
	}
	if b.keep != nil {
		slices.SortFunc(all, func(x, y *message) int { return cmp.Compare(x.number, y.number) })
	}
	return all
}

// delivery is that of a retained message: RETAIN is set
// [MQTT-3.3.1-8, 3.1.1] [X5-3.3.1.3-b].
func (r *replay) delivery(m *message) delivery {
	return delivery{m: m, qos: min(m.qos, r.sub.spec.QoS), ids: r.sub.ids(), retain: true, replay: true}
}

// due reports whether d is still worth sending. A retained message is not when
// a newer one has taken its place: that one was, or will be, routed to the
// subscription. The caller holds the lock under which the newer one would be
// queued or appended for this subscriber, so the older cannot come behind it.
func (b *Broker) due(d *delivery, now int64) bool {
	if d.replay {
		if b.retained.Get(string(d.m.topic)) != d.m {
			return false
		}
	}
	_, alive := d.m.remaining(now)
	return alive
}

// owe puts retained messages in line to be sent. Asking again for the same
// filter starts over instead of adding up.
func (s *session) owe(r replay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.replays {
		if s.replays[i].sub.spec.Filter == r.sub.spec.Filter {
			s.b.hold(-s.replays[i].weight)
			s.replays = append(s.replays[:i], s.replays[i+1:]...)
			break
		}
	}
	if r.pending() {
		r.weight = 8 * cap(r.left)
		s.b.hold(r.weight)
		s.ownLocked()
		s.replays = append(s.replays, r)
		s.backlog.Store(true)
	}
}

// owedAlready is how many retained messages are in line to be sent.
func (s *session) owedAlready() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.replays {
		n += len(s.replays[i].left)
	}
	return n
}

// replayLocked sends the next retained message, or more, or skips what is not
// due any more. It reports false when nothing is left, nothing can go now, or
// steps are used up.
func (s *session) replayLocked(c *conn, by *batch, steps *int) bool {
	if len(s.replays) == 0 {
		return false
	}
	r := &s.replays[0]
	if !s.b.keep.durable(r.after) {
		return false // the writer that takes the SUBACK out comes back here
	}
	m := r.held
	switch {
	case m != nil:
	case r.walk.More():
		return c.replayPlain(by, r, steps)
	case len(r.left) > 0:
		m = r.left[0]
	default:
		s.keepReplayedLocked(r, r.owed)
		s.b.hold(-r.weight)
		if s.replays = append(s.replays[:0], s.replays[1:]...); len(s.replays) == 0 {
			s.replays = nil // an idle session holds no list
		}
		return true
	}
	*steps--
	d := r.delivery(m)
	if !s.mayReceive(d.m.topic) {
		// It was, when the subscription was made.
	} else if d.qos == mqtt.AtMostOnce {
		if !c.sendPlain(by, &d) {
			return false
		}
	} else if !s.outLocked().Ready() || !s.sendLocked(c, by, nil, &d) {
		return false
	}
	if r.held = nil; len(r.left) > 0 {
		r.left[0] = nil
		r.left = r.left[1:]
	}
	return true
}

// replayPlain goes on with a walk and sends what it finds, up to a message that
// is not for QoS 0. It reports false when the outbox holds enough for now, or
// steps are used up. What it finds is the newest of its topic: what takes its
// place is appended under the same lock, behind it.
func (c *conn) replayPlain(by *batch, r *replay, steps *int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().UnixNano()
	for c.stage == flowing && len(c.out) < flushAt {
		m := r.walk.Next(steps)
		if m == nil {
			return !r.walk.More()
		}
		if !r.wants(m, now) {
			continue
		}
		d := r.delivery(m)
		if d.qos > mqtt.AtMostOnce {
			r.held = m
			return true
		}
		if c.publishLocked(m, &variant{retain: true, ids: d.ids}, now) {
			c.wroteLocked(by)
		}
	}
	return false
}

// sendPlain appends a QoS 0 message that waited. It reports false when the
// outbox holds enough for now.
func (c *conn) sendPlain(by *batch, d *delivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != flowing || len(c.out) >= flushAt {
		return false
	}
	now := time.Now().UnixNano()
	if !c.b.due(d, now) {
		return true
	}
	if c.publishLocked(d.m, &variant{retain: d.retain, ids: d.ids}, now) {
		c.wroteLocked(by)
	}
	return true
}
