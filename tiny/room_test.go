package tiny

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

var bulky = strings.Repeat("x", 470)

// hourly passes an hour in small steps, with clients that read what they are sent
// but acknowledge nothing.
func (r *rig) hour(readers ...*wire) {
	for range 3600 / 5 {
		r.pass(5 * time.Second)
		for _, w := range readers {
			if !w.over {
				w.pump()
			}
		}
	}
}

// A slab that absent sessions fill, without any queue being full, is not lost to
// all others: the one away longest makes room.
func TestSlabFullOfTheAbsent(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	for i := range 3 {
		w := r.connect(fmt.Sprint("away", i), mqtt.V311, kept(0))
		w.subscribe(fmt.Sprint("t", i), 1)
		w.close()
		r.pass(time.Second)
	}
	pub := r.connect("pub", mqtt.V5)
	for i := range 8 {
		pub.publish(fmt.Sprint("t", i%3), bulky, 1, mqtt.PacketID(i+1), false)
		pub.wantAck(packet.PUBACK, mqtt.PacketID(i+1), 0)
	}
	old := r.connect("old", mqtt.V311)
	old.publish("kept", bulky, 1, 1, true)
	old.wantIdle()
	r.hour(old)
	old.wantAck(packet.PUBACK, 1, 0)
	if st := r.b.Stats(); st.Forgotten != 1 || st.Clients != 2 {
		t.Errorf("%+v", st)
	}
	if k := r.dial(mqtt.V311).hello("away1", kept(0)); !k.SessionPresent {
		t.Error("more sessions than needed are gone")
	}
}

// So it is when those who fill it are there and acknowledge nothing.
func TestSlabFullOfTheUnacknowledged(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	var hogs []*wire
	for i := range 2 {
		w := r.connect(fmt.Sprint("hog", i), mqtt.V311)
		w.subscribe(fmt.Sprint("t", i), 1)
		hogs = append(hogs, w)
	}
	pub := r.connect("pub", mqtt.V311)
	for i := range 8 {
		pub.publish(fmt.Sprint("t", i%2), bulky, 1, mqtt.PacketID(i+1), false)
		hogs[i%2].wantMessage(fmt.Sprint("t", i%2), bulky)
	}
	for i := range 8 {
		pub.wantAck(packet.PUBACK, mqtt.PacketID(i+1), 0)
	}
	pub.publish("kept", bulky, 1, 9, true)
	pub.wantIdle()
	r.hour(pub, hogs[0], hogs[1])
	pub.wantAck(packet.PUBACK, 9, 0)
	if pub.over || hogs[0].over == hogs[1].over {
		t.Errorf("over: pub %v, hogs %v %v", pub.over, hogs[0].over, hogs[1].over)
	}
}

// A client that takes no answers is disconnected, and what it had parked with it.
func TestAnswersNotTaken(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	sub := r.connect("sub", mqtt.V311)
	sub.subscribe("t", 1)
	bad := r.connect("bad", mqtt.V311)
	for i := range mqtt.PacketID(8) {
		r.receive(bad, "t", 1, i+1)
	}
	for range 4 {
		r.b.Receive(bad.slot, packet.AppendPingreq(nil))
	}
	if st := r.b.Stats(); st.Parked != 4 || !r.b.Held(bad.slot) {
		t.Fatalf("%+v", st)
	}
	r.pass(29 * time.Second)
	if r.b.conns[bad.slot].stage != open {
		t.Error("disconnected too early")
	}
	r.pass(2 * time.Second)
	if st := r.b.Stats(); st.Parked != 0 || r.b.conns[bad.slot].stage == open {
		t.Errorf("still there: %+v", st)
	}
}

// What a connection leaves behind is handed on at once.
func TestClosedHandsOnItsRoom(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	sub := r.connect("sub", mqtt.V311)
	sub.subscribe("t", 1)
	pub := r.connect("pub", mqtt.V311)
	for i := range mqtt.PacketID(5) {
		r.receive(pub, "t", 1, i+1)
	}
	sub.close()
	for i := range mqtt.PacketID(5) {
		pub.wantAck(packet.PUBACK, i+1, 0)
	}
}

// Several publishers to one slow subscriber get on alike.
func TestLinesAreServedInTurn(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	sub := r.connect("sub", mqtt.V311)
	sub.subscribe("t", 1)
	pubs := []*wire{r.connect("p0", mqtt.V311), r.connect("p1", mqtt.V311), r.connect("p2", mqtt.V311)}
	var acked, sent [3]int
	for range 300 {
		for i, p := range pubs {
			for ; sent[i]-acked[i] < 2; sent[i]++ {
				r.receive(p, "t", 1, mqtt.PacketID(sent[i]+1))
			}
		}
		if h, body := sub.next(); h.Type == packet.PUBLISH {
			var m packet.Publish
			m.Decode(sub.v, h.Flags, body)
			a := packet.Ack{Type: packet.PUBACK, ID: m.ID}
			sub.send(a.Append(nil, sub.v))
		}
		for i, p := range pubs {
			for h, _ := p.next(); h.Type != 0; h, _ = p.next() {
				acked[i]++
			}
		}
		r.pass(time.Second)
	}
	if least, most := min(acked[0], acked[1], acked[2]), max(acked[0], acked[1], acked[2]); most-least > 5 || least < 90 {
		t.Errorf("acknowledged %v", acked)
	}
}

// An absent session keeps what it has been promised when one message more is
// refused, or a will passes it by.
func TestAbsentKeepTheirs(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	away := r.connect("away", mqtt.V5, kept(100_000))
	away.subscribe("t", 1)
	away.close()
	pub := r.connect("pub", mqtt.V5, func(c *packet.Connect) {
		c.HasWill, c.Will.Topic, c.Will.QoS = true, []byte("t"), 1
	})
	for i := range mqtt.PacketID(5) {
		pub.publish("t", "x", 1, i+1, false)
	}
	pub.close()
	r.hour()
	back := r.dial(mqtt.V5)
	if k := back.hello("away", kept(100_000)); !k.SessionPresent {
		t.Fatal("the session is gone")
	}
	for range 4 {
		back.wantMessage("t", "x")
	}
}

// A retained message that is parked is not newer than one that came after it.
func TestParkedRetainedIsNotNewer(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	sub := r.connect("sub", mqtt.V311)
	sub.subscribe("t", 1)
	pub := r.connect("pub", mqtt.V311)
	for i := range mqtt.PacketID(4) {
		r.receive(pub, "t", 1, i+1)
	}
	for i, q := range []mqtt.QoS{1, 0} {
		p := packet.Publish{Topic: []byte("t"), Payload: fmt.Append(nil, i), QoS: q, Retain: true}
		if q > 0 {
			p.ID = 5
		}
		r.b.Receive(pub.slot, p.Append(nil, mqtt.V311))
	}
	sub.close()
	if got := r.b.kepts()["t"]; got != "1" {
		t.Errorf("retained is %q", got)
	}
}

// A client that is refused for want of room has lost nothing by trying.
func TestRefusalCostsNothing(t *testing.T) {
	r := newRig(t, Limits{Retained: -1, Slab: 1024, MaxPacket: 512}, Hooks{})
	watch := r.connect("watch", mqtt.V311)
	watch.subscribe("w", 0)
	c := r.connect("c", mqtt.V5, kept(1000), func(c *packet.Connect) {
		c.HasWill, c.Will.Topic, c.Will.Payload = true, []byte("w"), []byte("gone")
		c.Will.Properties.WillDelayInterval = 20
	})
	c.close()
	full := r.connect("full", mqtt.V5, func(c *packet.Connect) {
		c.HasWill, c.Will.Topic, c.Will.Payload = true, []byte("x"), []byte(bulky)
	})
	again := r.dial(mqtt.V5)
	if k := again.hello("c", kept(1000), func(c *packet.Connect) {
		c.HasWill, c.Will.Topic, c.Will.Payload = true, []byte("w"), []byte(bulky)
	}); k.Code != mqtt.QuotaExceeded {
		t.Fatalf("%v", k.Code)
	}
	full.close()
	r.pass(21 * time.Second)
	watch.wantMessage("w", "gone")
}

// Eviction does not write flash, however fast it comes; what it leaves behind is
// gone from flash, too, after a while.
func TestEvictionSparesFlash(t *testing.T) {
	f := newFlash(2, 4096)
	r := newRig(t, keeping, Hooks{})
	r.b.Restore(f)
	for i := range 1000 {
		r.own("t/%d", i%9, fmt.Sprint(i)) // one topic more than places
		r.pass(10 * time.Millisecond)
	}
	if f.erases > 3 || f.bytes > 3*1024 {
		t.Errorf("%d erases and %d bytes in 10 s", f.erases, f.bytes)
	}
	r.pass(10 * time.Second)
	if got := restored(t, f, keeping); !same2(got, r.b.kepts()) {
		t.Errorf("restored %v, want %v", got, r.b.kepts())
	}
}

// What the program publishes is held to what clients are, and what flash holds
// from larger limits is passed over.
func TestOwnMessagesAreChecked(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	for _, m := range []Message{
		{Topic: []byte("t"), QoS: 3}, {Topic: []byte("t"), QoS: 12}, {Topic: []byte("t"), Payload: make([]byte, 512)},
	} {
		if err := r.b.Publish(&m); err != ErrMessage {
			t.Errorf("QoS %d, %d bytes: %v", m.QoS, len(m.Payload), err)
		}
	}
	f := newFlash(2, 4096)
	large := newRig(t, Limits{MaxPacket: 1024}, Hooks{})
	large.b.Restore(f)
	large.own("large/%d", 1, strings.Repeat("x", 900))
	large.own("small/%d", 1, "x")
	large.b.Keep()
	if got := restored(t, f, Limits{}); len(got) != 1 || got["small/1"] != "x" {
		t.Errorf("restored %v", got)
	}
}

// The count of retained messages runs over without an old one being missed.
func TestSequenceRunsOver(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	for i := range 3 {
		r.own("t/%d", i, "old")
	}
	r.b.sequence = maxSequence - 1
	sub := r.connect("sub", mqtt.V311)
	s := packet.Subscribe{ID: 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("t/+")})}
	r.b.Receive(sub.slot, s.Append(nil, mqtt.V311))
	for i := range 3 {
		r.own("t/%d", i+2, "new")
	}
	sub.want(packet.SUBACK)
	got := map[string]int{}
	for h, body := sub.next(); h.Type != 0; h, body = sub.next() {
		var p packet.Publish
		p.Decode(sub.v, h.Flags, body)
		got[string(p.Topic)+" "+string(p.Payload)]++
	}
	if fmt.Sprint(got) != "map[t/0 old:1 t/1 old:1 t/2 new:1 t/3 new:1 t/4 new:1]" || r.b.sequence > 100 {
		t.Errorf("%v, sequence %d", got, r.b.sequence)
	}
}

// The broker's own receive buffers do what Receive does.
func TestReceiveBuffers(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	w := r.dial(mqtt.V311)
	c := packet.Connect{Version: mqtt.V311, ClientID: []byte("c"), CleanStart: true}
	in := packet.AppendPingreq(c.Append(nil))
	for _, b := range in {
		r.b.Buffer(w.slot)[0] = b
		r.b.Received(w.slot, 1)
	}
	for r.b.Received(w.slot, 0) > 0 {
	}
	w.want(packet.CONNACK)
	w.want(packet.PINGRESP)
	if n := len(r.b.Buffer(w.slot)); n != 512 {
		t.Errorf("%d bytes are free", n)
	}
}
