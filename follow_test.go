package midge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/trace"
)

// While one client is looked at, the messages of another allocate nothing.
func TestTraceOfAnotherAllocatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		events := 0
		done.Go(func() { h.b.Trace(ctx, trace.Filter{Client: "a", Packets: true}, func(trace.Event) { events++ }) })
		synctest.Wait()
		sub, pub := h.client(t, "sub", mqtt.V5), h.client(t, "pub", mqtt.V5)
		h.subscribe(sub, "t", mqtt.AtMostOnce)
		m := packet.Publish{Topic: []byte("t"), Payload: []byte("x"), Properties: new(packet.Properties)}
		raw := m.Append(m.Append(nil, mqtt.V5), mqtt.V5)
		h.sc.loop = new(loop)
		publish := func() {
			giveBuffer(sub.outbox.out)
			sub.outbox.out, sub.outbox.messages, sub.outbox.marked, sub.outbox.writing = nil, 0, nil, true
			if used, _, over, err := pub.batch(h.sc, raw); used != len(raw) || over || err != nil {
				t.Fatal(used, over, err)
			}
			clear(h.sc.dirty)
			h.sc.dirty = h.sc.dirty[:0]
		}
		publish()
		if n := testing.AllocsPerRun(1000, publish); n != 0 {
			t.Errorf("%v allocations a batch", n)
		}
		cancel()
		done.Wait()
		if events != 1 || sub.outbox.sent.messages != 2*1002 {
			t.Errorf("%d events, %d messages", events, sub.outbox.sent.messages)
		}
	})
}

// journeys is a Sampler that follows what comes with a trace context that says so.
type journeys struct {
	mu  sync.Mutex
	all []string
}

func (j *journeys) Sample(parent []byte) bool { return strings.HasSuffix(string(parent), "-01") }

func (j *journeys) Tell(way *trace.Journey) {
	text := fmt.Sprintf("%s %s of %q with %s %s, QoS %d:", way.Topic, way.Refused, way.Client, way.Parent, way.State, way.QoS)
	for _, s := range way.Stops {
		text += fmt.Sprintf(" %s %v", s.Client, s.Fate)
		if s.At.Before(way.Routing) || way.Done.Before(s.At) {
			text += "?"
		}
	}
	if way.Routing.Before(way.Received) {
		text += " ?"
	}
	if way.More > 0 {
		text += fmt.Sprintf(" and %d", way.More)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, text)
}

func TestJourneys(t *testing.T) {
	h := newRig(t)
	all := new(journeys)
	h.b.Sample(all)
	pub, sub := h.client(t, "pub", mqtt.V5), h.client(t, "sub", mqtt.V311)
	h.subscribe(sub, "#", mqtt.AtLeastOnce)
	pub.in.Init(link.Server, mqtt.V5, 0) // as CONNECT would have
	pub.in.Open(h.b.set.limits)
	users := packet.UserProperties(nil).Add("x", "y").Add("traceparent", "00-1-2-01").Add("tracestate", "s=1")
	m := packet.Publish{Topic: []byte("t"), Properties: &packet.Properties{Users: users}}
	quiet := packet.Publish{Topic: []byte("quiet"), Properties: new(packet.Properties)}
	raw := quiet.Append(nil, mqtt.V5)
	raw = m.Append(raw, mqtt.V5)
	m.Topic, m.QoS, m.ID = []byte("$no"), 1, 1
	raw = m.Append(raw, mqtt.V5)
	h.sc.loop = new(loop)
	if n, _, over, err := pub.batch(h.sc, raw); n != len(raw) || over || err != nil {
		t.Fatal(n, len(raw), over, err)
	}
	for i := range 40 {
		h.subscribe(h.client(t, fmt.Sprint(i), mqtt.V5), "u", mqtt.AtMostOnce)
	}
	err := h.b.Publish(mqtt.Message{Topic: "u", QoS: 1, Properties: mqtt.Properties{User: []mqtt.UserProperty{{Name: "traceparent", Value: "00-3-4-01"}}}})
	if err != nil {
		t.Fatal(err)
	}
	h.b.Sample(nil)
	if h.b.watches.Load() != nil {
		t.Error("somebody is still looking")
	}
	want := []string{
		`t  of "pub" with 00-1-2-01 s=1, QoS 0: sub sent`,
		`$no not authorized of "pub" with 00-1-2-01 s=1, QoS 1:`,
	}
	if len(all.all) != 3 || !slices.Equal(all.all[:2], want) || !strings.HasSuffix(all.all[2], " and 9") {
		t.Errorf("%q", all.all)
	}
	if got := sub.outbox.sent.messages; got != 3 {
		t.Errorf("%d messages arrived", got)
	}
}

// everyOther is a Sampler that chooses every second of all it is asked about.
type everyOther struct {
	journeys
	asked int
}

func (s *everyOther) Sample([]byte) bool { s.asked++; return s.asked%2 == 0 }

// A sampler is asked about each message of what came in one piece, one as long
// as the other.
func TestJourneysOfRun(t *testing.T) {
	for q := range mqtt.QoS(2) {
		h := newRig(t)
		s := new(everyOther)
		h.b.Sample(s)
		pub, sub := h.client(t, "pub", mqtt.V5), h.client(t, "sub", mqtt.V5)
		h.subscribe(sub, "t", q)
		var raw []byte
		for i := range 6 {
			m := packet.Publish{Topic: []byte("t"), QoS: q}
			if q > 0 {
				m.ID = mqtt.PacketID(i + 1)
			}
			raw = m.Append(raw, mqtt.V5)
		}
		h.sc.loop = new(loop) // writes after its turn, which is never
		if n, _, over, err := pub.batch(h.sc, raw); n != len(raw) || over || err != nil {
			t.Fatal(n, over, err)
		}
		if s.asked != 6 || len(s.all) != 3 || sub.outbox.sent.messages != 6 {
			t.Errorf("QoS %d: asked %d times, %d messages arrived: %q", q, s.asked, sub.outbox.sent.messages, s.all)
		}
		pub.drop()
		sub.drop()
	}
}
