package midge

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"weak"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// overlapping are n filters of levels a or +, all of which match a/a/.../b.
func overlapping(levels int) (filters []string, topic string) {
	for i := range 1 << levels {
		f := ""
		for k := range levels {
			f += []string{"a/", "+/"}[i>>k&1]
		}
		filters = append(filters, f+"b")
	}
	for range levels {
		topic += "a/"
	}
	return filters, topic + "b"
}

// Many filters of one client that match one topic are one target; what it
// takes to find that out grows with their number, not with its square.
func TestPlanOfManyOverlaps(t *testing.T) {
	allocated := func(levels int) uint64 {
		h := newRig(t)
		c := h.client(t, "c", mqtt.V5)
		filters, topic := overlapping(levels)
		for i, f := range filters {
			p := packet.Subscribe{
				ID: 1, Properties: &packet.Properties{SubscriptionIdentifier: uint32(i + 1)},
				Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte(f), QoS: mqtt.QoS(i % 3)}),
			}
			c.subscribe(h.sc, &p)
			c.drop()
		}
		var r routeCache
		p := r.plan(h.b, []byte(topic))
		if len(p.targets) != 1 || p.targets[0].qos != 2 {
			t.Fatalf("%d targets", len(p.targets))
		}
		ids := slices.Sorted(slices.Values(p.targets[0].ids))
		if len(ids) != len(filters) || ids[0] != 1 || ids[len(ids)-1] != uint32(len(filters)) {
			t.Errorf("%d identifiers of %d", len(ids), len(filters))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10 {
			var r routeCache
			r.plan(h.b, []byte(topic))
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	small, large := allocated(6), allocated(9)
	if large > 16*small {
		t.Errorf("ten plans of 64 filters take %d bytes, of 512 %d", small, large)
	}
}

// While a subscription takes another's place both are found; the later counts.
func TestPlanDuringReplacement(t *testing.T) {
	h := newRig(t)
	c := h.client(t, "c", mqtt.V5)
	for _, order := range [][]uint32{{1, 2}, {2, 1}} {
		var subs []*subscription
		for _, seq := range order {
			sub := &subscription{s: c.session, seq: seq, spec: Subscription{Filter: "t", QoS: mqtt.QoS(seq % 2)}}
			h.b.index.Add("t", sub)
			subs = append(subs, sub)
		}
		var r routeCache
		p := r.plan(h.b, []byte("t"))
		if len(p.targets) != 1 || p.targets[0].qos != 0 {
			t.Errorf("order %v: QoS %d", order, p.targets[0].qos)
		}
		for _, sub := range subs {
			h.b.index.Remove("t", sub)
		}
	}
}

// However many subscribers there are, the plans remembered have a bound, and
// none of them keeps a subscriber that has gone.
func TestPlansHaveABound(t *testing.T) {
	h := newRig(t)
	for i := range 400 {
		h.subscribe(h.client(t, fmt.Sprint("sub", i), mqtt.V5), "+", mqtt.AtMostOnce)
	}
	pub := h.client(t, "pub", mqtt.V5)
	held := func() (n int) {
		for _, s := range h.sc.routes.slots {
			if s.plan != nil {
				n += cap(s.plan.targets)
			}
		}
		return n + cap(h.sc.routes.once.targets)
	}
	most := 0
	for i := range 8000 {
		// Each comes four times; the second time it is given a place.
		m := packet.Publish{Topic: fmt.Append(nil, i/200*50+i%50), Properties: new(packet.Properties)}
		if err := pub.publish(h.sc, &m); err != nil {
			t.Fatal(err)
		}
		most = max(most, held())
	}
	if most < 400 || most > targetsKept {
		t.Errorf("plans had room for up to %d targets, want 400 to %d", most, targetsKept)
	}
	h.subscribe(pub, "elsewhere", mqtt.AtMostOnce)
	if err := pub.publish(h.sc, &packet.Publish{Topic: []byte("t"), Properties: new(packet.Properties)}); err != nil {
		t.Fatal(err)
	}
	if n := held(); n > 1000 {
		t.Errorf("after a change they have room for %d", n)
	}
}

// A retained message does not keep the session of its publisher in memory.
func TestRetainedOutlivesItsPublisher(t *testing.T) {
	h := newRig(t)
	publish := func() weak.Pointer[session] {
		c := h.client(t, "c", mqtt.V5)
		m := packet.Publish{Topic: []byte("t"), Payload: []byte("x"), Retain: true, Properties: new(packet.Properties)}
		if err := c.publish(h.sc, &m); err != nil {
			t.Fatal(err)
		}
		s := weak.Make(c.session)
		c.detach(mqtt.Success, "")
		h.sc.reset()
		return s
	}
	s := publish()
	runtime.GC()
	if s.Value() != nil {
		t.Error("the session is still there")
	}
	if h.b.retained.Len() != 1 {
		t.Error("the message is not")
	}
}
