package midge

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/trace"
)

// A session is what the broker knows of one client identifier: its
// subscriptions, what waits for it, and how far each QoS 1 and 2 exchange has
// come. It outlives connections by its expiry [MQTT-3.1.3-2].
//
// Lock order: mu before the outbox's lock of the connection. No two sessions'
// locks are ever held together.
type session struct {
	b         *Broker
	id        string
	local     *localClient // a subscriber inside the program; never has a conn
	owner     *conn        // guarded by Broker.mu: who is in charge, or still leaving
	kept      bool         // guarded by Broker.mu: it counts against MaxSessions
	forgotten bool         // guarded by Broker.mu: Forget was called, it ends with its owner
	ended     bool         // guarded by mu: deleted; nothing may be added

	// until is when the session ends if its client stays away, in seconds since
	// the broker's epoch; 0 while the client is here, or for ever.
	until atomic.Uint32

	// conn is the connection in charge, nil while the client is away. Read by
	// anyone; written under mu.
	conn atomic.Pointer[conn]

	// access is what the client may do, while it is away too; nil: everything.
	access atomic.Pointer[Access]

	// stored says that the session's content is in the broker's store. It is
	// settled before the session's first message.
	stored atomic.Bool

	// backlog mirrors whether queue, replays or resends hold anything, so that
	// the writer need not take mu to find nothing.
	backlog atomic.Bool

	// in is owned by the connection in charge; nil until a QoS 1 or 2 message
	// comes in.
	in *flow.Inbound

	mu     sync.Mutex
	subs   *subscriptions           // guarded by mu; nil: none
	out    *flow.Outbound[delivery] // guarded by mu; nil until a QoS 1 or 2 message goes out
	queue  queue                    // guarded by mu: not sent yet
	*aside                          // guarded by mu; written after ownLocked, or where it is known to have been called
	*durable
}

// A delivery is one message on its way to one session.
type delivery struct {
	m      *message
	seq    uint64   // its place in a stored session; 0: it is not stored
	until  *promise // at QoS 2: it must not be sent before that is kept
	ids    []uint32 // identifiers of the subscriptions that matched
	share  *group   // the group that chose this session
	qos    mqtt.QoS // granted
	retain bool     // the RETAIN flag this subscriber sees
	replay bool     // out of the retained store, for a new subscription

	from, to uint16 // to above 0: m is a pack, and this where there the payload is: see run.pack
}

// A slot is a delivery at QoS 1 or 2 that has been sent and not completed.
type slot = flow.Slot[delivery]

func (b *Broker) newSession(id string) *session {
	s := &session{b: b, id: id, aside: &nothingAside, durable: &notDurable}
	if b.keep != nil {
		s.durable = &durable{number: store.SessionID(b.keep.sessions.Add(1))}
	}
	return s
}

// online reports whether the client is connected now.
func (s *session) online() bool { return s.local != nil || s.conn.Load() != nil }

// deliver takes the message at hand for this session: onto the wire if it can
// go now, into the queue if it must wait, nowhere if there is no room. It
// never blocks. by is the batch this is part of, nil outside one.
func (s *session) deliver(sc *scratch, by *batch, d delivery) {
	switch {
	case s.local != nil:
		s.local.deliver(sc.keep(), d)
	case d.qos == mqtt.AtMostOnce:
		if c := s.conn.Load(); c != nil {
			c.deliverNow(sc, by, &d)
		} else {
			s.loses(sc, &sc.m, trace.Away)
		}
	default:
		s.deliverAcked(sc, by, d)
	}
}

// deliverNow appends a QoS 0 message to the outbox, or drops it.
func (c *conn) deliverNow(sc *scratch, by *batch, d *delivery) {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stage != flowing {
		sc.fate = trace.Ending
		return
	}
	before := len(o.out)
	if len(d.ids) == 0 && !o.w.Aliasing() {
		frame, _ := sc.frame(o.w.Version(), mqtt.AtMostOnce)
		if frame == nil || !o.w.Fits(len(frame)) {
			c.session.loses(sc, &sc.m, trace.TooLarge) // [MQTT-3.1.2-25, 5.0]
			return
		}
		if !c.roomLocked(1, len(frame)) {
			c.drops(sc)
			return
		}
		o.out = append(c.roomFor(len(frame)), frame...)
		if d.retain {
			o.out[before] |= 1
		}
	} else {
		if !c.roomLocked(1, sc.m.size()) {
			c.drops(sc)
			return
		}
		if !c.publishLocked(&sc.m, &variant{retain: d.retain, ids: d.ids}, sc.now.UnixNano()) {
			c.session.loses(sc, &sc.m, trace.TooLarge)
			return
		}
	}
	c.wroteLocked(by)
}

// deliverAcked sends a QoS 1 or 2 message if the window is open, and queues it
// otherwise.
func (s *session) deliverAcked(sc *scratch, by *batch, d delivery) {
	if s.stored.Load() {
		s.b.keep.newMessage(sc)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		sc.fate = trace.Gone
		return
	}
	c := s.conn.Load()
	if s.fullLocked(sc.m.size()) || s.b.shortage() == full && s.lags() {
		s.loses(sc, &sc.m, trace.Full)
		s.b.count.dropped.queue.Add(1)
		if c != nil {
			c.countDropped()
		}
		return
	}
	d.m = sc.keep()
	if s.numberLocked(&d); d.seq > 0 {
		d.until = s.b.keep.promised(sc, d.qos)
	}
	if c == nil || s.backlog.Load() || !s.outLocked().Ready() || !s.sendLocked(c, by, sc, &d) {
		sc.fate = trace.Queued
		s.keepQueuedLocked(&d, sc.number)
		s.enqueueLocked(c, &d)
	}
}

// fullLocked reports whether there is no room for size bytes more. What came
// first is kept, what comes then is dropped.
func (s *session) fullLocked(size int) bool {
	set := s.b.bounds.Load()
	return s.flying+s.queue.size()+s.tail.bytes+size > set.MaxQueuedBytes || s.queue.len()+s.tail.n >= set.MaxQueuedMessages
}

// sendLocked opens a QoS 1 or 2 exchange and appends its PUBLISH. It reports
// false when the outbox holds enough already; true also for a message that
// needs no sending any more. sc, if it is not nil, has the message encoded.
func (s *session) sendLocked(c *conn, by *batch, sc *scratch, d *delivery) bool {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stage != flowing || len(o.out)+len(c.keptLocked().b) >= flushAt {
		s.backlog.Store(true) // d will wait: the writer is to know once it has what is in out
		return false
	}
	now := s.b.clock(sc)
	x := variant{qos: d.qos, retain: d.retain, ids: d.ids}
	if !s.b.due(d, now) || !c.fits(d.m, &x) || sc == nil && !s.mayReceive(d.m.topic) { // [MQTT-3.1.2-25, 5.0]
		s.loses(sc, d.m, s.why(d, now))
		if sc == nil {
			s.keepDone(d.seq)
		}
		return true
	}
	s.numberLocked(d)
	x.id = s.outLocked().Publish(d.qos, *d)
	s.flying += d.m.size()
	s.b.hold(d.m.size())
	// Behind one that waits all wait: they keep their order, whatever their QoS.
	if pos := s.keepSentLocked(sc, d, x.id); pos > 0 || c.keptLocked().messages > 0 {
		s.withholdPublishLocked(c, d, &x, pos, now)
		return true
	}
	if sc != nil && len(d.ids) == 0 && !o.w.Aliasing() {
		at := len(o.out)
		frame, idAt := sc.frame(o.w.Version(), d.qos)
		o.out = append(c.roomFor(len(frame)), frame...)
		o.out[at] |= byte(x.qos) << 1
		if x.retain {
			o.out[at] |= 1
		}
		o.out[at+idAt], o.out[at+idAt+1] = byte(x.id>>8), byte(x.id)
	} else {
		c.publishLocked(d.m, &x, now)
	}
	c.wroteLocked(by)
	return true
}

// clock is now, Unix ns: that of the batch, if there is one.
func (b *Broker) clock(sc *scratch) int64 {
	if sc != nil {
		return sc.now.UnixNano()
	}
	return time.Now().UnixNano()
}

// withholdPublishLocked appends a PUBLISH that is to wait until the store has
// it, as at QoS 2, or behind one that does. It uses no topic alias: others may overtake it.
func (s *session) withholdPublishLocked(c *conn, d *delivery, x *variant, pos store.Position, now int64) {
	o := &c.outbox
	m := mark{pos: pos, promise: d.until, message: true}
	expiry, _ := d.m.remaining(now)
	f := d.m.forward(x, expiry)
	c.withholdLocked(m, func() { o.out = f.Append(o.out, o.w.Version()) })
	o.sent.messages++
	o.sent.packets++
}

// publishLocked appends m for this client alone, under a topic alias if the
// client offers any. It reports false for a message too large for the client.
func (c *conn) publishLocked(m *message, x *variant, now int64) bool {
	expiry, _ := m.remaining(now)
	if c.w.Aliasing() {
		x.alias, x.known = c.w.Alias(m.topic)
	}
	if x.alias > 0 && !x.known && !c.fits(m, x) {
		x.alias = 0 // its definition is what makes the packet too large
	}
	if !c.fits(m, x) {
		return false
	}
	f := m.forward(x, expiry)
	c.out = f.Append(c.roomFor(f.Size(c.w.Version())), c.w.Version())
	if x.alias > 0 && !x.known {
		c.w.Define(x.alias, m.topic)
	}
	return true
}

// wroteLocked counts a PUBLISH and sees to it that somebody writes it.
func (c *conn) wroteLocked(by *batch) {
	c.messages++
	c.sent.messages++
	c.sent.packets++
	c.dirtyLocked(by)
}

// dirtyLocked sees to it that somebody writes what has been appended: by at
// the end of its batch, or a writer aside.
func (c *conn) dirtyLocked(by *batch) {
	switch {
	case by != nil:
		c.markLocked(by)
	case !c.writing:
		c.marked, c.writing = nil, true
		go c.drain()
	}
}

// countDropped counts a message that is not to be had for want of room.
func (c *conn) countDropped() {
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	c.seldomLocked().dropped++
}

// drops counts the message at hand, which c has no room for.
func (c *conn) drops(sc *scratch) {
	c.session.loses(sc, &sc.m, trace.Full)
	c.seldomLocked().dropped++
	c.b.count.dropped.slow.Add(1)
}

// pump sends what waits, as far as window and outbox allow: first what has to
// be sent again, then retained messages, then the queue.
func (s *session) pump(c *conn, by *batch) {
	if !s.backlog.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.Load() == c {
		s.pumpLocked(c, by)
	}
}

func (s *session) pumpLocked(c *conn, by *batch) {
	for s.resendLocked(c, by) {
	}
	s.replaysLocked(c, by)
	for len(s.replays) == 0 && s.queue.len() > 0 && s.outLocked().Ready() {
		if !s.sendLocked(c, by, nil, s.queue.front()) {
			break
		}
		d := s.queue.pop()
		s.b.holdQueued(&d, -1)
	}
	s.loadLocked(c) // last: all that was in the queue may have expired, and nobody acknowledges that
	s.backlog.Store(s.queue.len() > 0 || s.tail.n > 0 || len(s.replays) > 0 || s.out != nil && s.out.Pending())
}

// resendLocked sends one exchange of an earlier connection again.
// [MQTT-4.4.0-1] [MQTT-3.3.1-1]
func (s *session) resendLocked(c *conn, by *batch) bool {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stage != flowing || len(o.out) >= flushAt {
		return false
	}
	if s.out == nil {
		return false
	}
	slot := s.out.Resend()
	if slot == nil {
		return false
	}
	if slot.Stage == flow.AwaitPubcomp {
		o.out = o.w.Ack(c.roomFor(answerSize), packet.PUBREL, slot.ID, mqtt.Success)
		o.sent.packets++
		c.dirtyLocked(by)
	} else {
		d := &slot.Value
		x := variant{qos: d.qos, retain: d.retain, ids: d.ids, id: slot.ID, dup: true}
		now := time.Now().UnixNano()
		if !s.mayReceive(d.m.topic) {
			s.forgetLocked(slot)
			return true
		}
		if c.keptLocked().messages > 0 || d.until != nil && !d.until.kept(s.b.keep) {
			s.withholdPublishLocked(c, d, &x, 0, now)
			return true
		}
		if !c.publishLocked(d.m, &x, now) {
			s.forgetLocked(slot) // this connection takes no packet that large [MQTT-3.1.2-25, 5.0]
			return true
		}
		c.wroteLocked(by)
	}
	return true
}

// forgetLocked ends an exchange as if the client had acknowledged it.
func (s *session) forgetLocked(slot *slot) {
	before := s.flying
	s.landLocked(&slot.Value)
	s.b.hold(s.flying - before)
	s.keepDone(slot.Value.seq)
	if slot.Stage == flow.AwaitPuback {
		s.outLocked().Puback(slot.ID)
	} else {
		s.outLocked().Pubrec(slot.ID, mqtt.PacketTooLarge)
	}
}

// acked takes PUBACK, PUBREC and PUBCOMP and lets the queue move up.
func (s *session) acked(c *conn, sc *scratch, a *packet.Ack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.flying
	s.ackedLocked(c, sc, a)
	s.b.hold(s.flying - before)
	if s.backlog.Load() {
		s.pumpLocked(c, &sc.batch)
	}
}

// ackedAll is acked for several of one type.
func (s *session) ackedAll(c *conn, sc *scratch, t packet.Type, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.flying
	for ; len(b) > 0; b = b[link.AckSize:] {
		if t == packet.PUBACK {
			s.pubackLocked(ackID(b))
		} else {
			s.ackedLocked(c, sc, &packet.Ack{Type: t, ID: ackID(b)})
		}
	}
	s.b.hold(s.flying - before)
	if s.backlog.Load() {
		s.pumpLocked(c, &sc.batch)
	}
}

func (s *session) ackedLocked(c *conn, sc *scratch, a *packet.Ack) {
	switch a.Type {
	case packet.PUBACK:
		s.pubackLocked(a.ID)
	case packet.PUBCOMP:
		if _, known := s.outLocked().Pubcomp(a.ID); known {
			s.completedLocked(a.ID)
		}
	case packet.PUBREC:
		d, known := s.outLocked().Pubrec(a.ID, a.Code)
		s.landLocked(&d)
		if known && a.Code.Failed() {
			s.keepDone(d.seq)
			s.completedLocked(a.ID)
			break
		}
		pos := s.keepReleasedLocked(&d, a.ID)
		// [MQTT-4.3.3-4, 5.0] [MQTT-4.3.3-1, 3.1.1]
		code := mqtt.Success
		if !known {
			code = mqtt.PacketIdentifierNotFound
		}
		if !c.confirm(sc, packet.PUBREL, a.ID, code) {
			id := a.ID
			c.sendAfter(pos, func(w *link.Writer, out []byte) []byte { return w.Ack(out, packet.PUBREL, id, code) })
		}
	}
}

func (s *session) pubackLocked(id mqtt.PacketID) {
	if slot := s.outLocked().Awaits(id, flow.AwaitPuback); slot != nil {
		s.landLocked(&slot.Value)
		s.keepDone(slot.Value.seq)
		s.out.End(slot)
	}
}

// landLocked notes that a message sent need not be kept any more.
func (s *session) landLocked(d *delivery) {
	if d.m != nil {
		s.flying -= d.size()
	}
}
