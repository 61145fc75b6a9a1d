package flow_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/mqtt"
)

func newOutbound(limit int, quota uint16) *flow.Outbound[int] {
	var o flow.Outbound[int]
	o.Init(limit, nil)
	o.Resume(quota)
	return &o
}

// [MQTT-2.2.1-3, 5.0] [MQTT-2.3.1-4, 3.1.1]: an identifier in use is never given out again.
func TestOutboundIDsAreFree(t *testing.T) {
	o := newOutbound(3, 65535)
	first := o.Publish(mqtt.AtLeastOnce, 1) // stays open for two laps
	inUse := map[mqtt.PacketID]bool{first: true}
	for i := range 2*mqtt.MaxPacketID + 10 {
		id := o.Publish(mqtt.AtLeastOnce, i)
		if id == 0 || inUse[id] {
			t.Fatalf("message %d got identifier %d, which is in use", i, id)
		}
		if _, ok := o.Puback(id); !ok {
			t.Fatalf("PUBACK %d not known", id)
		}
	}
	if v, ok := o.Puback(first); !ok || v != 1 {
		t.Fatalf("first message lost: %d, %v", v, ok)
	}
}

// [MQTT-4.9.0-2, 5.0] [MQTT-3.3.4-9, 5.0]: quota bounds PUBLISH packets in flight.
func TestOutboundQuota(t *testing.T) {
	o := newOutbound(10, 2)
	a, b := o.Publish(mqtt.AtLeastOnce, 1), o.Publish(mqtt.ExactlyOnce, 2)
	if o.Ready() {
		t.Fatal("ready with the quota used up")
	}
	o.Pubrec(b, mqtt.Success)
	if o.Ready() {
		t.Fatal("PUBREC with success must not free quota")
	}
	o.Pubcomp(b)
	if !o.Ready() {
		t.Fatal("PUBCOMP frees quota")
	}
	c := o.Publish(mqtt.ExactlyOnce, 3)
	o.Pubrec(c, mqtt.QuotaExceeded)
	if !o.Ready() || o.Len() != 1 {
		t.Fatal("PUBREC with a failure ends the exchange and frees quota")
	}
	if _, ok := o.Puback(c); ok {
		t.Fatal("a QoS 2 identifier took a PUBACK")
	}
	o.Puback(a)
	if o.Len() != 0 {
		t.Fatalf("%d exchanges left open", o.Len())
	}
}

// [MQTT-4.4.0-1, 5.0] [MQTT-4.6.0-1, 5.0] [MQTT-4.3.3-6, 5.0]: resend in order, PUBREL after PUBREC.
func TestOutboundResend(t *testing.T) {
	o := newOutbound(10, 10)
	a := o.Publish(mqtt.AtLeastOnce, 1)
	b := o.Publish(mqtt.ExactlyOnce, 2)
	c := o.Publish(mqtt.ExactlyOnce, 3)
	o.Pubrec(b, mqtt.Success)
	if o.Resend() != nil {
		t.Fatal("resend on a live connection")
	}
	o.Resume(1)
	if o.Ready() {
		t.Fatal("a new message may not overtake one to be sent again")
	}
	want := []struct {
		id mqtt.PacketID
		st flow.Stage
	}{{a, flow.AwaitPuback}, {b, flow.AwaitPubcomp}, {c, flow.AwaitPubrec}}
	if s := o.Resend(); s.ID != want[0].id || s.Stage != want[0].st {
		t.Fatalf("first resend is %+v", s)
	}
	if s := o.Resend(); s.ID != want[1].id || s.Stage != want[1].st {
		t.Fatalf("PUBREL needs no quota, got %+v", s)
	}
	if s := o.Resend(); s != nil {
		t.Fatalf("resend beyond the quota: %+v", s)
	}
	o.Pubcomp(b) // its PUBLISH is not of this connection: no quota comes back
	if o.Resend() != nil {
		t.Fatal("PUBCOMP of an old PUBLISH freed quota")
	}
	o.Puback(a)
	if s := o.Resend(); s == nil || s.ID != c || s.Value != 3 {
		t.Fatalf("third resend is %+v", s)
	}
}

func TestOutboundFixedStorageNeverAllocates(t *testing.T) {
	var o flow.Outbound[int]
	o.Init(8, slices.Repeat([]flow.Slot[int]{{Value: 9, ID: 7, Stage: flow.AwaitPuback}}, 8)) // used before
	o.Resume(8)
	if s := o.Open(mqtt.AtLeastOnce); s.Value != 0 || s.ID != 1 {
		t.Errorf("the first slot is %+v", s)
	}
	o.Puback(1)
	if n := testing.AllocsPerRun(1000, func() {
		var ids [8]mqtt.PacketID
		for i := range ids {
			ids[i] = o.Publish(mqtt.AtLeastOnce, i)
		}
		for _, i := range []int{3, 1, 0, 2, 7, 6, 5, 4} {
			o.Puback(ids[i])
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// A window driven at random agrees with a map that knows what is open.
func TestOutboundAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		o := newOutbound(50, 30)
		model := map[mqtt.PacketID]flow.Stage{}
		for step := range 20_000 {
			switch id := mqtt.PacketID(r.IntN(65536)); r.IntN(6) {
			case 0, 1:
				if o.Ready() {
					q := mqtt.QoS(1 + r.IntN(2))
					id := o.Publish(q, step)
					if _, used := model[id]; used {
						t.Fatalf("seed %d step %d: identifier %d given out twice", seed, step, id)
					}
					model[id] = flow.AwaitPuback + flow.Stage(q-1)
				}
			case 2:
				id = pick(r, model, id)
				if _, ok := o.Puback(id); ok != (model[id] == flow.AwaitPuback) {
					t.Fatalf("seed %d step %d: PUBACK %d known: %v", seed, step, id, ok)
				} else if ok {
					delete(model, id)
				}
			case 3:
				id = pick(r, model, id)
				_, ok := o.Pubrec(id, mqtt.Success)
				if ok != (model[id] == flow.AwaitPubrec || model[id] == flow.AwaitPubcomp) {
					t.Fatalf("seed %d step %d: PUBREC %d known: %v", seed, step, id, ok)
				} else if ok {
					model[id] = flow.AwaitPubcomp
				}
			case 4:
				id = pick(r, model, id)
				if _, ok := o.Pubcomp(id); ok != (model[id] == flow.AwaitPubcomp) {
					t.Fatalf("seed %d step %d: PUBCOMP %d known: %v", seed, step, id, ok)
				} else if ok {
					delete(model, id)
				}
			case 5:
				if r.IntN(100) == 0 {
					o.Resume(30)
				}
				o.Resend()
			}
			if o.Len() != len(model) {
				t.Fatalf("seed %d step %d: %d open, want %d", seed, step, o.Len(), len(model))
			}
		}
	}
}

func pick(r *rand.Rand, m map[mqtt.PacketID]flow.Stage, other mqtt.PacketID) mqtt.PacketID {
	if r.IntN(10) == 0 || len(m) == 0 {
		return other
	}
	for id := range m {
		return id
	}
	return other
}

// A slot is filled in and read in place, and comes back empty.
func TestOutboundInPlace(t *testing.T) {
	o := newOutbound(3, 3)
	for i := range 8 {
		a, b := o.Open(mqtt.AtLeastOnce), o.Open(mqtt.ExactlyOnce)
		if a.Value != 0 || b.Value != 0 {
			t.Fatalf("round %d: a new slot has the values %d and %d", i, a.Value, b.Value)
		}
		a.Value, b.Value = 2*i+1, 2*i+2
		first, second := a.ID, b.ID
		if o.Awaits(second, flow.AwaitPuback) != nil || o.Awaits(second+1, flow.AwaitPuback) != nil {
			t.Fatal("a PUBACK is awaited that is not")
		}
		if s := o.Awaits(second, flow.AwaitPubrec); s == nil || s.Value != 2*i+2 {
			t.Fatalf("round %d: PUBREC is awaited for %v", i, s)
		}
		if s := o.Awaits(first, flow.AwaitPuback); s == nil || s.Value != 2*i+1 {
			t.Fatalf("round %d: PUBACK is awaited for %v", i, s)
		} else {
			o.End(s)
		}
		o.End(o.Awaits(second, flow.AwaitPubrec))
		if o.Len() != 0 || o.Room() != 3 || o.Awaits(first, flow.AwaitPuback) != nil {
			t.Fatalf("round %d: %d open, room for %d", i, o.Len(), o.Room())
		}
	}
}
