package midge

import (
	"context"
	"strings"
	"time"

	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
)

// Durable is what a session has of the store, if the broker has one.
type durable struct {
	number store.SessionID // immutable; 0: no store

	tail     tail                     // guarded by mu
	released map[mqtt.PacketID]uint64 // guarded by mu: sequence numbers of messages past PUBREC
	seq      uint64                   // guarded by mu: the last one given
	away     int64                    // guarded by mu: since when the client is, Unix ns
	expiry   uint32                   // guarded by mu: while it is, seconds
	recorded bool                     // guarded by mu: the store has the session
	cold     bool                     // guarded by mu: what is in flight is in the store alone
	loading  bool                     // guarded by mu: somebody reads from the tail
}

// notDurable is that of every session of a broker without a store. Nobody writes
// to it.
var notDurable durable

// A tail is the part of a queue that is in the store alone: that of a client
// that is away, or far behind.
type tail struct {
	n, bytes int
	from     uint64 // the sequence number of its first message
}

func (t *tail) add(d *delivery) {
	if t.n == 0 || d.seq < t.from {
		t.from = d.seq
	}
	t.n++
	t.bytes += d.m.size()
}

const (
	loadMessages = 256       // what one look into the tail brings, at most
	loadBytes    = 256 << 10 // beyond which it brings no further one
)

// enqueueLocked puts d in line. Behind a tail, or for nobody, it stays where
// it is: in the store.
func (s *session) enqueueLocked(c *conn, d *delivery) {
	if d.seq > 0 && (c == nil || s.tail.n > 0 || s.queue.len() >= loadMessages) {
		s.tail.add(d)
	} else {
		s.queue.push(*d)
		s.b.holdQueued(d, 1)
	}
	s.backlog.Store(true)
}

// sinkLocked leaves the queue to the store.
func (s *session) sinkLocked() {
	if s.stored.Load() {
		for s.queue.len() > 0 {
			d := s.queue.pop()
			s.b.holdQueued(&d, -1)
			s.tail.add(&d)
		}
	}
}

// numberLocked gives d its place in a session whose content is stored.
func (s *session) numberLocked(d *delivery) {
	if d.seq == 0 && s.stored.Load() {
		s.seq++
		d.seq = s.seq
	}
}

// keepQueuedLocked appends that d waits.
func (s *session) keepQueuedLocked(d *delivery, number store.MessageID) {
	if d.seq > 0 {
		s.b.keep.st.Append(&store.Op{Kind: store.Queue, Session: s.number, Entry: d.stored(number, 0)})
	}
}

// keepSentLocked appends that d is in flight as id. The position is one the
// PUBLISH has to wait for, 0 if it need not: at QoS 2 no client may have what
// the store knows nothing of.
func (s *session) keepSentLocked(sc *scratch, d *delivery, id mqtt.PacketID) store.Position {
	if d.seq == 0 {
		return 0
	}
	k := s.b.keep
	var pos store.Position
	switch {
	case sc != nil: // it never waited
		pos = k.st.Append(&store.Op{Kind: store.Queue, Session: s.number, Entry: d.stored(sc.number, id)})
	case d.replay: // it is in no queue, but in flight it is the session's
		number := store.MessageID(k.messages.Add(1))
		k.st.Append(&store.Op{Kind: store.PutMessage, Message: number, Body: d.m.stored()})
		k.st.Append(&store.Op{Kind: store.Queue, Session: s.number, Entry: d.stored(number, id)})
		pos = k.st.Append(&store.Op{Kind: store.Commit, Message: number})
		pos = max(pos, s.keepReplayedLocked(&s.replays[0], d.m.number))
	default:
		pos = k.st.Append(&store.Op{Kind: store.Advance, Session: s.number, Seq: d.seq, PacketID: id, Stage: store.Sent})
	}
	if d.qos < mqtt.ExactlyOnce || !k.waits {
		return 0
	}
	return pos
}

// keepDone appends that nothing more is owed of the message at seq.
func (s *session) keepDone(seq uint64) {
	if seq > 0 {
		s.b.keep.st.Append(&store.Op{Kind: store.Done, Session: s.number, Seq: seq})
	}
}

// keepReleasedLocked appends that PUBREC has come for d, which is forgotten
// but for its place.
func (s *session) keepReleasedLocked(d *delivery, id mqtt.PacketID) store.Position {
	if d.seq == 0 {
		return 0
	}
	s.keepSeqLocked(id, d.seq)
	return s.b.keep.st.Append(&store.Op{
		Kind: store.Advance, Session: s.number, Seq: d.seq, PacketID: id, Stage: store.Released,
	})
}

// completedLocked ends what keepReleasedLocked began.
func (s *session) completedLocked(id mqtt.PacketID) {
	if seq, ok := s.released[id]; ok {
		delete(s.released, id)
		s.keepDone(seq)
	}
}

// keepSubscription appends a subscription; retained messages beyond sent, up to
// owed, are still to be sent for it.
func (s *session) keepSubscription(sub *subscription, sent, owed store.MessageID) store.Position {
	if !s.stored.Load() {
		return 0
	}
	return s.b.keep.st.Append(&store.Op{Kind: store.PutSubscription, Session: s.number, Subscription: sub.stored(sent, owed)})
}

// keepReplayedLocked appends that a replay has come as far as the message with
// this number. It says nothing for a subscription that has ended.
func (s *session) keepReplayedLocked(r *replay, number store.MessageID) (pos store.Position) {
	if s.subs.get(r.sub.spec.Filter) == r.sub && number > r.sent {
		pos = s.keepSubscription(r.sub, number, r.owed)
	}
	r.sent = max(r.sent, number)
	return pos
}

// replayingLocked takes out of the replays what turns out to be in flight: the
// crash came before the store knew how far the replay was.
func (s *session) replayingLocked(d *delivery) {
	for i := range s.replays {
		r := &s.replays[i]
		if d.retain && len(r.left) > 0 && r.left[0].arrived == d.m.arrived && string(r.left[0].topic) == string(d.m.topic) {
			r.left = r.left[1:]
		}
	}
}

func (d *delivery) stored(number store.MessageID, id mqtt.PacketID) *store.Entry {
	e := &store.Entry{Seq: d.seq, MessageID: number, QoS: d.qos, Retain: d.retain, IDs: d.ids, PacketID: id}
	if id != 0 {
		e.Stage = store.Sent
	}
	if d.share != nil {
		e.Share = d.share.key
	}
	return e
}

func (b *Broker) restoredDelivery(e *store.Entry) delivery {
	d := delivery{m: restored(e.Message), ids: e.IDs, qos: e.QoS, retain: e.Retain, seq: e.Seq}
	if e.Share != "" {
		b.shares.mu.Lock()
		d.share = b.shares.groups[e.Share]
		b.shares.mu.Unlock()
	}
	return d
}

// reserve records that c is about to have the session, and waits until that is
// durable, as is the end of the one before, and what was in flight has been read. The clocks of an absent client
// stop. undo puts it all back.
func (s *session) reserve(ctx context.Context, c *conn, g *greeting, present bool) (undo func(), err error) {
	undo = func() {}
	expiry := c.expiry.Load()
	if s.b.keep == nil {
		return undo, nil
	}
	if expiry == 0 && g.will == nil && !present {
		return undo, s.b.keep.awaitSession(ctx, c.promised())
	}
	if g.will != nil {
		g.will.m.origin, g.will.info, g.will.number = s.id, c.info(), s.number
	}
	s.mu.Lock()
	parked, left, away := s.will, s.expiry, s.away
	s.setWillLocked(nil)
	parked.letGo(s.b)
	s.stopTimersLocked()
	if expiry > 0 {
		s.stored.Store(true)
	}
	pos := s.recordLocked(expiry, 0, g.will)
	s.mu.Unlock()
	undo = func() {
		if present {
			s.park(parked, left, away)
		} else {
			s.forget()
		}
	}
	if err := s.b.keep.awaitSession(ctx, pos); err != nil {
		return undo, err
	}
	return undo, s.warm()
}

// awaitSession is await for what CONNACK says.
func (k *keeper) awaitSession(ctx context.Context, pos store.Position) error {
	if err := k.await(ctx, pos); err != nil {
		return &Refusal{Code: mqtt.ServerUnavailable, Reason: "the server cannot store sessions now"}
	}
	return nil
}

// recordLocked appends what the session is. away is Unix ns, 0: the client is
// here.
func (s *session) recordLocked(expiry uint32, away int64, w *will) store.Position {
	if s.b.keep == nil {
		return 0
	}
	s.recorded, s.expiry, s.away = true, expiry, away
	return s.b.keep.st.Append(&store.Op{Kind: store.PutSession, Session: s.number, Put: &store.Session{
		ID: s.number, Client: s.id, Expiry: expiry, Away: away, Will: w.stored(),
	}})
}

// forget takes the session out of the store. A crash before the position is
// durable would bring it back.
func (s *session) forget() store.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.recorded {
		return 0
	}
	s.recorded = false
	s.stored.Store(false)
	pos := s.b.keep.st.Append(&store.Op{Kind: store.EndSession, Session: s.number})
	if s.expiry == 0 {
		return 0 // it does not outlive the broker, whatever the store has
	}
	return pos
}

// warm reads what was in flight when the broker before this one ended. The
// caller owns the session.
func (s *session) warm() error {
	s.mu.Lock()
	cold := s.cold
	s.mu.Unlock()
	if !cold {
		return nil
	}
	held, sent, err := s.b.keep.st.Exchanges(s.number)
	if err != nil {
		s.b.log.Error("store: messages in flight are lost", "client", s.id, "error", err)
	}
	if len(held) > 0 && s.in == nil {
		s.in = new(flow.Inbound)
	}
	for _, id := range held {
		s.in.Restore(id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cold = false
	for i := range sent {
		s.restoreLocked(&sent[i])
	}
	return nil
}

// restoreLocked puts one exchange back into the window.
func (s *session) restoreLocked(e *store.Entry) {
	if e.Stage == store.Released {
		if s.outLocked().Restore(e.PacketID, flow.AwaitPubcomp, delivery{}) {
			s.keepSeqLocked(e.PacketID, e.Seq)
		}
		return
	}
	if e.Message == nil {
		s.keepDone(e.Seq)
		return
	}
	d, stage := s.b.restoredDelivery(e), flow.AwaitPuback
	if e.QoS == mqtt.ExactlyOnce {
		stage = flow.AwaitPubrec
	}
	if s.outLocked().Restore(e.PacketID, stage, d) {
		s.flying += d.m.size()
		s.b.hold(d.m.size())
		s.replayingLocked(&d)
		return
	}
	// The window has become smaller: it waits for its turn, as a message that
	// was never sent. At QoS 2 that could double it.
	if e.QoS == mqtt.AtLeastOnce {
		s.b.keep.st.Append(&store.Op{Kind: store.Advance, Session: s.number, Seq: e.Seq})
		s.tail.add(&d)
		s.backlog.Store(true)
	}
}

func (s *session) keepSeqLocked(id mqtt.PacketID, seq uint64) {
	if s.released == nil {
		s.released = map[mqtt.PacketID]uint64{}
	}
	s.released[id] = seq
}

// loadLocked has the tail read if the queue is short of messages.
func (s *session) loadLocked(c *conn) {
	if s.tail.n > 0 && s.queue.len() < loadMessages/4 && !s.loading {
		s.loading = true
		go s.load(c, s.tail.from)
	}
}

// load moves the front of the tail into the queue.
func (s *session) load(c *conn, from uint64) {
	all, err := s.b.keep.st.Load(s.number, from, loadMessages, loadBytes)
	if s.loaded(c, from, all) && err != nil {
		s.b.log.Error("store: queued messages are lost", "client", s.id, "error", err)
	}
}

// loaded takes what load has brought for c. False is a client that is not there
// any more, or has come again: what it is owed is in the store as before.
func (s *session) loaded(c *conn, from uint64, all []store.Entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loading = false
	cur := s.conn.Load()
	if s.ended || cur == nil {
		return false
	}
	mine := cur == c && from == s.tail.from
	if mine {
		s.loadedLocked(all)
	}
	s.pumpLocked(cur, nil)
	return mine
}

func (s *session) loadedLocked(all []store.Entry) {
	if len(all) == 0 {
		s.tail = tail{}
		return
	}
	for i := range all {
		e := &all[i]
		s.tail.n--
		if e.Message == nil {
			s.keepDone(e.Seq)
			s.b.count.dropped.lost.Add(1)
			continue
		}
		d := s.b.restoredDelivery(e)
		s.tail.bytes -= d.m.size()
		s.queue.push(d)
		s.b.holdQueued(&d, 1)
	}
	s.tail.from = all[len(all)-1].Seq + 1
	s.tail.bytes = max(s.tail.bytes, 0)
	if s.tail.n <= 0 {
		s.tail = tail{}
	}
}

// orphans reads what shared subscriptions put in the care of a session that
// ends, out of the store, and hands each to take.
func (s *session) orphans(subs *subscriptions, cold bool, from uint64, take func([]delivery)) {
	shared := false
	for sub := range subs.all {
		shared = shared || strings.HasPrefix(sub.spec.Filter, "$share/")
	}
	if !shared || !s.stored.Load() {
		return
	}
	k := s.b.keep
	pick := func(all []store.Entry) {
		var some []delivery
		for i := range all {
			if e := &all[i]; e.Share != "" && e.Message != nil && (e.Stage == store.Queued || e.QoS == mqtt.AtLeastOnce) {
				if d := s.b.restoredDelivery(e); d.share != nil {
					some = append(some, d)
				}
			}
		}
		take(some)
	}
	if cold {
		_, sent, _ := k.st.Exchanges(s.number)
		pick(sent)
	}
	for {
		all, err := k.st.Load(s.number, from, loadMessages, loadBytes)
		if len(all) == 0 || err != nil {
			return
		}
		pick(all)
		from = all[len(all)-1].Seq + 1
	}
}

// left is how much of a delay since away, Unix ns, is still to come.
func left(away int64, seconds uint32) time.Duration {
	return time.Until(time.Unix(0, away).Add(time.Duration(seconds) * time.Second))
}
