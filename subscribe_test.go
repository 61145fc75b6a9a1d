package midge_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/store/memory"
)

// unsubscribe sends UNSUBSCRIBE and returns the codes of its UNSUBACK.
func (p *peer) unsubscribe(id mqtt.PacketID, filter string) []byte {
	p.t.Helper()
	u := packet.Unsubscribe{ID: id, Filters: packet.TopicFilters(nil).Add(filter)}
	p.write(u.Append(nil, p.v))
	var k packet.Suback
	if err := k.Decode(p.v, packet.UNSUBACK, p.want(packet.UNSUBACK)); err != nil {
		p.t.Fatal(err)
	}
	return bytes.Clone(k.Codes)
}

// An UNSUBSCRIBE that is refused, since its identifier belongs to a QoS 2
// exchange, changes nothing: the subscription stands, and can be ended.
func TestUnsubscribeUnderAHeldIdentifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		p := w.connect("p")
		p.subscribe("t", mqtt.AtMostOnce)
		m := packet.Publish{Topic: []byte("x"), QoS: mqtt.ExactlyOnce, ID: 77}
		p.write(m.Append(nil, p.v))
		p.want(packet.PUBREC)
		if got := p.unsubscribe(77, "t"); got[0] != byte(mqtt.PacketIdentifierInUse) {
			t.Errorf("UNSUBACK % x under an identifier in use", got)
		}
		w.b.Publish(mqtt.Message{Topic: "t", Payload: []byte("still subscribed")})
		p.wantPublish()
		p.write((&packet.Ack{Type: packet.PUBREL, ID: 77}).Append(nil, p.v))
		p.want(packet.PUBCOMP)
		if got := p.unsubscribe(78, "t"); got[0] != byte(mqtt.Success) {
			t.Errorf("UNSUBACK % x, the subscription is not found", got)
		}
		w.b.Publish(mqtt.Message{Topic: "t", Payload: []byte("not any more")})
		p.write([]byte{0xC0, 0})
		p.want(packet.PINGRESP)
	})
}

// Before 5.0 UNSUBACK cannot say that the identifier is in use: what it says is
// true, the subscription is gone [MQTT-3.10.4-2, 3.1.1].
func TestUnsubscribeUnderAHeldIdentifier311(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		p := w.connect("p", func(c *packet.Connect) { c.Version = mqtt.V311 })
		p.subscribe("t", mqtt.AtMostOnce)
		p.write((&packet.Publish{Topic: []byte("x"), QoS: mqtt.ExactlyOnce, ID: 77}).Append(nil, p.v))
		p.want(packet.PUBREC)
		p.unsubscribe(77, "t")
		w.b.Publish(mqtt.Message{Topic: "t"})
		p.write([]byte{0xC0, 0})
		p.want(packet.PINGRESP)
	})
}

// What one SUBSCRIBE makes the broker remember to send, where the session is
// stored, has a bound, however many filters it has.
func TestOwedRetainedHaveABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const levels, kept = 8, 20
		w := newWorld(t, midge.Config{MaxQueuedMessages: 10, SysInterval: -1, Store: memory.New()})
		for i := range kept {
			w.b.Publish(mqtt.Message{Topic: fmt.Sprint(strings.Repeat("a/", levels), i), Payload: []byte("x"), Retain: true})
		}
		p := w.connect("p", lasting)
		s := packet.Subscribe{ID: 9}
		for i := range 1 << levels { // every one of them matches every topic
			f := ""
			for k := range levels {
				f += []string{"a/", "+/"}[i>>k&1]
			}
			s.Filters = s.Filters.Add(packet.Subscription{Filter: []byte(f + "+")})
		}
		p.write(s.Append(nil, p.v))
		var k packet.Suback
		if err := k.Decode(p.v, packet.SUBACK, p.want(packet.SUBACK)); err != nil {
			t.Fatal(err)
		}
		granted := bytes.IndexByte(k.Codes, byte(mqtt.QuotaExceeded))
		if most := (4*kept + 10 + kept) / kept; granted < 1 || granted > most {
			t.Errorf("%d filters were granted, %d messages are owed for each", granted, kept)
		}
		p.write([]byte{0xC0, 0})
		got := 0
		for {
			h, _, err := p.next()
			if err != nil {
				t.Fatal(err)
			}
			if h.Type == packet.PINGRESP {
				break
			}
			got++
		}
		if got != granted*kept {
			t.Errorf("got %d messages for %d filters", got, granted)
		}
	})
}

// The budget of a wildcard filter of a client: the subscription, its place in
// the index and in the session.
func TestBytesPerSubscription(t *testing.T) {
	const clients, filters, budget = 10, 10_000, 290
	w := newWorldSized(t, midge.Config{SysInterval: -1}, 1<<20)
	var peers []*peer
	for i := range clients {
		peers = append(peers, w.connect(fmt.Sprint(i)))
	}
	before := midge.LiveHeap()
	for i, p := range peers {
		for from := 0; from < filters; from += 500 {
			s := packet.Subscribe{ID: 1}
			for f := from; f < from+500; f++ {
				s.Filters = s.Filters.Add(packet.Subscription{Filter: fmt.Appendf(nil, "bench/%d/%07d/+", i, f)})
			}
			p.write(s.Append(nil, p.v))
			p.want(packet.SUBACK)
		}
	}
	if each := (midge.LiveHeap() - before) / (clients * filters); each > budget {
		t.Errorf("a filter takes %d bytes, the budget is %d", each, budget)
	}
	runtime.KeepAlive(w)
}
