package tiny

import (
	"fmt"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// One client too many is told so, in its own version's words; one that comes
// back finds its place though all are taken.
func TestNinthClient(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	for i := range 8 {
		r.connect(fmt.Sprint("c", i), mqtt.V311)
	}
	for v, want := range map[mqtt.Version]packet.Connack{
		mqtt.V311: {Return: mqtt.RefusedUnavailable}, mqtt.V5: {Code: mqtt.QuotaExceeded},
	} {
		ninth := r.dial(v)
		if k := ninth.hello("ninth"); k.Code != want.Code || k.Return != want.Return || !ninth.over {
			t.Errorf("%v: refused with %v %v, over %v", v, k.Code, k.Return, ninth.over)
		}
		ninth.close()
	}
	back := r.connect("c3", mqtt.V5)
	if st := r.b.Stats(); st.Clients != 8 {
		t.Errorf("%d clients", st.Clients)
	}
	if _, ok := r.b.Accept(); ok {
		t.Error("the slot of the connection taken over is free before it is closed")
	}
	if c, ok := r.b.Client(back.slot); !ok || string(c.ID) != "c3" || c.Version != mqtt.V5 {
		t.Errorf("%+v", c)
	}
}

// A client that vanishes frees its slot after one and a half keep alives; its
// will is said.
func TestKeepAliveFreesTheSlot(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	watch := r.connect("watch", mqtt.V311)
	watch.subscribe("wills/#", 1)
	gone := r.connect("gone", mqtt.V311, func(c *packet.Connect) {
		c.KeepAlive, c.HasWill = 10, true
		c.Will.Topic, c.Will.Payload, c.Will.QoS = []byte("wills/gone"), []byte("bye"), 1
	})
	r.pass(14 * time.Second)
	gone.send(packet.AppendPingreq(nil))
	gone.want(packet.PINGRESP)
	r.pass(14 * time.Second)
	watch.wantIdle()
	r.pass(time.Second)
	watch.wantMessage("wills/gone", "bye")
	gone.drain()
	if !gone.over {
		t.Error("the connection is not over")
	}
	silent := r.dial(mqtt.V311)
	r.pass(10 * time.Second)
	if silent.drain(); !silent.over {
		t.Error("a connection without CONNECT is still there after 10 s")
	}
}

// A QoS 1 publisher is not acknowledged while a subscriber has no room, and
// read on; QoS 0 is dropped and counted. Who takes nothing for half a minute is
// disconnected, and the publisher goes on.
func TestStalledSubscriber(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		r := newRig(t, Limits{}, Hooks{})
		stuck := r.connect("stuck", v)
		stuck.subscribe("t", 1)
		pub := r.connect("pub", v)
		for i := range mqtt.PacketID(4) {
			r.receive(pub, "t", 1, i+1)
			pub.wantAck(packet.PUBACK, i+1, 0)
		}
		r.receive(pub, "t", 1, 5)
		pub.wantIdle()
		pub.send(packet.AppendPingreq(nil))
		pub.want(packet.PINGRESP)
		r.receive(pub, "t", 0, 0)
		if st := r.b.Stats(); st.Dropped != 1 || st.Held != 1 || st.Parked != 1 {
			t.Errorf("%v: %+v", v, st)
		}
		r.pass(29 * time.Second)
		pub.wantIdle()
		r.pass(2 * time.Second)
		code := mqtt.Success
		if v == mqtt.V5 {
			code = mqtt.NoMatchingSubscribers
		}
		pub.wantAck(packet.PUBACK, 5, code)
		if st := r.b.Stats(); st.Stalled != 1 || st.Parked != 0 || st.Clients != 1 {
			t.Errorf("%v: %+v", v, st)
		}
	}
}

// receive hands the broker a PUBLISH without letting anybody take what comes of
// it.
func (r *rig) receive(w *wire, topic string, q mqtt.QoS, id mqtt.PacketID) {
	r.t.Helper()
	p := packet.Publish{Topic: []byte(topic), Payload: []byte("x"), QoS: q, ID: id}
	b := p.Append(nil, w.v)
	if n := r.b.Receive(w.slot, b); n != len(b) {
		r.t.Fatalf("Receive took %d of %d bytes", n, len(b))
	}
	check(r.t, r.b)
}

// A subscriber that is away makes no room: 5.0 publishers are told so at once;
// older ones wait, until the session is ended, which Session Present 0 tells.
func TestAbsentSubscriberWithoutRoom(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	away := r.connect("away", mqtt.V5, kept(1000))
	away.subscribe("t", 1)
	away.close()
	pub := r.connect("pub", mqtt.V5)
	for i := range mqtt.PacketID(4) {
		pub.publish("t", "x", 1, i+1, false)
		pub.wantAck(packet.PUBACK, i+1, 0)
	}
	pub.publish("t", "x", 1, 5, false)
	pub.wantAck(packet.PUBACK, 5, mqtt.QuotaExceeded)
	old := r.connect("old", mqtt.V311)
	old.publish("t", "x", 1, 6, false)
	old.wantIdle()
	r.pass(31 * time.Second)
	old.wantAck(packet.PUBACK, 6, 0)
	if st := r.b.Stats(); st.Forgotten != 1 || st.Refused != 1 {
		t.Errorf("%+v", st)
	}
	back := r.dial(mqtt.V5)
	if k := back.hello("away", kept(1000)); k.SessionPresent {
		t.Error("a session that lost messages is present")
	}
}

// With every place for a session taken, the one away for longest makes room.
func TestOldestAbsentSessionMakesRoom(t *testing.T) {
	r := newRig(t, Limits{Clients: 2, Sessions: 3}, Hooks{})
	for i := range 3 {
		w := r.connect(fmt.Sprint("c", i), mqtt.V5, kept(1000))
		r.pass(time.Second)
		w.close()
	}
	r.connect("new", mqtt.V5)
	back := r.dial(mqtt.V5)
	if k := back.hello("c1", kept(1000)); !k.SessionPresent {
		t.Error("c1 was forgotten in place of c0")
	}
	if st := r.b.Stats(); st.Forgotten != 1 || st.Sessions != 3 {
		t.Errorf("%+v", st)
	}
}

// 20 messages before the first PUBREL are what the usual clients send; more is
// against what 5.0 clients were told, and ends older clients' connections too.
func TestReceiveMaximum(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		r := newRig(t, Limits{}, Hooks{})
		pub := r.connect("pub", v)
		for i := range mqtt.PacketID(20) {
			pub.publish("t", "x", 2, i+1, false)
		}
		if pub.over {
			t.Fatalf("%v: cut off within the limit", v)
		}
		pub.publish("t", "x", 2, 21, false)
		if !pub.over {
			t.Errorf("%v: 21 messages are taken", v)
		}
	}
}

func TestNoLocalRoomForTheProgram(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	sub := r.connect("sub", mqtt.V311)
	sub.subscribe("t", 1)
	for range 4 {
		if err := r.b.Publish(&Message{Topic: []byte("t"), Payload: []byte("x"), QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.b.Publish(&Message{Topic: []byte("t"), QoS: 1}); err != ErrFull {
		t.Errorf("%v, want ErrFull", err)
	}
	if err := r.b.Publish(&Message{Topic: []byte("a/#")}); err == nil {
		t.Error("a filter is published to")
	}
	for range 4 {
		sub.wantMessage("t", "x")
	}
}

func TestShutdown(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	five, old := r.connect("five", mqtt.V5), r.connect("old", mqtt.V311)
	r.b.Shutdown()
	var d packet.Disconnect
	if err := d.Decode(mqtt.V5, five.want(packet.DISCONNECT)); err != nil || d.Code != mqtt.ServerShuttingDown {
		t.Errorf("%v, %v", d.Code, err)
	}
	old.wantIdle()
	if !five.over || !old.over {
		t.Error("a connection goes on")
	}
}
