package sim

import (
	"slices"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A view is all that is seen of one client identifier.
type view struct {
	m       *model
	w       *World
	name    string
	lives   int // sessions so far
	sess    *session
	watches []*watch
	sending map[mqtt.PacketID]*message // QoS 1 and 2 messages sent and not complete
	asked   map[mqtt.PacketID][]*sub   // SUBSCRIBE without an answer
	undone  map[mqtt.PacketID]ask      // UNSUBSCRIBE without an answer
	came    map[*message]int           // over the wire, as receipt.app counts
	handled map[*message]int           // by a program, if one is behind it
}

type ask struct {
	filters []string
	sent    int
}

// A watch is a view's look at one connection.
type watch struct {
	*view
	k       *link
	out, in []byte // beginnings of packets
	hello   packet.Connect
	version mqtt.Version
	fresh   *session  // its CONNECT was the first to ask for it
	doubted bool      // the CONNECT before its own was never answered
	was     time.Time // until then the session was certain when CONNECT left; zero: it was not
	aliases [2]map[uint16]string

	accepted     bool // CONNACK says so
	ended        bool // the client knows that it is over
	goodbye      bool // DISCONNECT was sent
	keepsWill    bool // and does not call the will off
	proper       bool // and calls it off, on a connection that was well
	overtaken    bool // another CONNECT left before the server had closed
	slow         bool // what it gets may be late
	silent       bool // the client sent nothing for longer than it promised to
	will         *will
	unacked      map[mqtt.PacketID]*message
	began        time.Time
	heard        time.Time // when the server last showed that it had the connection
	acceptedTick int
	closedAt     time.Time // the server has closed
	drained      bool      // having read all that was sent
}

// A will is one CONNECT's.
type will struct {
	m         *message
	k         *watch
	delay     time.Duration
	cancelled time.Time // resumed in time, for certain
	again     bool      // another CONNECT may have called it off
	due       bool      // or made it due, by a clean start
}

func (m *model) view(name string) *view {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.views[name]
	if v == nil {
		v = &view{m: m, w: m.w, name: name, sending: map[mqtt.PacketID]*message{}, asked: map[mqtt.PacketID][]*sub{}, undone: map[mqtt.PacketID]ask{}, came: map[*message]int{}, handled: map[*message]int{}}
		m.views[name] = v
		m.order = append(m.order, v)
	}
	return v
}

// watch begins to look at a connection.
func (v *view) watch(k *link) *watch {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	x := &watch{view: v, k: k, unacked: map[mqtt.PacketID]*message{}, began: time.Now(), heard: time.Now()}
	k.view = x
	v.watches = append(v.watches, x)
	return x
}

// unwatch forgets a connection that did not come about.
func (v *view) unwatch(x *watch) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	v.watches = slices.DeleteFunc(v.watches, func(y *watch) bool { return y == x })
}

// open reports whether the connection is up as far as the client knows, and
// nothing has been done to it.
func (x *watch) open() bool {
	return !x.ended && !x.goodbye && x.accepted && !x.k.host.dead.Load() && !x.k.faulty.Load()
}

// send sees p leave the client.
func (x *watch) send(p []byte) {
	x.m.mu.Lock()
	defer x.m.mu.Unlock()
	x.out = append(x.out, p...)
	x.out = x.eachPacket(x.out, x.sentPacket)
}

// receive sees p, or the end, reach the client.
func (x *watch) receive(p []byte, err error) {
	x.m.mu.Lock()
	defer x.m.mu.Unlock()
	if len(p) > 0 {
		x.heard = x.until()
		x.in = append(x.in, p...)
		x.in = x.eachPacket(x.in, x.gotPacket)
	}
	if timeout, ok := err.(interface{ Timeout() bool }); err != nil && err != errWait && !(ok && timeout.Timeout()) {
		x.endLocked()
	}
}

func (x *watch) eachPacket(b []byte, f func(h packet.Header, body []byte)) []byte {
	for {
		h, err := packet.ReadHeader(b)
		if err != nil || len(b) < h.Size+h.Len {
			if err != nil && err != packet.ErrShort {
				x.m.wrongLocked("%s: no packet: % x", x.name, b)
				return nil
			}
			return append([]byte(nil), b...)
		}
		f(h, slices.Clone(b[h.Size:h.Size+h.Len]))
		b = b[h.Size+h.Len:]
	}
}

// hungUp sees the client close.
func (x *watch) hungUp() {
	x.m.mu.Lock()
	defer x.m.mu.Unlock()
	x.endLocked()
}

func (x *watch) endLocked() {
	if x.ended {
		return
	}
	x.ended = true
	x.m.next()
	if s := x.sess; s != nil && s.online == x {
		s.online = nil
		s.sure = x.until().Add(min(s.least, 1<<60))
	}
}

// until is the last moment at which the server had the connection, for certain.
func (x *watch) until() time.Time {
	if !x.closedAt.IsZero() {
		return x.closedAt.Add(-slack)
	}
	return time.Now()
}

// serverClosed sees the server close.
func (w *World) serverClosed(k *link) {
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	x := k.view
	if !x.closedAt.IsZero() {
		return
	}
	if x.well() && !w.model.closing && !w.model.troubledSince(time.Now().Add(-2*slack)) {
		w.model.wrongLocked("the server closes the connection of %s, which is well", x.name)
	}
	x.closedAt = time.Now()
	x.drained = k.up.drained()
	w.model.next()
	for _, m := range w.model.list {
		if m.last == x && m.acked == 0 && (m.qos == 0 || m.given) && m.done == 0 {
			m.done = w.model.tick
		}
	}
}

func (x *watch) sentPacket(h packet.Header, body []byte) {
	x.m.next()
	switch h.Type {
	case packet.CONNECT:
		x.sentConnect(body)
	case packet.PUBLISH:
		x.sentPublish(h, body)
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP:
		var a packet.Ack
		a.Decode(x.version, h.Type, body)
		if h.Type != packet.PUBREC || a.Code.Failed() {
			delete(x.unacked, a.ID)
		}
		if h.Type == packet.PUBCOMP {
			delete(x.sess.held, a.ID)
		}
	case packet.SUBSCRIBE:
		x.sentSubscribe(body)
	case packet.UNSUBSCRIBE:
		x.sentUnsubscribe(body)
	case packet.DISCONNECT:
		var d packet.Disconnect
		d.Decode(x.version, body)
		x.proper = x.well() && d.Code == mqtt.Success
		x.goodbye = true
		x.keepsWill = d.Code == mqtt.DisconnectWithWill
		if s := x.sess; d.Properties.Has(packet.PropSessionExpiryInterval) {
			s.widen(d.Properties.SessionExpiryInterval)
		}
	}
}

// widen notes another session expiry that may be in force.
func (s *session) widen(seconds uint32) {
	e := lifetime(seconds)
	s.least, s.most = min(s.least, e), max(s.most, e)
}

func lifetime(seconds uint32) time.Duration {
	if seconds == mqtt.NeverExpires {
		return forever
	}
	return time.Duration(seconds) * time.Second
}

// expiry is how long the session a CONNECT asks for outlives its connection.
func expiry(c *packet.Connect) uint32 {
	switch {
	case c.Version == mqtt.V5:
		return c.Properties.SessionExpiryInterval
	case c.CleanStart:
		return 0
	}
	return mqtt.NeverExpires
}

func (x *watch) sentConnect(body []byte) {
	x.hello.Decode(body)
	x.version = x.hello.Version
	v := x.view
	for _, old := range v.watches {
		if old != x {
			if old.will != nil {
				old.will.again = true
				old.will.due = old.will.due || x.hello.CleanStart
			}
			old.overtaken = old.overtaken || old.closedAt.IsZero()
			if !old.ended && v.sess != nil && v.sess.online == old {
				v.sess.online = nil // the server is about to end it
				v.sess.sure = old.until().Add(min(v.sess.least, 1<<60))
			}
		}
	}
	s := v.sess
	if s != nil && s.certain() {
		x.was = s.sure
		// Should the answer get lost, this is all that is certain.
		if until := time.Now().Add(min(lifetime(expiry(&x.hello)), 1<<60)); until.Before(s.sure) {
			s.sure = until
		}
	}
	switch {
	case s == nil || s.extinct():
		v.sess = v.newSession(nil)
		x.fresh = v.sess
	case x.hello.CleanStart:
		s.unsettleLocked(x.m)
		v.sess = v.newSession(s)
	}
	s = v.sess
	x.doubted = s.lost
	if x.was.IsZero() {
		s.lost = true
	}
	s.conns++
	if e := lifetime(expiry(&x.hello)); s.conns == 1 {
		s.least, s.most = e, e
	} else {
		s.widen(expiry(&x.hello))
	}
	if x.hello.HasWill {
		x.leaveWill()
	}
}

func (x *watch) leaveWill() {
	c := &x.hello.Will
	m := &message{
		topic: string(c.Topic), payload: string(c.Payload), qos: c.QoS, retain: c.Retain, from: x.view,
		sent: x.m.tick, sentAt: time.Now(), sends: 1,
	}
	m.will = &will{m: m, k: x, delay: time.Duration(c.Properties.WillDelayInterval) * time.Second}
	x.will = m.will
	x.m.count.Wills++
	x.m.messages[m.payload] = m
	x.m.list = append(x.m.list, m)
	if m.retain {
		x.m.writes[m.topic] = append(x.m.writes[m.topic], m)
	}
}

func (x *watch) sentPublish(h packet.Header, body []byte) {
	var p packet.Publish
	if err := p.Decode(x.version, h.Flags, body); err != nil {
		x.m.wrongLocked("%s sends a bad PUBLISH: %v", x.name, err)
		return
	}
	name := x.resolve(0, &p)
	var m *message
	switch known := x.sending[p.ID]; {
	case p.QoS > 0 && p.Dup && known != nil:
		m = known
	case len(p.Payload) > 0:
		m = x.m.messages[string(p.Payload)]
	}
	if m == nil {
		m = &message{
			topic: name, payload: string(p.Payload), qos: p.QoS, retain: p.Retain, from: x.view, origin: x.sess,
			sent: x.m.tick, sentAt: time.Now(), expires: true,
		}
		x.m.list = append(x.m.list, m)
		if m.payload != "" {
			x.m.messages[m.payload] = m
		}
		x.m.count.Published[m.qos]++
	}
	if says := p.Properties.Has(packet.PropMessageExpiryInterval); says {
		e := time.Duration(p.Properties.MessageExpiryInterval) * time.Second
		if !m.mortal {
			m.brief = e
		}
		m.mortal, m.expiry, m.brief = true, max(m.expiry, e), min(m.brief, e)
	} else {
		m.expires = false
	}
	m.sends++
	m.last, m.given, m.done = x, false, 0
	if m.retain && !slices.Contains(x.m.writes[name], m) {
		x.m.writes[name] = append(x.m.writes[name], m)
	}
	if p.QoS > 0 {
		x.sending[p.ID] = m
	}
}

// resolve returns a PUBLISH's topic, whatever stands for it.
func (x *watch) resolve(way int, p *packet.Publish) string {
	if a := p.Properties.TopicAlias; a > 0 && x.version == mqtt.V5 {
		if x.aliases[way] == nil {
			x.aliases[way] = map[uint16]string{}
		}
		if len(p.Topic) == 0 {
			return x.aliases[way][a]
		}
		x.aliases[way][a] = string(p.Topic)
	}
	return string(p.Topic)
}
