package midge

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/topic"
)

// What a batch brings goes to whoever has subscribed by then, though topics are
// looked up ahead of the message at hand, and though the batch itself subscribes
// and unsubscribes in between.
func TestAheadOfAChange(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		h := newRig(t)
		c := h.client(t, "c", mqtt.V311)
		h.sc.loop = new(loop) // writes after its turn, which is never
		held, want := map[string]bool{}, uint64(0)
		for range 20 {
			var raw []byte
			for range 40 {
				raw = appendAny(r, raw, held, &want)
			}
			if used, _, over, err := c.batch(h.sc, raw); used != len(raw) || over || err != nil {
				t.Fatal(used, over, err)
			}
			c.drop()
			if got := uint64(c.outbox.sent.messages); got != want {
				t.Fatalf("seed %d: %d messages, want %d", seed, got, want)
			}
		}
	}
}

// appendAny appends a packet of any kind: held is what it leaves subscribed, and
// want grows by the message it brings about.
func appendAny(r *rand.Rand, raw []byte, held map[string]bool, want *uint64) []byte {
	filter := fmt.Sprintf("a/%d/+", r.IntN(30))
	switch r.IntN(12) {
	case 0:
		held[filter] = true
		p := packet.Subscribe{ID: 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte(filter)})}
		return p.Append(raw, mqtt.V311)
	case 1:
		delete(held, filter)
		p := packet.Unsubscribe{ID: 1, Filters: packet.TopicFilters(nil).Add(filter)}
		return p.Append(raw, mqtt.V311)
	case 2:
		return packet.AppendPingreq(raw)
	}
	name := fmt.Sprintf("a/%d/%d", r.IntN(30), r.IntN(2))
	for filter := range held {
		if topic.Match(filter, name) {
			*want++
		}
	}
	p := packet.Publish{Topic: []byte(name), QoS: mqtt.QoS(r.IntN(2)), ID: 1, Properties: new(packet.Properties)}
	return p.Append(raw, mqtt.V311)
}

// Topics that come once are looked up many at a time; those that come again and
// again are not.
func TestAheadIsAsWideAsItPays(t *testing.T) {
	h := newRig(t)
	c := h.client(t, "c", mqtt.V311)
	h.sc.loop = new(loop) // writes after its turn, which is never
	batch := func(topics int) {
		var raw []byte
		for i := range 400 {
			raw = (&packet.Publish{Topic: fmt.Appendf(nil, "a/%d", i%topics), Properties: new(packet.Properties)}).Append(raw, mqtt.V311)
		}
		if _, _, _, err := c.batch(h.sc, raw); err != nil {
			t.Fatal(err)
		}
	}
	if batch(400); h.sc.routes.width != aheadMost {
		t.Errorf("%d of 400 topics are looked up at a time", h.sc.routes.width)
	}
	for round := range 10 {
		h.b.index.Renew()
		if batch(2); round > 0 && h.sc.routes.width == aheadMost {
			t.Fatal("two topics are looked up as if they were many")
		}
	}
	if len(h.sc.routes.names) > 0 || h.sc.routes.rest != nil {
		t.Error("something of the batch is kept")
	}
}
