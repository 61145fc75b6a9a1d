package tiny

import (
	"testing"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A feeder moves messages from one client to another without a byte of its
// own per message.
type feeder struct {
	b        *Broker
	pub, sub Slot
	in       []byte // what the publisher says
	out      []byte
	back     []byte // what the subscriber answers
}

const (
	fedTopic   = "house/kitchen/temperature"
	wildFilter = "house/+/temperature"
)

func newFeeder(t testing.TB, v mqtt.Version, q mqtt.QoS, filter string) *feeder {
	r := newRig(t, Limits{}, Hooks{})
	sub := r.connect("sub", v)
	sub.subscribe(filter, q)
	pub := r.connect("pub", v)
	p := packet.Publish{Topic: []byte(fedTopic), Payload: make([]byte, 64), QoS: q}
	if q > 0 {
		p.ID = 1
	}
	f := &feeder{b: r.b, pub: pub.slot, sub: sub.slot, in: p.Append(nil, v), out: make([]byte, r.b.Limits().MaxOutgoing())}
	if q == mqtt.ExactlyOnce {
		a := packet.Ack{Type: packet.PUBREL, ID: 1}
		f.in = a.Append(f.in, v)
	}
	f.back = make([]byte, 0, 16)
	return f
}

// one moves one message all the way and returns how often it was delivered.
func (f *feeder) one(v mqtt.Version) (delivered int) {
	f.b.Receive(f.pub, f.in)
	f.b.Outgoing(f.pub, f.out)
	for {
		n := f.b.Outgoing(f.sub, f.out)
		if n == 0 {
			return delivered
		}
		f.back = f.back[:0]
		for p := f.out[:n]; len(p) > 0; {
			h, _ := packet.ReadHeader(p)
			switch h.Type {
			case packet.PUBLISH:
				delivered++
				if q := h.Flags >> 1 & 3; q > 0 {
					topic := int(p[h.Size])<<8 | int(p[h.Size+1])
					id := p[h.Size+2+topic:]
					f.back = append(f.back, byte(packet.PUBACK+packet.Type(q-1))<<4, 2, id[0], id[1])
				}
			case packet.PUBREL:
				f.back = append(f.back, byte(packet.PUBCOMP)<<4, 2, p[h.Size], p[h.Size+1])
			}
			p = p[h.Size+h.Len:]
		}
		f.b.Receive(f.sub, f.back)
	}
}

// Nothing is allocated after New: 10 million messages of every kind, counted.
func TestAllocatesNothing(t *testing.T) {
	const messages = 10_000_000
	each := messages / 9
	if brief(t) {
		each = 10_000
	}
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		for q := mqtt.AtMostOnce; q <= mqtt.ExactlyOnce; q++ {
			f := newFeeder(t, v, q, wildFilter)
			sum := 0
			if n := testing.AllocsPerRun(1, func() {
				for range each {
					sum += f.one(v)
				}
			}); n != 0 || sum != 2*each {
				t.Errorf("%v QoS %d: %v allocations, %d of %d delivered", v, q, n, sum, 2*each)
			}
			check(t, f.b)
		}
	}
}

// Coming and going is free too: sessions, wills, subscriptions, refusals,
// retained messages.
func TestComingAndGoingAllocatesNothing(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	hello := packet.Connect{
		Version: mqtt.V5, ClientID: []byte("c"), CleanStart: true, HasWill: true,
		Will: packet.Will{Topic: []byte("w"), Payload: []byte("gone"), QoS: 1},
	}
	in := hello.Append(nil)
	s := packet.Subscribe{ID: 9, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("w"), QoS: 1}).Add(packet.Subscription{Filter: []byte("x/#")})}
	in = s.Append(in, mqtt.V5)
	p := packet.Publish{Topic: []byte("x/y"), Payload: []byte("kept"), Retain: true}
	in = p.Append(in, mqtt.V5)
	u := packet.Unsubscribe{ID: 10, Filters: packet.TopicFilters(nil).Add("x/#").Add("none")}
	in = u.Append(in, mqtt.V5)
	bad := append(hello.Append(nil), 0xF0, 0) // AUTH without a method: refused
	old := packet.Connect{Version: mqtt.V311, ClientID: []byte("o"), CleanStart: false}
	out := make([]byte, r.b.Limits().MaxOutgoing())
	all := [][]byte{in, bad, old.Append(nil), {0x10, 2, 3, 4}}
	if n := testing.AllocsPerRun(1000, func() {
		for _, say := range all {
			at, ok := r.b.Accept()
			if !ok {
				t.Fatal("no slot")
			}
			for len(say) > 0 {
				n := r.b.Receive(at, say)
				say = say[n:]
				for r.b.Outgoing(at, out) > 0 {
				}
				if n == 0 {
					break
				}
			}
			r.b.Closed(at)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	check(t, r.b)
}

func BenchmarkRoute(b *testing.B) {
	for q := mqtt.AtMostOnce; q <= mqtt.ExactlyOnce; q++ {
		b.Run("QoS"+string(rune('0'+q)), func(b *testing.B) {
			f := newFeeder(b, mqtt.V311, q, wildFilter)
			b.ReportAllocs()
			for b.Loop() {
				f.one(mqtt.V311)
			}
		})
	}
}
