package tiny

import (
	"time"

	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/mqtt"
)

// A session is what a client keeps over its connections.
type session struct {
	out flow.Outbound[ref]
	in  flow.Inbound

	since  time.Duration // away since; while connected, when it last acknowledged something
	full   time.Duration // a message has found no room since; 0: none has
	willAt time.Duration // when the will of an absent client is due

	expiry    uint32 // seconds to live on without a connection
	willDelay uint32 // seconds

	id     handle // the client identifier; 0: this place is free
	will   handle
	conn   uint8 // slot + 1; 0: away
	asks   uint8 // subscriptions with an identifier, 255 and more being 255
	first  uint16
	last   uint16 // places + 1 of the oldest and newest waiting message
	queued uint16
	npark  uint16 // messages of its own that wait to be taken
	parkA  handle // the oldest of them
	parkZ  handle // the newest
	owed   uint16 // subscriptions that retained messages are due to
	at     uint8  // its own index
}

// A ref is a message on its way to one session: the handle, and how it goes.
type ref uint16

const (
	refRetain ref = 1 << 13
	refQoS    ref = 1 << 14 // times the QoS
)

func makeRef(h handle, q mqtt.QoS, retain bool) ref {
	r := ref(h) | ref(q)*refQoS
	if retain {
		r |= refRetain
	}
	return r
}

func (r ref) handle() handle { return handle(r) & maxHandle }
func (r ref) qos() mqtt.QoS  { return mqtt.QoS(r / refQoS) }
func (r ref) retain() bool   { return r&refRetain != 0 }

// A place is one message waiting in some session's queue.
type place struct {
	ref  ref
	next uint16 // place + 1; 0: the last
}

// find returns the session of a client identifier, or nil.
func (b *Broker) find(id []byte) *session {
	for i := range b.sessions {
		if s := &b.sessions[i]; s.id != 0 && mqtt.Same(b.slab.bytes(s.id), id) {
			return s
		}
	}
	return nil
}

// vacate returns a free session, at the price of the one that has been away
// for longest if there is no other.
func (b *Broker) vacate() *session {
	var longest *session
	for i := range b.sessions {
		s := &b.sessions[i]
		switch {
		case s.id == 0:
			return s
		case s.conn == 0 && (longest == nil || s.since < longest.since):
			longest = s
		}
	}
	if longest != nil {
		b.stats.Forgotten++
		b.drop(longest)
	}
	return longest
}

// detach ends a session's connection. Its will is said now, later or never
// [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.14.4-3].
func (b *Broker) detach(s *session, code mqtt.ReasonCode) {
	s.conn, s.since, s.full = 0, b.now, 0
	b.online--
	b.freed++
	b.dropParked(s)
	b.dropQoS0(s)
	switch {
	case code == mqtt.Success:
		b.slab.drop(s.will)
		s.will = 0
	case s.will != 0 && s.willDelay > 0 && s.expiry > 0:
		s.willAt = b.now + time.Duration(min(s.willDelay, s.expiry))*time.Second
		b.wake(s.willAt)
	default:
		b.sayWill(s)
	}
	if s.expiry == 0 {
		b.drop(s) // [MQTT-3.1.2-23, 5.0] [MQTT-3.1.2-6, 3.1.1]
	} else if s.expiry != mqtt.NeverExpires {
		b.wake(b.now + time.Duration(s.expiry)*time.Second)
	}
}

// drop forgets a session and all that is its.
func (b *Broker) drop(s *session) {
	if s.will != 0 {
		b.sayWill(s) // [MQTT-3.1.2-8, 5.0]: the session's end is the latest time
	}
	b.empty(s)
	b.slab.drop(s.id)
	*s = session{out: s.out, in: s.in, at: s.at}
	b.freed++
}

// empty takes everything from a session but its name.
func (b *Broker) empty(s *session) {
	for s.queued > 0 {
		b.slab.drop(b.pop(s).handle())
	}
	for {
		r, ok := s.out.Take()
		if !ok {
			break
		}
		b.slab.drop(r.handle())
	}
	s.in.Reset()
	for i := b.nsubs - 1; i >= 0; i-- {
		if b.subs[i].session == s.at {
			b.removeSub(i)
		}
	}
	b.freed++
}

// room reports whether a message more may wait in s.
func (b *Broker) room(s *session) bool { return int(s.queued) < b.limits.Queue }

// refuseFull notes that a message found no room in s.
func (b *Broker) refuseFull(s *session) {
	if s.full == 0 {
		s.full = max(b.now, 1)
		b.wake(b.now + patience)
	}
}

// push puts a message at the end of a session's queue, with the reference the
// caller held. The caller has asked room: there are places for all.
func (b *Broker) push(s *session, r ref) {
	p := b.spare
	e := &b.places[p-1]
	b.spare = e.next
	*e = place{ref: r}
	if s.queued == 0 {
		s.first = p
	} else {
		b.places[s.last-1].next = p
	}
	s.last = p
	s.queued++
}

// pop takes the oldest message out of the queue; the reference passes to the
// caller.
func (b *Broker) pop(s *session) ref { return b.take(s, 0) }

// after returns the place + 1 behind another of a queue; 0 stands before the
// first.
func (b *Broker) after(s *session, before uint16) uint16 {
	if before == 0 {
		return s.first
	}
	return b.places[before-1].next
}

// lastAcked returns the last of the QoS 1 and 2 messages at the head of a
// queue that is not empty: behind it stands one of QoS 0, or none.
func (b *Broker) lastAcked(s *session) (before uint16) {
	for p := s.first; p != 0 && b.places[p-1].ref.qos() > mqtt.AtMostOnce; p = b.places[p-1].next {
		before = p
	}
	return before
}

// take takes the message behind a place out of the queue.
func (b *Broker) take(s *session, before uint16) ref {
	p := b.after(s, before)
	e := &b.places[p-1]
	r := e.ref
	if before == 0 {
		s.first = e.next
	} else {
		b.places[before-1].next = e.next
	}
	if s.last == p {
		s.last = before
	}
	e.next = b.spare
	b.spare = p
	s.queued--
	s.full = 0
	b.freed++
	return r
}

// dropQoS0 takes the messages that do not outlive a connection out of a queue.
func (b *Broker) dropQoS0(s *session) {
	for n := s.queued; n > 0; n-- {
		r := b.pop(s)
		if r.qos() > mqtt.AtMostOnce {
			b.push(s, r)
		} else {
			b.slab.drop(r.handle())
		}
	}
}

func (b *Broker) stepSession(s *session) {
	if s.id == 0 {
		return
	}
	if s.full != 0 {
		if b.now < s.full+patience {
			b.wake(s.full + patience)
		} else if b.unstick(s); s.id == 0 {
			return
		}
	}
	if s.conn != 0 {
		return
	}
	if s.will != 0 {
		if b.now < s.willAt {
			b.wake(s.willAt)
		} else {
			b.sayWill(s) // [X5-3.1.3.2.2-a]
		}
	}
	if s.expiry == mqtt.NeverExpires {
		return
	}
	if end := s.since + time.Duration(s.expiry)*time.Second; b.now < end {
		b.wake(end)
	} else {
		b.drop(s)
	}
}

// runShort notes that a QoS 1 or 2 message found no room in the slab.
func (b *Broker) runShort() {
	if b.short == 0 {
		b.short = max(b.now, 1)
		b.wake(b.now + patience)
	}
}

// relieve makes room in a slab that has had none for too long: who is away
// longest and has messages waiting loses its session; if nobody is, a client
// that has acknowledged nothing for as long is disconnected.
func (b *Broker) relieve() {
	if b.short == 0 {
		return
	}
	if b.now < b.short+patience {
		b.wake(b.short + patience)
		return
	}
	b.short = 0
	var worst *session
	for i := range b.sessions {
		s := &b.sessions[i]
		if s.id == 0 || s.queued == 0 && s.out.Len() == 0 || s.conn != 0 && b.now < s.since+patience {
			continue
		}
		if worst == nil || worst.conn != 0 && s.conn == 0 || (worst.conn == 0) == (s.conn == 0) && s.since < worst.since {
			worst = s
		}
	}
	if worst != nil {
		b.unstick(worst)
	}
}

// unstick deals with a session that has kept others waiting for too long: the
// client is disconnected; if it is not even there, it will learn from Session
// Present 0 that it missed something.
func (b *Broker) unstick(s *session) {
	if s.conn != 0 {
		if b.conns[s.conn-1].held {
			return // it is we who do not listen to what it takes
		}
		b.stats.Stalled++
		b.end(Slot(s.conn-1), mqtt.QuotaExceeded)
		return
	}
	b.stats.Forgotten++
	b.drop(s)
}
