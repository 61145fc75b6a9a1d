package tiny

import (
	"bytes"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// small limits, so that everything is soon full.
var small = Limits{
	Clients: 3, Sessions: 4, Filters: 6, MaxPacket: 96, ReceiveBuffer: -1, Queue: 2, Inflight: 2, ReceiveMaximum: 3,
	Retained: 3, RetainedBytes: 128, Slab: 1024, KeepDelay: 1,
}

// FuzzBroker drives a broker with whatever comes: well-formed packets in any
// order, garbage, connects, closes, slow readers, steps of time, a program's own
// messages, flash that fails. After each step every table is compared with every
// other.
func FuzzBroker(f *testing.F) {
	f.Add([]byte("0A00B11C0D0E0F0"))
	f.Add([]byte{0, 1, 1, 0, 0, 1, 2, 1, 3, 1, 1, 9, 9, 0, 2, 0, 4, 0, 40, 5, 0, 200, 6, 2, 7, 7, 1})
	f.Add(bytes.Repeat([]byte{0, 1, 0, 1, 1, 3, 1, 2, 2, 2, 4, 1, 9}, 20))
	f.Fuzz(func(t *testing.T, in []byte) {
		d := newDriver(t)
		for steps := 0; len(d.more(&in)) > 0 && steps < 300; steps++ {
			d.step(d.byte(&in), &in)
			check(t, d.b)
		}
		d.end()
	})
}

// A driver plays a fuzzer's bytes.
type driver struct {
	*rig
	flash *flashSim
	slots []Slot
	in    [8][]byte // by slot: what the broker has not taken yet
	out   [256]byte
}

func newDriver(t *testing.T) *driver {
	d := &driver{flash: newFlash(2, 256)}
	h := Hooks{
		Message: func(m *Message) {
			if d.b.Publish(m) != ErrBusy || d.b.Subscribe("x") != ErrBusy || d.b.Unsubscribe("x") != ErrBusy {
				t.Error("a hook may call the broker")
			}
		},
		Subscribe: func(_ *Client, filter []byte, q mqtt.QoS) mqtt.ReasonCode {
			if len(filter) == 5 {
				return mqtt.NotAuthorized
			}
			return mqtt.ReasonCode(q)
		},
		Publish: func(c *Client, m *Message) mqtt.ReasonCode {
			if len(c.ID) == 0 || len(m.Topic) == 0 {
				t.Error("a hook is asked about nobody or nothing")
			}
			if len(m.Payload) == 7 {
				return mqtt.NotAuthorized
			}
			return mqtt.Success
		},
	}
	d.rig = newRig(t, small, h)
	if _, err := d.b.Restore(d.flash); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *driver) more(in *[]byte) []byte { return *in }

func (d *driver) byte(in *[]byte) byte {
	if len(*in) == 0 {
		return 0
	}
	b := (*in)[0]
	*in = (*in)[1:]
	return b
}

// slot is one of those that are taken.
func (d *driver) slot(in *[]byte) (Slot, bool) {
	if len(d.slots) == 0 {
		return 0, false
	}
	return d.slots[int(d.byte(in))%len(d.slots)], true
}

func (d *driver) step(op byte, in *[]byte) {
	switch op % 10 {
	case 0:
		if s, ok := d.b.Accept(); ok {
			d.slots = append(d.slots, s)
			d.in[s] = d.in[s][:0]
			d.feed(s, d.packet(1, in))
		}
	case 1, 2, 3:
		if s, ok := d.slot(in); ok {
			d.feed(s, d.packet(d.byte(in), in))
		}
	case 4:
		if s, ok := d.slot(in); ok {
			n := min(int(d.byte(in)), len(*in))
			d.feed(s, (*in)[:n])
			*in = (*in)[n:]
		}
	case 5:
		if s, ok := d.slot(in); ok {
			d.take(s, int(d.byte(in)))
		}
	case 6:
		if s, ok := d.slot(in); ok {
			d.close(s)
		}
	case 7:
		d.now += time.Duration(d.byte(in)) * 500 * time.Millisecond
		d.b.Step(d.now)
	case 8:
		d.own(d.byte(in), in)
	case 9:
		d.flash.fail = int(d.byte(in) % 5)
		d.b.Keep()
	}
}

// own does what a program does.
func (d *driver) own(op byte, in *[]byte) {
	name := topics[d.byte(in)%byte(len(topics))]
	switch op % 4 {
	case 0:
		m := Message{Topic: []byte(name), Payload: (*in)[:min(len(*in), int(op))], QoS: mqtt.QoS(op % 3), Retain: op&8 != 0}
		d.b.Publish(&m)
	case 1:
		d.b.Subscribe(filters[op/4%byte(len(filters))])
	case 2:
		d.b.Unsubscribe(filters[op/4%byte(len(filters))])
	case 3:
		if s, ok := d.slot(in); ok {
			d.b.Disconnect(s, mqtt.AdministrativeAction)
		}
	}
}

func (d *driver) feed(s Slot, p []byte) {
	room := d.b.Limits().MaxPacket - len(d.in[s])
	d.in[s] = append(d.in[s], p[:min(len(p), room)]...)
	for {
		n := d.b.Receive(s, d.in[s])
		if n < 0 || n > len(d.in[s]) {
			d.t.Fatalf("Receive took %d of %d bytes", n, len(d.in[s]))
		}
		d.in[s] = append(d.in[s][:0], d.in[s][n:]...)
		check(d.t, d.b)
		if n == 0 {
			return
		}
	}
}

// take takes what goes to the client: whole packets, well-formed, and no larger
// than there was room for.
func (d *driver) take(s Slot, room int) {
	n := d.b.Outgoing(s, d.out[:room])
	for p := d.out[:n]; len(p) > 0; {
		h, err := packet.ReadHeader(p)
		if err != nil || h.Size+h.Len > len(p) {
			d.t.Fatalf("Outgoing gave % x: %v", p, err)
		}
		p = p[h.Size+h.Len:]
	}
	if d.b.Over(s) {
		d.close(s)
	}
}

func (d *driver) close(s Slot) {
	d.b.Closed(s)
	for i, other := range d.slots {
		if other == s {
			d.slots = append(d.slots[:i], d.slots[i+1:]...)
		}
	}
}

var (
	topics  = []string{"a", "a/b", "a/b/c", "long/topic/name", "$x"}
	filters = []string{"#", "a/+", "a", "+/b", "a/b/c", "$x", "$share/g/a"}
)

// packet makes a packet of a kind, its details from in.
func (d *driver) packet(kind byte, in *[]byte) []byte {
	f := d.byte(in)
	v := mqtt.Version(3 + f%3)
	id := mqtt.PacketID(f%4 + 1)
	props := &packet.Properties{}
	switch kind % 8 {
	case 1:
		c := packet.Connect{Version: v, ClientID: []byte{'c', '0' + f/3%5}, CleanStart: f&64 != 0, KeepAlive: uint16(f % 8), Properties: props}
		if v == mqtt.V5 {
			props.SessionExpiryInterval, props.ReceiveMaximum = uint32(f%32), uint16(f%3)
		}
		if f&128 != 0 {
			c.HasWill, c.Will = true, packet.Will{Topic: []byte(topics[f%4]), Payload: []byte("will"), QoS: mqtt.QoS(f % 3), Retain: f&32 != 0}
			c.Will.Properties = &packet.Properties{WillDelayInterval: uint32(f % 16), MessageExpiryInterval: uint32(f % 5)}
		}
		return c.Append(nil)
	case 2:
		s := packet.Subscribe{ID: id, Filters: packet.Filters(nil).Add(packet.Subscription{
			Filter: []byte(filters[f%byte(len(filters))]), QoS: mqtt.QoS(f / 8 % 3), NoLocal: f&64 != 0, RetainAsPublished: f&128 != 0,
		})}
		return s.Append(nil, d.version(in))
	case 3:
		u := packet.Unsubscribe{ID: id, Filters: packet.TopicFilters(nil).Add(filters[f%byte(len(filters))])}
		return u.Append(nil, d.version(in))
	case 4, 5:
		p := packet.Publish{Topic: []byte(topics[f%5]), Payload: make([]byte, f/4%32), QoS: mqtt.QoS(f % 3), Retain: f&64 != 0, Properties: props}
		if p.QoS > 0 {
			p.ID, p.Dup = id, f&128 != 0
		}
		if f&32 != 0 {
			props.MessageExpiryInterval, props.ContentType = uint32(f%4), []byte("text")
		}
		return p.Append(nil, d.version(in))
	case 6:
		a := packet.Ack{Type: packet.PUBACK + packet.Type(f/4%4), ID: id}
		return a.Append(nil, mqtt.V311)
	case 7:
		if f%4 == 0 {
			x := packet.Disconnect{}
			return x.Append(nil, mqtt.V311)
		}
	}
	return packet.AppendPingreq(nil)
}

func (d *driver) version(in *[]byte) mqtt.Version {
	if d.byte(in)%2 == 0 {
		return mqtt.V5
	}
	return mqtt.V311
}

// end closes everything; once sessions have expired too, nothing may be left.
func (d *driver) end() {
	for len(d.slots) > 0 {
		d.close(d.slots[0])
		check(d.t, d.b)
	}
	for _, f := range filters {
		d.b.Unsubscribe(f)
	}
	d.flash.fail = 0
	d.now += 1000 * time.Hour
	d.b.Step(d.now)
	for i := range d.b.sessions {
		if s := &d.b.sessions[i]; s.id != 0 {
			if s.expiry != mqtt.NeverExpires {
				d.t.Fatalf("a session with expiry %d is still there", s.expiry)
			}
			d.b.drop(s)
		}
	}
	for i := range d.b.retained {
		d.b.release(&d.b.retained[i])
	}
	if d.b.slab.live != 0 || d.b.parked != 0 || d.b.nsubs != 0 {
		d.t.Fatalf("%d bytes, %d parked messages and %d subscriptions are left", d.b.slab.live, d.b.parked, d.b.nsubs)
	}
}
