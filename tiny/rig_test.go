package tiny

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A rig is a Broker with hand-fed connections and a hand-moved clock.
type rig struct {
	t   testing.TB
	b   *Broker
	now time.Duration
}

func newRig(t testing.TB, l Limits, h Hooks) *rig {
	t.Helper()
	b, err := New(l, h)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, b: b}
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	r.now += d
	r.b.Step(r.now)
	check(r.t, r.b)
}

// A wire is the client's end of a connection.
type wire struct {
	*rig
	slot Slot
	v    mqtt.Version
	in   []byte // sent, not taken by the broker yet
	out  []byte // from the broker
	over bool
}

func (r *rig) dial(v mqtt.Version) *wire {
	r.t.Helper()
	s, ok := r.b.Accept()
	if !ok {
		r.t.Fatal("no slot is free")
	}
	return &wire{rig: r, slot: s, v: v}
}

// connect dials and is let in.
func (r *rig) connect(id string, v mqtt.Version, with ...func(*packet.Connect)) *wire {
	r.t.Helper()
	w := r.dial(v)
	if k := w.hello(id, with...); k.Code != mqtt.Success || k.Return != mqtt.Accepted {
		r.t.Fatalf("%s is refused: %v %v", id, k.Code, k.Return)
	}
	return w
}

func (w *wire) hello(id string, with ...func(*packet.Connect)) packet.Connack {
	w.t.Helper()
	c := packet.Connect{Version: w.v, CleanStart: true, ClientID: []byte(id), Properties: new(packet.Properties)}
	c.Will.Properties = new(packet.Properties)
	for _, f := range with {
		f(&c)
	}
	w.send(c.Append(nil))
	var k packet.Connack
	if err := k.Decode(w.v, w.want(packet.CONNACK)); err != nil {
		w.t.Fatal(err)
	}
	return k
}

// kept keeps a session, for some seconds in 5.0.
func kept(seconds uint32) func(*packet.Connect) {
	return func(c *packet.Connect) { c.CleanStart, c.Properties.SessionExpiryInterval = false, seconds }
}

// send hands bytes to the broker and takes what it answers.
func (w *wire) send(p []byte) {
	w.in = append(w.in, p...)
	w.pump()
}

func (w *wire) pump() {
	n := w.b.Receive(w.slot, w.in)
	w.in = append(w.in[:0], w.in[n:]...)
	check(w.t, w.b)
	w.drain()
}

// drain takes what the broker has for the client.
func (w *wire) drain() {
	var buf [2048]byte
	for {
		n := w.b.Outgoing(w.slot, buf[:w.b.Limits().MaxOutgoing()])
		check(w.t, w.b)
		if n == 0 {
			break
		}
		w.out = append(w.out, buf[:n]...)
	}
	w.over = w.over || w.b.Over(w.slot)
}

func (w *wire) close() {
	w.b.Closed(w.slot)
	check(w.t, w.b)
}

// next returns the next packet the broker sent, 0 for none.
func (w *wire) next() (h packet.Header, body []byte) {
	w.drain()
	h, err := packet.ReadHeader(w.out)
	if err == packet.ErrShort {
		return packet.Header{}, nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	body = bytes.Clone(w.out[h.Size : h.Size+h.Len])
	w.out = w.out[h.Size+h.Len:]
	return h, body
}

// want wants a packet of type t to be the next.
func (w *wire) want(t packet.Type) []byte {
	w.t.Helper()
	h, body := w.next()
	if h.Type != t {
		w.t.Fatalf("got %v % x, want %v", h.Type, body, t)
	}
	return body
}

func (w *wire) wantIdle() {
	w.t.Helper()
	if h, body := w.next(); h.Type != 0 {
		w.t.Fatalf("got %v % x, want nothing", h.Type, body)
	}
}

func (w *wire) subscribe(filter string, q mqtt.QoS) {
	w.t.Helper()
	s := packet.Subscribe{ID: 9, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte(filter), QoS: q})}
	w.send(s.Append(nil, w.v))
	var a packet.Suback
	if err := a.Decode(w.v, packet.SUBACK, w.want(packet.SUBACK)); err != nil || a.Codes[0] != byte(q) {
		w.t.Fatalf("SUBACK %v, %v", a.Codes, err)
	}
}

func (w *wire) publish(topic, payload string, q mqtt.QoS, id mqtt.PacketID, retain bool) {
	p := packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: q, ID: id, Retain: retain}
	w.send(p.Append(nil, w.v))
}

// wantAck wants an acknowledgement.
func (w *wire) wantAck(t packet.Type, id mqtt.PacketID, code mqtt.ReasonCode) {
	w.t.Helper()
	var a packet.Ack
	if err := a.Decode(w.v, t, w.want(t)); err != nil || a.ID != id || a.Code != code {
		w.t.Fatalf("%v %d %v, %v; want %d %v", t, a.ID, a.Code, err, id, code)
	}
}

// wantMessage wants a PUBLISH and acknowledges it if asked to.
func (w *wire) wantMessage(topic, payload string) packet.Publish {
	w.t.Helper()
	h, body := w.next()
	if h.Type != packet.PUBLISH {
		w.t.Fatalf("got %v % x, want PUBLISH %s", h.Type, body, topic)
	}
	var p packet.Publish
	if err := p.Decode(w.v, h.Flags, body); err != nil || string(p.Topic) != topic || string(p.Payload) != payload {
		w.t.Fatalf("PUBLISH %q %q, %v; want %q %q", p.Topic, p.Payload, err, topic, payload)
	}
	return p
}

// check compares every table with every other.
func check(t testing.TB, b *Broker) {
	t.Helper()
	refs := map[handle]int{}
	for i := range b.conns {
		c := &b.conns[i]
		note(refs, c.answer)
		if c.session != 0 && (c.stage != open && c.stage != greeting || b.of(c).conn != uint8(i)+1) {
			t.Fatalf("connection %d at stage %d has session %d", i, c.stage, c.session)
		}
		if c.n > maxReplies || c.first >= maxReplies {
			t.Fatalf("connection %d has %d replies from %d", i, c.n, c.first)
		}
	}
	online, parked, places := 0, 0, map[uint16]bool{}
	for i := range b.sessions {
		online += checkSession(t, b, &b.sessions[i], refs, places)
		parked += int(b.sessions[i].npark)
	}
	if parked != b.parked {
		t.Fatalf("%d messages are parked, counted %d", parked, b.parked)
	}
	if online != b.online {
		t.Fatalf("%d sessions are online, counted %d", online, b.online)
	}
	free := 0
	for p := b.spare; p != 0; p = b.places[p-1].next {
		if places[p] {
			t.Fatalf("place %d is free and taken", p)
		}
		places[p] = true
		free++
	}
	if len(places) != len(b.places) {
		t.Fatalf("%d places free; %d of %d known", free, len(places), len(b.places))
	}
	checkSubs(t, b, refs)
	kept, dirty := 0, 0
	for i := range b.retained {
		r := &b.retained[i]
		if note(refs, r.msg); r.msg != 0 {
			kept += footprint(len(b.slab.bytes(r.msg)))
		}
		if r.dirty {
			dirty++
		}
	}
	if kept != b.kept || kept > max(b.limits.RetainedBytes, 0) || dirty != b.keeper.dirty {
		t.Fatalf("retained messages take %d bytes, counted %d, allowed %d; %d dirty, counted %d",
			kept, b.kept, b.limits.RetainedBytes, dirty, b.keeper.dirty)
	}
	checkSlab(t, &b.slab, refs)
}

func note(refs map[handle]int, h handle) {
	if h != 0 {
		refs[h]++
	}
}

func checkSession(t testing.TB, b *Broker, s *session, refs map[handle]int, places map[uint16]bool) (online int) {
	t.Helper()
	note(refs, s.id)
	note(refs, s.will)
	parked := 0
	for h := s.parkA; parked < int(s.npark); parked++ {
		note(refs, h)
		next := handle(get16(b.parkedOf(h)))
		if (next == 0) != (h == s.parkZ) {
			t.Fatalf("session %d: the line goes from %d to %d, and ends at %d", s.at, h, next, s.parkZ)
		}
		h = next
	}
	if parked > 0 && s.conn == 0 {
		t.Fatalf("session %d is away and has %d messages parked", s.at, parked)
	}
	n, last := uint16(0), uint16(0)
	for p := s.first; n < s.queued; n++ {
		if p == 0 || places[p] {
			t.Fatalf("session %d: place %d is no place, or taken", s.at, p)
		}
		places[p], last = true, p
		note(refs, b.places[p-1].ref.handle())
		p = b.places[p-1].next
	}
	if s.queued > 0 && s.last != last {
		t.Fatalf("session %d: the queue ends at %d, not %d", s.at, last, s.last)
	}
	for e := range s.out.All {
		note(refs, e.Value.handle())
	}
	if s.id == 0 && (s.conn != 0 || s.queued != 0 || s.out.Len() != 0 || s.will != 0 || s.owed != 0 || s.asks != 0) {
		t.Fatalf("session %d is free and holds something: %+v", s.at, s)
	}
	if s.conn != 0 {
		if b.conns[s.conn-1].session != s.at+1 {
			t.Fatalf("session %d is not its connection's", s.at)
		}
		return 1
	}
	return 0
}

func checkSubs(t testing.TB, b *Broker, refs map[handle]int) {
	t.Helper()
	owed, asks := make([]int, len(b.sessions)), make([]int, len(b.sessions))
	seen := map[string]bool{}
	for i := range b.subs {
		s := &b.subs[i]
		if note(refs, s.filter); (s.filter != 0) != (i < b.nsubs) {
			t.Fatalf("subscription %d of %d has filter %d", i, b.nsubs, s.filter)
		}
		if s.filter == 0 {
			continue
		}
		key := fmt.Sprint(s.session, string(b.slab.bytes(s.filter)))
		if seen[key] {
			t.Fatalf("subscription %q exists twice", key)
		}
		seen[key] = true
		if s.session == b.program() {
			continue
		}
		if b.sessions[s.session].id == 0 {
			t.Fatalf("subscription %d is nobody's", i)
		}
		if s.cursor != done {
			owed[s.session]++
		}
		if s.id != 0 {
			asks[s.session]++
		}
	}
	for i := range b.sessions {
		if s := &b.sessions[i]; int(s.owed) != owed[i] || int(s.asks) != asks[i] {
			t.Fatalf("session %d is owed %d, counted %d; asks %d, counted %d", i, owed[i], s.owed, asks[i], s.asks)
		}
	}
}

func checkSlab(t testing.TB, s *slab, refs map[handle]int) {
	t.Helper()
	live, found, holes := 0, 0, 0
	for at := 0; at < s.top; {
		o := s.mem[at:]
		h, n := handle(get16(o)), footprint(int(get16(o[2:])))
		if h == 0 {
			if at < s.hole {
				t.Fatalf("a hole at %d, below the lowest, %d", at, s.hole)
			}
			holes++
		} else {
			if int(s.at[h-1])*unit != at {
				t.Fatalf("object %d lies at %d, its handle says %d", h, at, int(s.at[h-1])*unit)
			}
			if got := int(get16(o[4:])); got != refs[h] || got == 0 {
				t.Fatalf("object %d has %d references, counted %d", h, got, refs[h])
			}
			live += n
			found++
		}
		at += n
	}
	free := 0
	for h := s.free; h != 0; h = handle(s.at[h-1]) {
		if free++; refs[h] != 0 {
			t.Fatalf("handle %d is free and held", h)
		}
	}
	if live != s.live || found != len(refs) || found+free != len(s.at) || s.top > len(s.mem) {
		t.Fatalf("slab: %d bytes live, counted %d; %d objects, %d held; %d handles free of %d",
			live, s.live, found, len(refs), free, len(s.at))
	}
}
