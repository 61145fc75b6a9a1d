package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/topic"
)

// A tick is a moment of the run: nanoseconds since its start, and no two the
// same. 0 is never.
type tick int64

// A ledger holds what the broker promised and what came. Everything in it, and
// in what it made, is guarded by mu.
type ledger struct {
	mu         sync.Mutex
	start      time.Time
	last       tick
	streams    []*stream
	topics     map[string]*stream
	recipients []*recipient
	wills      map[string]*lastWord
	wake       *right    // the subscription that listens to wills, from its SUBACK on for good
	active     time.Time // when the last message came
	faults     faults
}

func newLedger() *ledger {
	return &ledger{start: time.Now(), topics: map[string]*stream{}, wills: map[string]*lastWord{}}
}

func (l *ledger) now() tick {
	l.last = max(l.last+1, tick(time.Since(l.start)))
	return l.last
}

// A stream is what one publisher sends to one topic, numbered from 1.
type stream struct {
	topic    string
	qos      mqtt.QoS
	retained bool
	index    int
	sent     []span
	floor    int // all up to this number are acknowledged
}

// A span is when a message was first sent, and when its last acknowledgement
// came. In between the broker took it, or lost it.
type span struct{ from, till tick }

func (l *ledger) stream(topic string, q mqtt.QoS, retained bool) *stream {
	s := &stream{topic: topic, qos: q, retained: retained, index: len(l.streams)}
	l.streams = append(l.streams, s)
	l.topics[topic] = s
	return s
}

// next begins a message and returns its number and payload.
func (l *ledger) next(s *stream) (n int, payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.sent = append(s.sent, span{from: l.now()})
	n = len(s.sent)
	return n, s.payload(n)
}

// acknowledged notes that the broker owns a message for good.
func (l *ledger) acknowledged(s *stream, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.sent[n-1].till = l.now()
	for s.floor < len(s.sent) && s.sent[s.floor].till > 0 {
		s.floor++
	}
}

// clears reports whether a message empties its topic.
func (s *stream) clears(n int) bool { return s.retained && n%7 == 0 }

// payload is the same for the same number: short mostly, long now and then.
func (s *stream) payload(n int) []byte {
	if s.clears(n) {
		return nil
	}
	sum := crc32.ChecksumIEEE(fmt.Appendf(nil, "%s %d", s.topic, n))
	size := sum % 200
	if sum%61 == 0 {
		size = sum % 20_000
	}
	b := fmt.Appendf(make([]byte, 0, size+32), "%d ", n)
	return append(b, bytes.Repeat([]byte{'a' + byte(sum%26)}, int(size))...)
}

// number reads a payload back. False is one that nobody sent.
func (s *stream) number(payload []byte) (n int, ok bool) {
	_, err := fmt.Sscanf(string(payload[:min(len(payload), 20)]), "%d ", &n)
	return n, err == nil && n > 0 && n <= len(s.sent) && bytes.Equal(payload, s.payload(n))
}

// A recipient is who is to get messages: one life of a session, or the members
// of a shared subscription together.
type recipient struct {
	name   string
	shared bool
	gone   bool // the session was ended: nothing is owed any more
	rights []*right
	got    map[*stream]*arrivals
}

// A right is a subscription, as far as the broker's answers tell.
type right struct {
	filter string
	qos    mqtt.QoS
	on     []span // from SUBACK until UNSUBSCRIBE was sent; 0: still on
	off    []span // from UNSUBACK, or the beginning, until SUBSCRIBE was sent

	// Of retained messages, since SUBSCRIBE was sent.
	due    map[*stream]int // what is to come, or a later one
	copies map[*stream]int // what came as retained; nil: SUBSCRIBE was sent twice
}

// arrivals are what came of one stream.
type arrivals struct {
	times  []uint8 // by number-1
	newest int
}

func (l *ledger) recipient(name string, shared bool) *recipient {
	r := &recipient{name: name, shared: shared, got: map[*stream]*arrivals{}}
	l.recipients = append(l.recipients, r)
	return r
}

// right returns r's to a filter, which begins as one it does not have.
func (l *ledger) right(r *recipient, filter string, q mqtt.QoS) *right {
	for _, x := range r.rights {
		if x.filter == filter {
			return x
		}
	}
	x := &right{filter: filter, qos: q, off: []span{{}}}
	r.rights = append(r.rights, x)
	return x
}

func end(all []span, at tick) {
	if n := len(all); n > 0 && all[n-1].till == 0 {
		all[n-1].till = at
	}
}

// asked notes that SUBSCRIBE, or with no UNSUBSCRIBE, is about to be sent.
func (l *ledger) asked(x *right, yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x.due = nil
	if !yes {
		end(x.on, l.now())
		return
	}
	x.copies = nil
	if n := len(x.off); n > 0 && x.off[n-1].till == 0 {
		x.copies = map[*stream]int{}
	}
	end(x.off, l.now())
	x.due = map[*stream]int{}
	for _, s := range l.streams {
		if s.retained && x.matches(s) && !s.mayBeEmpty(s.floor) {
			x.due[s] = s.floor
		}
	}
}

// granted notes the answer.
func (l *ledger) granted(x *right, yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := &x.off
	if yes {
		list = &x.on
	}
	if n := len(*list); n == 0 || (*list)[n-1].till != 0 {
		*list = append(*list, span{from: l.now()})
	}
}

// abandon notes that a session may be over from here on, by its client's wish.
func (l *ledger) abandon(r *recipient) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.gone = true
	for _, x := range r.rights {
		end(x.on, l.now())
	}
}

// came notes a message that r got; retained says that it came for a new
// subscription.
func (l *ledger) came(r *recipient, name string, payload []byte, retained bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = time.Now()
	s := l.topics[name]
	if s == nil {
		l.faults.add(&l.faults.Foreign, "%s got %q on %s, which nobody sent", r.name, payload[:min(len(payload), 20)], name)
		return
	}
	x := r.rightTo(s)
	if x == nil {
		l.faults.add(&l.faults.Foreign, "%s got %q on %s, to which it never subscribed", r.name, payload[:min(len(payload), 20)], name)
		return
	}
	if s.retained && len(payload) == 0 { // cleared: by which of those that do, it does not tell
		delete(x.due, s)
		return
	}
	n, ok := s.number(payload)
	if !ok {
		l.faults.add(&l.faults.Foreign, "%s got %q on %s, which was not sent like that", r.name, payload[:min(len(payload), 20)], name)
		return
	}
	if n >= x.due[s] {
		delete(x.due, s)
	}
	if retained {
		l.cameRetained(r, x, s, n)
		return
	}
	a := r.got[s]
	if a == nil {
		a = new(arrivals)
		r.got[s] = a
	}
	for len(a.times) < n {
		a.times = append(a.times, make([]uint8, len(s.sent)-len(a.times))...)
	}
	again := a.times[n-1] > 0
	a.times[n-1] = min(a.times[n-1], 254) + 1
	switch {
	case again && min(s.qos, x.qos) == mqtt.ExactlyOnce:
		l.faults.add(&l.faults.Doubled, "%s got %s #%d (QoS 2, sent at %v) again at %v", r.name, name, n, s.sent[n-1].from, l.now())
	case !again && n < a.newest && !r.shared && x.stands(s.sent[n-1].from):
		l.faults.add(&l.faults.Disordered, "%s got %s #%d after #%d", r.name, name, n, a.newest)
	}
	a.newest = max(a.newest, n)
}

// stands reports whether the subscription stands, and did then. If it did not,
// the broker may have taken a message before it, and once more, at QoS 1, when
// its publisher sent it again: behind later ones.
func (x *right) stands(then tick) bool {
	n := len(x.on)
	return n > 0 && x.on[n-1].till == 0 && x.on[n-1].from <= then
}

// cameRetained notes a retained message: once for a subscription.
func (l *ledger) cameRetained(r *recipient, x *right, s *stream, n int) {
	if x.copies == nil {
		return
	}
	if x.copies[s] == n && min(s.qos, x.qos) == mqtt.ExactlyOnce {
		l.faults.add(&l.faults.Doubled, "%s got the retained %s #%d (QoS 2) again at %v", r.name, s.topic, n, l.now())
	}
	x.copies[s] = n
}

// rightTo is the right under which messages of s come. Filters of one
// recipient do not overlap.
func (r *recipient) rightTo(s *stream) *right {
	for _, x := range r.rights {
		if x.matches(s) {
			return x
		}
	}
	return nil
}

func (x *right) matches(s *stream) bool {
	f := x.filter
	if _, rest, shared := topic.Shared(f); shared {
		f = rest
	}
	return topic.Match(f, s.topic)
}

// String shows a moment as people say it.
func (t tick) String() string { return fmt.Sprintf("%.3fs", time.Duration(t).Seconds()) }

// past is what a client knows of its session.
type past struct {
	known bool // CONNACK has told of it
	tried bool // since then, or ever, a CONNECT got no answer
}

// present judges what CONNACK says of a session that is kept.
func (l *ledger) present(id string, p *past, present bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case p.known && !present:
		l.faults.add(&l.faults.SessionsLost, "at %v: %s finds its session gone", l.now(), id)
	case !p.known && !p.tried && present:
		l.faults.add(&l.faults.SessionsBack, "at %v: %s finds a session, and never had one", l.now(), id)
	}
	*p = past{known: true}
}

// covers reports whether messages to the topic are r's.
func (l *ledger) covers(r *recipient, topic string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.topics[topic]
	return s != nil && r.rightTo(s) != nil
}
