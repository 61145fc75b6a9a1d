package midge

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/trace"
)

// A will is what a client wants said if it leaves without a goodbye.
type will struct {
	m     *message
	info  ClientInfo
	delay uint32 // seconds

	number store.SessionID // of the session, if the store has the will
	held   bool            // it counts in the budget
}

func newWill(w *packet.Will) *will {
	m := message{
		topic: w.Topic, payload: w.Payload, qos: w.QoS, retain: w.Retain,
		props: packet.AppendForward(nil, w.Properties),
	}
	if w.Properties.Has(packet.PropMessageExpiryInterval) {
		m.expires, m.expiry = true, w.Properties.MessageExpiryInterval
	}
	return &will{m: m.clone(), delay: w.Properties.WillDelayInterval}
}

// hold counts w in the budget, letGo does no longer. Who has w calls them.
func (w *will) hold(b *Broker) {
	if w != nil && !w.held {
		w.held = true
		b.hold(w.m.size())
	}
}

func (w *will) letGo(b *Broker) {
	if w != nil && w.held {
		w.held = false
		b.hold(-w.m.size())
	}
}

// farewell is how long a hook about a client that leaves may take by its
// context: the client's next connection waits for it, or Close does.
const farewell = 5 * time.Second

// publishWill says it.
func (b *Broker) publishWill(w *will) {
	defer w.letGo(b)
	ctx, cancel := context.WithTimeout(b.ctx, farewell)
	defer cancel()
	m := *w.m
	refusal := b.askPublish(ctx, w.info, &m)
	if a := individual(w.info.Access, w.info.ClientID, func() Remote { return w.info.Remote }); a != nil && !a.MayPublish(m.topic) {
		refusal = errDenied
	}
	if refusal != nil {
		b.count.denied.wills.Add(1)
		b.keep.commit(&scratch{saysWill: w.number}, nil, 0) // it has had its chance
		b.log.Info("will refused", "client", w.info.ClientID, "topic", string(m.topic), "code", refusal.Code.String())
		return
	}
	if _, refusal := b.publishKept(&m, w.number); refusal != nil {
		b.log.Info("will refused", "client", w.info.ClientID, "topic", string(m.topic), "code", refusal.Code.String())
	}
}

// publishKept takes a message from inside the broker through retain and route.
// It counts its age from now. says is the session whose will it is, 0 if it is
// none. The position is where what is promised by it is stored.
func (b *Broker) publishKept(m *message, says store.SessionID) (store.Position, *Refusal) {
	sc := b.scratches.Get().(*scratch)
	sc.now = time.Now()
	m.arrived = sc.now.UnixNano()
	sc.of(m)
	b.follow(sc)
	sc.saysWill = says
	refusal := errShort
	if !b.burdens(sc) {
		_, refusal = b.accept(sc, nil)
	}
	if refusal != nil {
		sc.arrived(refusal.Code.String())
	}
	pos := b.keep.commit(sc, nil, 0)
	b.scratches.Put(sc.reset())
	return pos, refusal
}

// setWill is what c's client wants said.
func (c *conn) setWill(w *will) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seldomLocked().will = w
}

// willNow is the will, nil if there is none or somebody has taken it.
func (c *conn) willNow() *will {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seldom == nil {
		return nil
	}
	return c.seldom.will
}

// takeWill is for who says it, or sees to it that nobody does.
func (c *conn) takeWill() *will {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seldom == nil {
		return nil
	}
	w := c.seldom.will
	c.seldom.will = nil
	return w
}

// detach ends a connection's hold on its session: the session goes on for its
// expiry, or ends; the will is said now, later, or not at all. The session is
// given up last, so that all of this, Hooks.Disconnected included, is over
// before the client's next connection is let in.
func (c *conn) detach(code mqtt.ReasonCode, text string) {
	s, b := c.session, c.b
	w := c.takeWill()
	if c.said && c.goodbye == mqtt.Success {
		w.letGo(b)
		w = nil // [MQTT-3.14.4-3]
	}
	s.mu.Lock()
	s.conn.Store(nil)
	before := s.queue.weight()
	orphans := s.queue.takeShared()
	b.hold(s.queue.weight() - before)
	s.sinkLocked()
	s.mu.Unlock()
	b.redeliver(orphans, s) // while the session is still ours: nobody can come back in between

	expiry := c.expiry.Load()
	ends := expiry == 0 || b.ctx.Err() != nil && !s.stored.Load()
	if ends {
		s.mu.Lock()
		s.setWillLocked(w) // said by end, before the store forgets it
		w = nil
		s.mu.Unlock()
		b.ending(s, s.end())
	}
	if w != nil && w.delay == 0 {
		b.publishWill(w)
		w = nil
	}
	if !ends {
		s.park(w, expiry, time.Now().UnixNano())
	}
	c.sayGone(code, text)
	b.release(s, ends)
}

// sayGone tells the log and the program.
func (c *conn) sayGone(code mqtt.ReasonCode, text string) {
	c.tell(trace.Disconnected, code, text)
	level := slog.LevelDebug
	if c.fault() != nil && c.fault() != errHungUp {
		level = slog.LevelInfo // somebody's fault: say whose and which
	}
	if c.b.log.Enabled(c.b.ctx, level) {
		c.b.log.Log(c.b.ctx, level, "client disconnected", "client", c.id(), "remote", c.nc.RemoteAddr(),
			"reason", code.String(), "detail", text)
	}
	if hook := c.b.set.Hooks.Disconnected; hook != nil {
		ctx, cancel := context.WithTimeout(c.b.ctx, farewell)
		defer cancel()
		c.b.contain("Disconnected", func() error { hook(ctx, c.info(), code); return nil })
	}
}

// park starts the clocks of a session whose client is away: its will's delay
// and its own end, whichever comes first [MQTT-3.1.3-9, 5.0] [MQTT-4.1.0-2, 5.0].
// It is away since then, Unix ns.
func (s *session) park(w *will, expiry uint32, away int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out != nil {
		s.out.All(func(slot *slot) bool {
			slot.Value.unpack() // to be sent again, perhaps much later: it is not to hold its neighbours
			return true
		})
	}
	s.recordLocked(expiry, away, w)
	s.setWillLocked(w)
	w.hold(s.b)
	if w != nil && w.delay < expiry {
		s.ownLocked()
		s.timers[0] = time.AfterFunc(left(away, w.delay), s.willDue)
	}
	if expiry != mqtt.NeverExpires {
		left := left(away, expiry)
		// The broker's first second is 1: 0 is for ever.
		s.until.Store(uint32(min(max(1, (s.b.since(time.Now())+left)/time.Second), math.MaxUint32)))
		s.ownLocked()
		s.timers[1] = time.AfterFunc(left, func() { s.b.expire(s) })
	}
}

func (s *session) stopTimersLocked() {
	s.until.Store(0)
	for i, t := range s.timers {
		if t != nil {
			t.Stop()
			s.timers[i] = nil
		}
	}
	s.disownLocked()
}

// willDue says a delayed will, unless the client came back first.
func (s *session) willDue() {
	s.mu.Lock()
	w := s.will
	s.setWillLocked(nil)
	s.mu.Unlock()
	if w != nil {
		s.b.publishWill(w)
	}
}

// end takes the session apart. What a shared subscription had put in its care
// goes to another member; a will that still waits is said. The position is where
// the store has it that the session is no more.
func (s *session) end() store.Position {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return 0
	}
	s.ended = true
	s.stopTimersLocked()
	w, subs, cold, from := s.will, s.subs, s.cold, s.tail.from
	s.subs = nil
	if s.durable != &notDurable {
		s.tail = tail{}
	}
	s.b.hold(-s.queue.weight() - s.flying)
	orphans := s.queue.takeShared()
	if s.out != nil {
		s.out.All(func(slot *slot) bool {
			// [X5-4.8.2-b] QoS 1; a QoS 2 message half sent goes to nobody else
			// [MQTT-4.8.2-5, 5.0].
			if d := &slot.Value; d.share != nil && d.qos == mqtt.AtLeastOnce {
				orphans = append(orphans, *d)
			}
			return true
		})
	}
	for i := range s.replays {
		s.b.hold(-s.replays[i].weight)
	}
	s.queue, s.out, s.aside = queue{}, nil, &nothingAside
	s.backlog.Store(false)
	s.mu.Unlock()

	for sub := range subs.all {
		s.b.uninstall(sub)
	}
	s.b.redeliver(orphans, s)
	s.orphans(subs, cold, from, func(some []delivery) { s.b.redeliver(some, s) })
	if w != nil {
		s.b.publishWill(w)
	}
	return s.forget()
}

// redeliver offers what a shared subscription's member left undone to the
// other members.
func (b *Broker) redeliver(orphans []delivery, from *session) {
	for _, d := range orphans {
		sc := b.scratches.Get().(*scratch)
		sc.now = time.Now()
		sc.of(d.m)
		_, alive := d.m.remaining(sc.now.UnixNano()) // [MQTT-3.3.2-5, 5.0]
		given := alive && d.share != nil && d.share.deliver(sc, nil, from)
		if given { // in one breath: no crash leaves it with both, or with neither
			sc.leaves, sc.leavesSeq = from.number, d.seq
		}
		b.keep.commit(sc, nil, 0)
		switch {
		case !alive:
			from.loses(nil, d.m, trace.Expired)
			from.keepDone(d.seq)
		case !given:
			from.giveBack(d)
		}
		b.scratches.Put(sc.reset())
	}
}

// giveBack queues again what no other member would take.
func (s *session) giveBack(d delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.fullLocked(d.m.size()) {
		s.loses(nil, d.m, trace.Full)
		s.b.count.dropped.queue.Add(1)
		return
	}
	s.enqueueLocked(s.conn.Load(), &d)
}
