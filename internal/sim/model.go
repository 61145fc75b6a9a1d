package sim

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/topic"
)

// A model knows what was seen at the clients' ends of the wires, in one order,
// and so what may and what must be delivered. What cannot be known from there
// (did the server get it before the link broke?) it takes both ways.
//
// Moments are ticks: the number of the event. Of two events at clients' ends
// the one with the smaller tick really came first.
type model struct {
	w *World

	mu       sync.Mutex
	tick     int
	views    map[string]*view
	order    []*view
	messages map[string]*message // by payload
	list     []*message
	writes   map[string][]*message // retained messages, and their clearing, by topic
	groups   map[string]*group     // shared subscriptions
	restarts []restart
	closing  bool        // the server is about to forget everything, in good order
	troubles []time.Time // moments at which the disk was in trouble
	trouble  bool        // it is now
	wrong    []string    // what must not be
	count    Tally
}

type restart struct {
	tick int
	at   time.Time
	lost bool // the server remembers nothing
}

// A message is one application message.
type message struct {
	topic, payload string
	qos            mqtt.QoS
	retain         bool
	expires        bool          // each time it was sent; before 5.0 it cannot be said
	mortal         bool          // at least once
	expiry         time.Duration // the longest it was sent with
	brief          time.Duration // the shortest
	from           *view
	origin         *session // of from
	will           *will    // it is one

	sent     int // first
	sentAt   time.Time
	sends    int
	last     *watch // where it was sent last
	acked    int    // by the server, with code
	ackedAt  time.Time
	code     mqtt.ReasonCode
	given    bool // up: nobody sends it again
	weak     bool // its being retained may not have outlived a crash
	done     int  // after that it changes nothing more; 0: it still may
	complete bool // the exchange is over
}

func (m *message) String() string {
	return fmt.Sprintf("%.12s (%s, QoS %d)", m.payload, m.topic, m.qos)
}

// accepted says that the server has promised to take care of it.
func (m *message) accepted() bool { return m.acked > 0 && !m.code.Failed() }

// A session is one life of a client's session at the server.
type session struct {
	v      *view
	n      int
	parent *session // it may still be that one

	exists bool // has been confirmed
	gone   bool // is no more, for certain
	online *watch
	conns  int
	lost   bool // a CONNECT that may have changed everything was never answered
	sure   time.Time
	least  time.Duration // how long it outlives its connection, at least and
	most   time.Duration // at most

	subs     []*sub
	standing map[string]*standing
	receipts map[*message]*receipt
	held     map[mqtt.PacketID]*message // QoS 2 messages received and not released
	last     map[lineKey]int
	ended    int
}

// A sub is one filter of one SUBSCRIBE.
type sub struct {
	filter, match string // match is the filter without $share
	shared        bool
	qos           mqtt.QoS
	noLocal, rap  bool
	handling      byte
	id            uint32
	by            *watch
	sent, acked   int
	out           int // from then on it is not in force, for certain
}

// Standing is a subscription that is in force for certain.
type standing struct {
	since   int
	qos     mqtt.QoS // the lowest since
	noLocal bool
	match   string
	shared  bool
}

// A receipt is what a session got of a message.
type receipt struct {
	times, fresh, replays int
	last                  int  // when it came last
	app                   int  // what counts as one with an earlier one left out
	exact                 int  // of app, those at QoS 2 that are no replays
	kept                  bool // one of them came at QoS 1 or 2
}

type lineKey struct {
	from      *session
	topic     string
	sent, got mqtt.QoS
}

// A group is one shared subscription.
type group struct {
	fresh, app map[*message]int
	endings    []int // ticks at which a member may have left
}

func newModel(w *World) *model {
	return &model{
		w: w, views: map[string]*view{}, messages: map[string]*message{}, writes: map[string][]*message{},
		groups: map[string]*group{},
	}
}

// wrongLocked notes what must not be.
func (m *model) wrongLocked(format string, args ...any) {
	if len(m.wrong) < 20 {
		s := fmt.Sprintf(format, args...)
		m.wrong = append(m.wrong, s)
		m.w.note("WRONG: %s", s)
	}
}

func (m *model) next() int {
	m.tick++
	return m.tick
}

func (m *model) group(filter string) *group {
	g := m.groups[filter]
	if g == nil {
		g = &group{fresh: map[*message]int{}, app: map[*message]int{}}
		m.groups[filter] = g
	}
	return g
}

// restartsSince counts the server's lives that began after tick.
func (m *model) restartsSince(tick int) (n int) {
	for _, r := range m.restarts {
		if r.tick > tick {
			n++
		}
	}
	return n
}

// spoiltSince reports whether the disk was in trouble after t.
func (m *model) spoiltSince(t time.Time) bool {
	return m.trouble || slices.ContainsFunc(m.troubles, func(at time.Time) bool { return at.After(t) })
}

// troubledSince reports whether the disk was in trouble, or the server gone, after t.
func (m *model) troubledSince(t time.Time) bool {
	if m.spoiltSince(t) {
		return true
	}
	for _, r := range m.restarts {
		if r.at.After(t) {
			return true
		}
	}
	return false
}

func (m *model) setTrouble(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.trouble && !on {
		m.troubles = append(m.troubles, time.Now())
	}
	m.trouble = on
}

func (m *model) mark(f func(m *model)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

// serverBack notes a restart, the server having gone at at. lost says that it
// remembers nothing; the fixed-memory broker, retained messages alone.
func (m *model) serverBack(lost bool, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closing = false
	m.restarts = append(m.restarts, restart{m.next(), time.Now(), lost})
	if !lost {
		return
	}
	for _, v := range m.order {
		if v.sess != nil {
			v.sess.endLocked(m)
		}
	}
	for _, all := range m.writes {
		for _, x := range all {
			x.given, x.done = true, m.tick
			x.weak = x.weak || at.Sub(x.ackedAt) < 2*flashDelay
		}
	}
	if m.w.plan.Kind != Fixed {
		m.writes = map[string][]*message{}
	}
}

func (v *view) newSession(parent *session) *session {
	v.lives++
	return &session{
		v: v, n: v.lives, parent: parent, standing: map[string]*standing{}, receipts: map[*message]*receipt{},
		held: map[mqtt.PacketID]*message{}, last: map[lineKey]int{},
	}
}

func (s *session) String() string { return fmt.Sprintf("%s#%d", s.v.name, s.n) }

// endLocked says that the session is no more.
func (s *session) endLocked(m *model) {
	s.gone, s.exists, s.online = true, false, nil
	s.ended = m.next()
	s.unsettleLocked(m)
}

// unsettleLocked says that nothing about the session's subscriptions is certain.
func (s *session) unsettleLocked(m *model) {
	for f, st := range s.standing {
		if st.shared {
			g := m.group(f)
			g.endings = append(g.endings, m.tick)
		}
	}
	for _, b := range s.subs {
		if b.shared {
			g := m.group(b.filter)
			g.endings = append(g.endings, m.tick)
		}
	}
	clear(s.standing)
}

// certain reports whether the server must have the session now.
func (s *session) certain() bool {
	if !s.exists || s.gone {
		return false
	}
	if x := s.online; x != nil && x.open() && (x.closedAt.IsZero() || time.Now().Add(slack).Before(x.until().Add(min(s.least, 1<<60)))) {
		return true
	}
	return time.Now().Add(slack).Before(s.sure)
}

// slack is what clocks and goroutines may be late.
const slack = 3 * time.Second

// extinct reports whether the server cannot have the session any more.
func (s *session) extinct() bool {
	if s.gone || s.parent != nil {
		return s.gone && (s.parent == nil || s.parent.extinct())
	}
	if !s.exists || s.most == forever {
		return false
	}
	last := time.Time{}
	for _, k := range s.v.watches {
		if k.closedAt.IsZero() {
			return false
		}
		if k.closedAt.After(last) {
			last = k.closedAt
		}
	}
	for _, r := range s.v.w.model.restarts { // who was connected counts as gone from then on
		if r.at.After(last) {
			last = r.at
		}
	}
	return time.Now().After(last.Add(s.most + slack))
}

const forever = time.Duration(1<<63 - 1)

// matchesLocked returns the subscriptions that may bring m to the session.
func (s *session) matches(m *message) (plain, shared []*sub) {
	for at := s; at != nil; at = at.parent {
		for _, b := range at.subs {
			switch {
			case b.out > 0 && b.out < m.sent: // was over
			case m.done > 0 && b.sent > m.done && !b.shared: // came too late; what another member left behind is not
			case b.noLocal && m.from == s.v, !topic.Match(b.match, m.topic):
			case !b.shared:
				plain = append(plain, b)
			default:
				shared = append(shared, b)
			}
		}
	}
	return plain, shared
}

// owed returns the QoS at which the session must get m, were it accepted; false
// if it need not.
func (s *session) owed(m *message) (q mqtt.QoS, must bool) {
	for _, st := range s.standing {
		if st.since < m.sent && !st.shared && topic.Match(st.match, m.topic) && !(st.noLocal && m.from == s.v) {
			q, must = max(q, st.qos), true
		}
	}
	return min(q, m.qos), must
}

func (s *session) receipt(m *message) *receipt {
	r := s.receipts[m]
	if r == nil {
		r = new(receipt)
		s.receipts[m] = r
	}
	return r
}

// possible reports whether x may be its topic's retained message at tick.
func (m *model) possible(x *message, tick int) bool {
	for _, y := range m.writes[x.topic] {
		if x.done > 0 && y.accepted() && !y.weak && y.sent > x.done && y.acked <= tick {
			return false
		}
	}
	return true
}

// mayBeBare reports whether a topic may have no retained message at tick.
func (m *model) mayBeBare(name string, tick int) bool {
	kept := false
	for _, y := range m.writes[name] {
		if y.accepted() && !y.weak && y.acked <= tick && y.payload != "" {
			kept = true
		}
		if y.mortal && time.Now().After(y.sentAt.Add(y.brief-slack)) {
			return true
		}
	}
	if !kept {
		return true
	}
	for _, y := range m.writes[name] {
		if y.payload == "" && m.possible(y, tick) {
			return true
		}
	}
	return false
}
