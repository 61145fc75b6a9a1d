package flow_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/mqtt"
)

func newInbound(limit int) *flow.Inbound {
	var in flow.Inbound
	in.Resume(uint16(limit))
	return &in
}

func take(t *testing.T, in *flow.Inbound, want ...mqtt.PacketID) {
	t.Helper()
	for _, id := range want {
		if r, ok := in.Next(); !ok || r.ID != id {
			t.Fatalf("next acknowledgement is %v, %v; want %d", r, ok, id)
		}
	}
	if r, ok := in.Next(); ok {
		t.Fatalf("acknowledgement %v too many", r)
	}
}

// [MQTT-4.6.0-2, 5.0] [MQTT-4.6.0-3, 5.0]
func TestInboundAcksInOrder(t *testing.T) {
	in := newInbound(10)
	for id := mqtt.PacketID(1); id <= 3; id++ {
		if a := in.Publish(mqtt.AtLeastOnce, id); a != flow.Fresh {
			t.Fatalf("message %d is %v", id, a)
		}
	}
	in.Ack(2, mqtt.Success)
	take(t, in)
	in.Ack(1, mqtt.Success)
	take(t, in, 1, 2)
	in.Ack(3, mqtt.Success)
	take(t, in, 3)
}

// [MQTT-4.3.3-10, 5.0] [MQTT-4.3.3-12, 5.0] [MQTT-4.3.3-9, 5.0]
func TestInboundExactlyOnce(t *testing.T) {
	in := newInbound(10)
	in.Publish(mqtt.ExactlyOnce, 7)
	in.Ack(7, mqtt.Success)
	take(t, in, 7)
	if a := in.Publish(mqtt.ExactlyOnce, 7); a != flow.Duplicate {
		t.Fatalf("repeat before PUBREL is %v", a)
	}
	in.Ack(7, mqtt.Success)
	take(t, in, 7)
	in.Resume(10)
	if a := in.Publish(mqtt.ExactlyOnce, 7); a != flow.Duplicate {
		t.Fatalf("repeat on the next connection is %v", a)
	}
	if !in.Pubrel(7) || in.Pubrel(7) {
		t.Fatal("PUBREL must be known once")
	}
	if a := in.Publish(mqtt.ExactlyOnce, 7); a != flow.Fresh {
		t.Fatalf("after PUBCOMP it is %v", a)
	}
	in.Ack(7, mqtt.NotAuthorized)
	in.Next()
	take(t, in)
	if in.Holds(7) {
		t.Fatal("a refused identifier is still held")
	}
}

// [MQTT-3.3.4-7, 5.0]
func TestInboundExcess(t *testing.T) {
	in := newInbound(2)
	in.Publish(mqtt.ExactlyOnce, 1)
	in.Publish(mqtt.AtLeastOnce, 2)
	if a := in.Publish(mqtt.AtLeastOnce, 3); a != flow.Excess {
		t.Fatalf("third open message is %v", a)
	}
	in.Ack(1, mqtt.Success)
	in.Ack(2, mqtt.Success)
	take(t, in, 1, 2)
	if a := in.Publish(mqtt.AtLeastOnce, 3); a != flow.Fresh {
		t.Fatalf("after one PUBACK it is %v", a)
	}
	if a := in.Publish(mqtt.AtLeastOnce, 1); a != flow.Clash {
		t.Fatalf("QoS 1 under an open QoS 2 identifier is %v", a)
	}
	in.Resume(2)
	for id := mqtt.PacketID(10); id < 12; id++ {
		if a := in.Publish(mqtt.ExactlyOnce, id); a != flow.Fresh {
			t.Fatalf("a new connection starts with the whole quota, got %v", a)
		}
	}
}

// Pass lets through what would be acknowledged at once, as if it had gone the
// long way, and leaves everything else as it was.
func TestInboundPass(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	passed := 0
	for range 200 {
		limit := 1 + rnd.IntN(4)
		in, twin := newInbound(limit), newInbound(limit)
		for step := range 50 {
			id, q := mqtt.PacketID(1+rnd.IntN(6)), mqtt.QoS(1+rnd.IntN(2))
			switch rnd.IntN(8) {
			case 0:
				in.Resume(uint16(limit))
				twin.Resume(uint16(limit))
			case 1, 2:
				if in.Pubrel(id) != twin.Pubrel(id) {
					t.Fatalf("step %d: PUBREL differs", step)
				}
			case 3: // one that is not acknowledged yet
				if in.Publish(q, id) != twin.Publish(q, id) {
					t.Fatalf("step %d: %d differs", step, id)
				}
			default:
				arrival := twin.Publish(q, id)
				if ok := in.Pass(q, id); ok {
					passed++
					twin.Ack(id, mqtt.Success)
					if r, ok := twin.Next(); arrival != flow.Fresh || !ok || r.ID != id || r.QoS != q {
						t.Fatalf("step %d: %d at QoS %d passes, which is %v, then %v", step, id, q, arrival, r)
					}
				} else if in.Publish(q, id) != arrival {
					t.Fatalf("step %d: %d is not %v any more", step, id, arrival)
				}
			}
			if in.Open() != twin.Open() || in.Idle() != twin.Idle() || !slices.Equal(slices.Collect(in.Held), slices.Collect(twin.Held)) {
				t.Fatalf("step %d: %+v, want %+v", step, in, twin)
			}
		}
	}
	if passed < 1000 {
		t.Fatalf("only %d messages passed", passed)
	}
}

func TestInboundFixedNeverAllocates(t *testing.T) {
	var in flow.Inbound
	storage := flow.MakeInboundStorage(4, 4)
	in.InitFixed(4, 4, &storage)
	id := mqtt.PacketID(0)
	if n := testing.AllocsPerRun(1000, func() {
		id++
		in.Resume(4)
		for k := range mqtt.PacketID(4) {
			if a := in.Publish(mqtt.ExactlyOnce, id*4+k); a == flow.Excess {
				t.Fatal("excess below the limit")
			}
			in.Ack(id*4+k, mqtt.Success)
		}
		for range 4 {
			in.Next()
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
