package tiny

import (
	"fmt"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// What was used longest ago makes room: set, or asked for by a subscriber.
func TestLeastRecentlyUsedIsEvicted(t *testing.T) {
	r := newRig(t, Limits{Retained: 3}, Hooks{})
	w := r.connect("c", mqtt.V311)
	for i := range 3 {
		w.publish(fmt.Sprint("t", i), "x", 0, 0, true)
	}
	w.subscribe("t0", 0)
	w.wantMessage("t0", "x")
	w.publish("t3", "x", 0, 0, true)
	got := r.b.kepts()
	if len(got) != 3 || got["t1"] != "" || got["t0"] == "" || r.b.Stats().Evicted != 1 {
		t.Errorf("%v, %d evicted", got, r.b.Stats().Evicted)
	}
}

// Bytes are bounded too, and a message larger than all of them leaves none
// rather than a stale one.
func TestRetainedBytesAreBounded(t *testing.T) {
	r := newRig(t, Limits{RetainedBytes: 200}, Hooks{})
	w := r.connect("c", mqtt.V311)
	for i := range 10 {
		w.publish(fmt.Sprint("t", i), "0123456789012345678901234567890123456789", 0, 0, true)
	}
	if got := r.b.kepts(); len(got) != 3 || got["t9"] == "" {
		t.Errorf("%v", got)
	}
	w.publish("t9", string(make([]byte, 300)), 0, 0, true)
	if got := r.b.kepts(); len(got) != 2 || got["t9"] != "" {
		t.Errorf("%v", got)
	}
}

// A subscription is sent each retained message once, and not again what came
// live meanwhile.
func TestReplayDoesNotRepeatWhatCameLive(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	pub := r.connect("pub", mqtt.V311)
	for i := range 5 {
		pub.publish(fmt.Sprint("t/", i), "old", 0, 0, true)
	}
	sub := r.dial(mqtt.V311)
	c := packet.Connect{Version: mqtt.V311, ClientID: []byte("sub"), CleanStart: true}
	s := packet.Subscribe{ID: 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("t/+"), QoS: 1})}
	r.b.Receive(sub.slot, s.Append(c.Append(nil), mqtt.V311))
	pub.publish("t/3", "new", 0, 0, true)
	got := map[string]int{}
	sub.want(packet.CONNACK)
	sub.want(packet.SUBACK)
	for {
		h, body := sub.next()
		if h.Type == 0 {
			break
		}
		var p packet.Publish
		p.Decode(mqtt.V311, h.Flags, body)
		got[string(p.Topic)+" "+string(p.Payload)]++
	}
	want := map[string]int{"t/0 old": 1, "t/1 old": 1, "t/2 old": 1, "t/4 old": 1, "t/3 new": 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRetainedExpire(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	w := r.connect("c", mqtt.V5)
	p := packet.Publish{Topic: []byte("t"), Payload: []byte("x"), Retain: true, Properties: &packet.Properties{MessageExpiryInterval: 10}}
	w.send(p.Append(nil, mqtt.V5))
	r.pass(11 * time.Second)
	w.subscribe("t", 0)
	w.wantIdle()
	if st := r.b.Stats(); st.Retained != 0 {
		t.Errorf("%d retained", st.Retained)
	}
}
