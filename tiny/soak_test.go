package tiny

import (
	"fmt"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A mote is a simulated device: it publishes a numbered message every so often
// at QoS 1, keeps it until it is acknowledged, and checks the numbers of what
// it is sent.
type mote struct {
	s      *soak
	name   string
	topic  string
	filter string // "" subscribes to nothing
	clean  bool

	slot    Slot
	on      bool
	back    time.Duration // when it returns
	in, out []byte        // to and from the broker
	sent    uint32        // numbers given out
	unacked []uint32      // oldest first
	next    map[string]uint32
}

// A soak is a world of motes around one broker.
type soak struct {
	t         *testing.T
	b         *Broker
	now       time.Duration
	motes     []*mote
	buf       []byte
	seed      uint64
	delivered int
	repeated  int
	resumed   int
}

func newSoak(t *testing.T, l Limits) *soak {
	r := newRig(t, l, Hooks{})
	return &soak{t: t, b: r.b, buf: make([]byte, r.b.Limits().MaxOutgoing()), seed: 1}
}

func (s *soak) random(n int) int {
	s.seed = s.seed*6364136223846793005 + 1442695040888963407
	return int(s.seed>>33) % n
}

func (s *soak) add(name, topic, filter string, clean bool) {
	s.motes = append(s.motes, &mote{s: s, name: name, topic: topic, filter: filter, clean: clean, next: map[string]uint32{}})
}

// start connects a mote, subscribes, and sends again what nobody acknowledged.
func (m *mote) start() {
	slot, ok := m.s.b.Accept()
	if !ok {
		m.s.t.Fatalf("%v: no slot for %s", m.s.now, m.name)
	}
	m.slot, m.on, m.in, m.out = slot, true, m.in[:0], m.out[:0]
	c := packet.Connect{Version: mqtt.V311, ClientID: []byte(m.name), CleanStart: m.clean, KeepAlive: 30}
	m.in = c.Append(m.in)
	if m.filter != "" {
		sub := packet.Subscribe{ID: 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte(m.filter), QoS: 1})}
		m.in = sub.Append(m.in, mqtt.V311)
	}
	for _, n := range m.unacked {
		m.say(n, true)
	}
}

func (m *mote) say(n uint32, dup bool) {
	p := packet.Publish{Topic: []byte(m.topic), Payload: fmt.Appendf(nil, "%08d", n), QoS: 1, ID: mqtt.PacketID(n%60000 + 1), Dup: dup}
	m.in = p.Append(m.in, mqtt.V311)
}

// publish says one message more, unless too many are unacknowledged: then it
// waits, as devices do.
func (m *mote) publish() {
	if !m.on || m.topic == "" || len(m.unacked) >= 8 {
		return
	}
	m.sent++
	m.unacked = append(m.unacked, m.sent)
	m.say(m.sent, false)
}

// move lets bytes flow until nothing moves.
func (s *soak) move() {
	s.b.Step(s.now)
	for busy := true; busy; {
		busy = false
		for _, m := range s.motes {
			if m.on && m.move() {
				busy = true
			}
		}
	}
}

func (m *mote) move() (moved bool) {
	if n := m.s.b.Receive(m.slot, m.in); n > 0 {
		m.in = append(m.in[:0], m.in[n:]...)
		moved = true
	}
	for {
		n := m.s.b.Outgoing(m.slot, m.s.buf)
		if n == 0 {
			break
		}
		moved = true
		m.take(m.s.buf[:n])
	}
	if m.s.b.Over(m.slot) {
		m.s.t.Fatalf("%v: %s was sent away with %v", m.s.now, m.name, m.s.b.conns[m.slot].code)
	}
	return moved
}

// take reads what the broker sent: whole packets.
func (m *mote) take(b []byte) {
	for len(b) > 0 {
		h, err := packet.ReadHeader(b)
		if err != nil {
			m.s.t.Fatal(err)
		}
		body := b[h.Size : h.Size+h.Len]
		b = b[h.Size+h.Len:]
		switch h.Type {
		case packet.CONNACK:
			if body[0] == 1 {
				m.s.resumed++
			}
		case packet.PUBACK:
			id := mqtt.PacketID(body[0])<<8 | mqtt.PacketID(body[1])
			if len(m.unacked) == 0 || mqtt.PacketID(m.unacked[0]%60000+1) != id {
				m.s.t.Fatalf("%v: %s got PUBACK %d, waits for %v", m.s.now, m.name, id, m.unacked)
			}
			m.unacked = m.unacked[1:]
		case packet.PUBLISH:
			m.hear(h, body)
		}
	}
}

// hear checks one number and acknowledges it.
func (m *mote) hear(h packet.Header, body []byte) {
	var p packet.Publish
	if err := p.Decode(mqtt.V311, h.Flags, body); err != nil {
		m.s.t.Fatal(err)
	}
	var n uint32
	for _, c := range p.Payload {
		n = n*10 + uint32(c-'0')
	}
	topic := string(p.Topic)
	switch want := m.next[topic] + 1; {
	case n == want || m.clean && m.next[topic] == 0:
		m.next[topic] = n
		m.s.delivered++
	case n < want:
		m.s.repeated++ // at least once
	default:
		m.s.t.Fatalf("%v: %s lost %s %d to %d", m.s.now, m.name, topic, want, n-1)
	}
	a := packet.Ack{Type: packet.PUBACK, ID: p.ID}
	m.in = a.Append(m.in, mqtt.V311)
}

// settle lets everything arrive, and compares.
func (s *soak) settle() {
	for range 100 {
		s.now += 100 * time.Millisecond
		s.move()
	}
	check(s.t, s.b)
	for _, from := range s.motes {
		if len(from.unacked) > 0 {
			s.t.Errorf("%s: %d messages are unacknowledged", from.name, len(from.unacked))
		}
		for _, to := range s.motes {
			if from.topic != "" && to.filter != "" && to.next[from.topic] != from.sent {
				s.t.Errorf("%s has %d of %d from %s", to.name, to.next[from.topic], from.sent, from.name)
			}
		}
	}
}

const soakHours = 72

func hours(t *testing.T) time.Duration {
	if brief(t) {
		return time.Hour
	}
	return soakHours * time.Hour
}

// Five clients, each publishing every second to its own topic, all subscribed
// to all; now and then one falls silent without a word and returns after 10 s.
// 72 simulated hours: nothing acknowledged is lost, and memory is what it was.
func TestSoakWithSuspensions(t *testing.T) {
	s := newSoak(t, Limits{})
	for i := range 5 {
		s.add(fmt.Sprint("mote", i), fmt.Sprint("soak/", i), "soak/+", false)
	}
	for _, m := range s.motes {
		m.start()
	}
	s.move()
	quiet, suspensions := s.b.slab.live, 0
	for end := hours(t); s.now < end; {
		s.now += 200 * time.Millisecond
		if s.now%time.Second == 0 {
			for _, m := range s.motes {
				m.publish()
			}
			if m := s.motes[s.random(5)]; m.on && s.random(30) == 0 {
				m.on, m.back = false, s.now+10*time.Second // its connection stays as it is
				suspensions++
			}
		}
		for _, m := range s.motes {
			if !m.on && s.now >= m.back {
				m.start() // takes its old connection over
				s.move()
				s.b.Closed(s.stale(m))
			}
		}
		s.move()
	}
	for _, m := range s.motes {
		if !m.on {
			m.start()
			s.move()
			s.b.Closed(s.stale(m))
		}
	}
	s.settle()
	if s.b.slab.live != quiet {
		t.Errorf("%d bytes of the slab are taken, %d at the start", s.b.slab.live, quiet)
	}
	st := s.b.Stats()
	t.Logf("%v simulated, %d suspensions, %d deliveries, %d repeated, %d held back, %d forgotten, slab peak %d of %d",
		s.now.Round(time.Hour), suspensions, s.delivered, s.repeated, st.Held, st.Forgotten, st.SlabPeak, s.b.Limits().Slab)
	if suspensions == 0 || st.Held == 0 || s.resumed == 0 {
		t.Error("the soak tried too little")
	}
}

// stale is the slot of a mote's old connection, which the broker is done with.
func (s *soak) stale(m *mote) Slot {
	for i := range s.b.conns {
		if st := s.b.conns[i].stage; Slot(i) != m.slot && (st == over || st == leaving) {
			return Slot(i)
		}
	}
	s.t.Fatalf("%s has no old connection", m.name)
	return 0
}

// Six publishers, four subscribers, 72 simulated hours.
func TestSoakSixToFour(t *testing.T) {
	s := newSoak(t, Limits{Clients: 10})
	for i := range 4 {
		s.add(fmt.Sprint("sub", i), "", "soak/#", true)
	}
	for i := range 6 {
		s.add(fmt.Sprint("pub", i), fmt.Sprint("soak/", i), "", true)
	}
	for _, m := range s.motes {
		m.start()
		s.move()
	}
	quiet := s.b.slab.live
	for end := hours(t); s.now < end; {
		s.now += time.Second
		for _, m := range s.motes {
			m.publish()
			if m.topic == "" && s.now%(20*time.Second) == 0 {
				m.in = packet.AppendPingreq(m.in)
			}
		}
		s.move()
	}
	s.settle()
	if s.b.slab.live != quiet {
		t.Errorf("%d bytes of the slab are taken, %d at the start", s.b.slab.live, quiet)
	}
	t.Logf("%v simulated, %d deliveries, %d repeated, slab peak %d", s.now.Round(time.Hour), s.delivered, s.repeated, s.b.slab.peak)
}
