package midge

import (
	"net/netip"
	"time"

	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/trace"
)

// A following is what a batch knows of those who look at it. All but fate is
// idle while watches is nil.
type following struct {
	watches *watches
	who     watchSet       // look at the connection
	what    watchSet       // look at the packet at hand, and at where it goes
	journey *trace.Journey // of the message at hand; nil: nobody wants to know
	fate    trace.Fate     // of the message at hand for the last subscriber it was handed to
}

// followed reports whether somebody looks at where the message at hand goes.
func (sc *scratch) followed() bool { return sc.what != 0 || sc.journey != nil }

// follow is for messages that no connection brings: those of the program, wills.
func (b *Broker) follow(sc *scratch) {
	sc.watches, sc.what, sc.journey, sc.fate = b.watches.Load(), 0, nil, trace.Sent
	ws := sc.watches
	if ws == nil {
		return
	}
	for _, w := range ws.all {
		// Of a will no more is known than who left it.
		if w.f.Name(sc.m.topic) && (!w.f.OfPeer() || w.f.Client != "" && w.f.Client == sc.m.origin) {
			sc.what |= w.bit
		}
	}
	if ws.sampler != nil && sc.m.topic[0] != '$' {
		parent, state := traceContext(packet.UserProperties(sc.m.props))
		sc.begins(ws.sampler, parent, state, &sc.m)
	}
}

// sample asks the sampler about a PUBLISH.
func (c *conn) sample(sc *scratch, p *packet.Publish) {
	var parent, state []byte
	if p.Properties.Has(packet.PropUserProperty) {
		parent, state = traceContext(p.Properties.Users)
	}
	m := message{topic: p.Topic, payload: p.Payload, qos: p.QoS, origin: c.id()}
	sc.begins(sc.watches.sampler, parent, state, &m)
}

func (sc *scratch) begins(s trace.Sampler, parent, state []byte, m *message) {
	if !s.Sample(parent) {
		return
	}
	sc.journey = &trace.Journey{
		Parent: string(parent), State: string(state),
		Client: m.origin, Topic: string(m.topic), QoS: uint8(m.qos), Bytes: len(m.payload), Received: sc.now,
	}
}

// traceContext finds W3C's trace context in user properties, the first of each.
func traceContext(all packet.UserProperties) (parent, state []byte) {
	for name, value := range all.All() {
		switch {
		case parent == nil && string(name) == "traceparent":
			parent = value
		case state == nil && string(name) == "tracestate":
			state = value
		}
	}
	return parent, state
}

// setsOut is called before a followed message is handed to anyone.
func (sc *scratch) setsOut() {
	sc.fate = trace.Sent
	if sc.journey != nil {
		sc.journey.Routing = time.Now()
	}
}

// arrives says what became of the message at hand for s, to whom it has been handed.
func (sc *scratch) arrives(s *session) {
	fate := sc.fate
	sc.fate = trace.Sent
	if sc.journey != nil {
		sc.journey.Stop(s.id, fate, time.Now())
	}
	sc.decided(s.name(), fate, "")
}

// decided tells the traces of the message at hand what is decided about it.
func (sc *scratch) decided(to string, fate trace.Fate, detail string) {
	if sc.what == 0 {
		return
	}
	e := trace.Event{
		Time: time.Now(), Kind: trace.Routed, Client: sc.m.origin,
		QoS: sc.m.qos, Retain: sc.m.retain, Topic: string(sc.m.topic), Bytes: len(sc.m.payload),
		To: to, Fate: fate.String(), Detail: detail,
	}
	sc.watches.each(sc.what, func(w *watch) { w.put(e) })
}

// routed is called when a followed message has been handed to all of n. It says
// who did not get it, and why, which the plan does not know any more.
func (b *Broker) routed(sc *scratch, n int) {
	if sc.what != 0 {
		found := b.index.Match(sc.m.topic, nil)
		for _, sub := range found {
			switch {
			case sub.group != nil:
			case !sub.s.mayReceive(sc.m.topic):
				sc.decided(sub.s.name(), trace.Denied, "subscription "+sub.spec.Filter)
			case sub.spec.NoLocal && sub.s.id == sc.m.origin:
				sc.decided(sub.s.name(), trace.NoLocal, "subscription "+sub.spec.Filter)
			}
		}
		if len(found) == 0 {
			sc.decided("", trace.Nobody, "")
		} else if n == 0 {
			sc.decided("", trace.Nobody, "none of those who match may have it")
		}
	}
	sc.arrived("")
}

// arrived ends the journey of the message at hand. refused is why it goes nowhere.
func (sc *scratch) arrived(refused string) {
	j := sc.journey
	if j == nil {
		return
	}
	sc.journey = nil
	j.Done, j.Refused = time.Now(), refused
	if j.Routing.IsZero() {
		j.Routing = j.Done
	}
	sc.watches.sampler.Tell(j)
}

// refuses says that the message at hand goes nowhere.
func (c *conn) refuses(sc *scratch, refusal *Refusal) {
	if sc.watches == nil {
		return
	}
	if sc.what != 0 {
		e := c.event(trace.Refused, c.session.id)
		e.Packet, e.Topic, e.QoS, e.Retain = packet.PUBLISH.String(), string(sc.m.topic), sc.m.qos, sc.m.retain
		e.Say(refusal.Code)
		e.Detail = refusal.Reason
		sc.watches.each(sc.what, func(w *watch) { w.put(e) })
	}
	sc.arrived(refusal.Code.String())
}

// loses notes that m does not reach the session. sc is of the batch that m is
// the message at hand of, nil outside one.
func (s *session) loses(sc *scratch, m *message, fate trace.Fate) {
	var known watchSet // hear of it from arrives
	if sc != nil {
		sc.fate, known = fate, sc.what
	}
	ws := s.b.watches.Load()
	if ws == nil {
		return
	}
	user, addr := "", func() netip.Addr { return netip.Addr{} }
	if c := s.conn.Load(); c != nil {
		user, addr = c.username(), c.host
	}
	for _, w := range ws.all {
		if known&w.bit != 0 || !w.f.Name(m.topic) || !w.f.Peer(s.id, user, addr) {
			continue
		}
		w.put(trace.Event{
			Time: time.Now(), Kind: trace.Lost, Client: m.origin, QoS: m.qos, Topic: string(m.topic),
			Bytes: len(m.payload), To: s.name(), Fate: fate.String(),
		})
	}
}

// why is why d is not sent any more, though it might be.
func (s *session) why(d *delivery, now int64) trace.Fate {
	if _, alive := d.m.remaining(now); !alive {
		return trace.Expired
	}
	switch {
	case !s.mayReceive(d.m.topic):
		return trace.Denied
	case !s.b.due(d, now):
		return trace.Superseded
	}
	return trace.TooLarge
}

// name is what people call the session.
func (s *session) name() string {
	if s.local != nil {
		return "(this program)"
	}
	return s.id
}

// leaves is called with what is about to be written to o's client, under o.mu.
func (c *conn) leaves(ws *watches, b []byte) {
	s := c.session
	if s == nil { // CONNACK has not been said, and tell has the refusal
		return
	}
	set := ws.peers(s.id, c.username(), c.host)
	now, remote := time.Now(), c.nc.RemoteAddr().String()
	ws.each(set, func(w *watch) {
		if w.f.Topic != "" && !w.f.Packets {
			return
		}
		for rest := b; len(rest) > 0; {
			h, err := packet.ReadHeader(rest)
			n := h.Size + h.Len
			if err != nil || n > len(rest) {
				return // the end of what the writer had begun before the trace
			}
			if w.shows(h.Type) {
				c.leaving1(w, rest[:n], trace.Event{Time: now, Kind: trace.Out, Client: s.id, User: c.username(), Remote: remote})
			}
			rest = rest[n:]
		}
	})
}

// shows reports whether w is about such packets on their way out.
func (w *watch) shows(t packet.Type) bool {
	switch {
	case w.f.Topic != "":
		return t == packet.PUBLISH
	case w.f.Packets:
		return true
	}
	return t == packet.CONNACK || t == packet.SUBACK || t == packet.UNSUBACK || t == packet.DISCONNECT
}

// leaving1 tells w of one packet.
func (c *conn) leaving1(w *watch, raw []byte, of trace.Event) {
	e, ok := trace.Describe(c.w.Version(), raw, w.f.Payload)
	if !ok {
		return
	}
	if e.Topic == "" && e.Alias > 0 {
		e.Topic = string(c.w.Named(e.Alias))
	}
	if w.f.Topic != "" && !w.f.Name([]byte(e.Topic)) {
		return
	}
	e.Time, e.Kind, e.Client, e.User, e.Remote = of.Time, of.Kind, of.Client, of.User, of.Remote
	w.put(e)
}

// Sample has s choose messages and told of their journeys, in place of whoever
// did so before. nil is nobody. What is not chosen costs a call of s.
func (b *Broker) Sample(s trace.Sampler) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.watchesLocked()
	next.sampler = s
	b.settleLocked(&next)
}
