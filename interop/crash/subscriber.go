package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A habit is how a subscriber lives.
type habit struct {
	name       string
	stay, away between // how long it is connected, and not
	toggles    bool    // it subscribes and unsubscribes
	rude       bool    // now and then it leaves without a word, or stops to answer
	reborn     bool    // now and then it asks for a clean start
	slow       bool    // it takes its time to answer
	expiry     uint32
}

// A between is some time from one duration to another.
type between struct{ lo, hi time.Duration }

func (s between) pick(rng *rand.Rand) time.Duration {
	return s.lo + time.Duration(rng.Int64N(int64(s.hi-s.lo)+1))
}

// A subscriber has a session that outlives its connections, and tells the
// ledger what it was promised and what came.
type subscriber struct {
	w       *world
	id      string
	version mqtt.Version
	habit   habit
	group   *recipient // of the shared subscription it is a member of, nil: none
	hear    func(topic string, payload []byte) bool

	mu      sync.Mutex
	rng     *rand.Rand
	me      *recipient
	life    int
	past    past
	wishes  []*wish
	held    map[mqtt.PacketID]bool // QoS 2 identifiers: received, and not released
	pending map[mqtt.PacketID]*wish
	ids     mqtt.PacketID
	mute    int // after so many messages it answers no more
}

// A wish is a filter, and whether it is wanted.
type wish struct {
	filter string
	qos    mqtt.QoS
	fixed  bool
	on     bool
	open   bool // asked for, and not answered; or never asked for
	right  *right
}

func (s *subscriber) run(ctx context.Context) {
	if s.me == nil {
		s.renew()
	}
	gone := time.Now()
	var before *wire
	defer func() { before.end() }()
	for clean := false; ctx.Err() == nil; {
		drain := s.w.draining()
		c := hello(s.version, s.id, s.habit.expiry)
		if s.version == mqtt.V5 {
			c.Properties.ReceiveMaximum = narrow[s.rng.IntN(len(narrow))]
		}
		clean = clean || s.habit.reborn && !drain && s.past.known && s.rng.IntN(8) == 0
		if c.CleanStart = clean; clean {
			s.w.ledger.abandon(s.me)
		}
		w, present, err := connect(ctx, s.w.addr, c)
		before.end()
		before = nil
		if err != nil {
			s.past.tried = true
			gone = time.Now() // for all it knows it has been there
			s.w.failed(ctx, s.id, err)
			continue
		}
		s.arrive(clean, present, s.w.up(gone))
		clean = clean && s.version != mqtt.V5 // which has no clean session that is kept: it comes once more without
		if clean {
			s.past, clean = past{}, false
			w.close()
			continue
		}
		s.visit(ctx, w)
		if before = w; !s.habit.rude || s.rng.IntN(3) > 0 { // or it is taken over
			before.end()
			gone = time.Now()
			s.w.rest(ctx, s.habit.away.pick(s.rng))
		}
	}
}

// narrow are the Receive Maximums of 5.0 subscribers, a new one each time.
var narrow = []uint16{0, 0, 1, 3, 20}

// expired is how long a client of short expiry stays away for its session to
// be over for certain.
const expired = 3 * time.Second

// arrive judges what CONNACK said of the session. away is since when the broker
// has known the client to be.
func (s *subscriber) arrive(clean, present bool, away time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	brief := s.habit.expiry != forever && s.version == mqtt.V5
	switch {
	case brief && !clean && s.past.known:
		if present && away > expired {
			s.w.ledger.fault(func(f *faults) *int { return &f.SessionsBack }, "%s was away for %v and finds its session", s.id, away)
		}
		clean = !present
	case clean:
		s.w.ledger.present(s.id, new(past), present)
		s.past = past{known: true}
	default:
		s.w.ledger.present(s.id, &s.past, present)
	}
	if clean {
		s.w.ledger.abandon(s.me)
		s.renew()
	}
	if !present {
		s.held = map[mqtt.PacketID]bool{}
		for _, x := range s.wishes {
			x.open = x.open || x.on
		}
	}
	s.pending = map[mqtt.PacketID]*wish{}
}

// renew begins a life of the session: with what is always wanted.
func (s *subscriber) renew() {
	l := s.w.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	s.life++
	s.me = l.recipient(fmt.Sprintf("%s(%d)", s.id, s.life), false)
	s.held = map[mqtt.PacketID]bool{}
	for _, x := range s.wishes {
		x.on, x.open = x.fixed, x.fixed
		to := s.me
		if s.group != nil {
			to = s.group
		}
		x.right = l.right(to, x.filter, x.qos)
	}
}

// visit stays for a while.
func (s *subscriber) visit(ctx context.Context, w *wire) {
	s.mu.Lock()
	stay := s.habit.stay.pick(s.rng)
	s.mute = -1
	if s.habit.rude && s.rng.IntN(4) == 0 && !s.w.draining() {
		s.mute = s.rng.IntN(30)
	}
	polite := !s.habit.rude || s.rng.IntN(2) == 0
	s.mu.Unlock()
	ended := w.listen(func(h packet.Header, body []byte) error { return s.take(w, h, body) })
	leave := time.NewTimer(stay)
	defer leave.Stop()
	change := time.NewTicker(20 * time.Millisecond)
	defer change.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
			return
		case <-s.w.drained:
			return
		case <-leave.C:
			if s.w.draining() {
				continue
			}
			if d := (packet.Disconnect{}); polite {
				w.send(d.Append(nil, w.v))
			}
			return
		case <-change.C:
			if s.ask(w) != nil {
				return
			}
		}
	}
}

// ask sends the requests that are due, and thinks of a new one now and then.
func (s *subscriber) ask(w *wire) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mute >= 0 {
		return nil
	}
	if len(s.pending) > 0 {
		return nil
	}
	for _, x := range s.wishes {
		if s.habit.toggles && !x.fixed && !x.open && !s.w.draining() && s.rng.IntN(60) == 0 {
			x.on, x.open = !x.on, true
		}
		if !x.open {
			continue
		}
		s.ids = s.ids%60000 + 1
		s.pending[s.ids] = x
		if s.group == nil || x.on {
			s.w.ledger.asked(x.right, x.on)
		}
		var b []byte
		if x.on {
			p := packet.Subscribe{ID: s.ids, Properties: new(packet.Properties)}
			p.Filters = p.Filters.Add(packet.Subscription{Filter: []byte(x.filter), QoS: x.qos})
			b = p.Append(nil, w.v)
		} else {
			p := packet.Unsubscribe{ID: s.ids, Properties: new(packet.Properties)}
			p.Filters = p.Filters.Add(x.filter)
			b = p.Append(nil, w.v)
		}
		if err := w.send(b); err != nil {
			return err
		}
	}
	return nil
}

// take handles one packet.
func (s *subscriber) take(w *wire, h packet.Header, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch h.Type {
	case packet.PUBLISH:
		return s.receive(w, h, body)
	case packet.SUBACK, packet.UNSUBACK:
		return s.answered(w, h, body)
	case packet.PUBREL:
		var a packet.Ack
		if err := a.Decode(w.v, h.Type, body); err != nil || s.mute == 0 {
			return err
		}
		delete(s.held, a.ID)
		return w.ack(packet.PUBCOMP, a.ID)
	}
	return nil
}

func (s *subscriber) answered(w *wire, h packet.Header, body []byte) error {
	var a packet.Suback
	if err := a.Decode(w.v, h.Type, body); err != nil {
		return err
	}
	x := s.pending[a.ID]
	delete(s.pending, a.ID)
	if x == nil || x.on != (h.Type == packet.SUBACK) {
		s.w.ledger.fault(func(f *faults) *int { return &f.Acks }, "%s got %v of nothing, %d", s.id, h.Type, a.ID)
		return nil
	}
	if len(a.Codes) > 0 && mqtt.ReasonCode(a.Codes[0]).Failed() {
		s.w.ledger.fault(func(f *faults) *int { return &f.Refused }, "%s got %v %v for %s", s.id, h.Type, a.Codes, x.filter)
		return nil
	}
	x.open = false
	s.w.ledger.granted(x.right, x.on)
	return nil
}

// receive takes note of a message, once for each that is new to the protocol,
// and answers, unless it is in no mood to.
func (s *subscriber) receive(w *wire, h packet.Header, body []byte) error {
	var m packet.Publish
	if err := m.Decode(w.v, h.Flags, body); err != nil {
		return err
	}
	if !s.held[m.ID] || m.QoS < mqtt.ExactlyOnce {
		s.note(&m)
	}
	if m.QoS == mqtt.ExactlyOnce {
		s.held[m.ID] = true
	}
	if s.mute > 0 {
		s.mute--
	}
	if s.habit.slow {
		s.w.rest(context.Background(), 5*time.Millisecond)
	}
	switch {
	case s.mute == 0 || m.QoS == mqtt.AtMostOnce:
		return nil
	case m.QoS == mqtt.AtLeastOnce:
		return w.ack(packet.PUBACK, m.ID)
	}
	return w.ack(packet.PUBREC, m.ID)
}

func (s *subscriber) note(m *packet.Publish) {
	topic, to := string(m.Topic), s.me
	if s.hear != nil && s.hear(topic, m.Payload) {
		return
	}
	if s.group != nil && s.w.ledger.covers(s.group, topic) {
		to = s.group
	}
	s.w.ledger.came(to, topic, m.Payload, m.Retain)
}
