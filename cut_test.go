package midge_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A taker takes messages at QoS 2 as the standard has it, through broken
// connections, and counts them by topic.
type taker struct {
	held map[mqtt.PacketID]bool
	got  map[string]int
}

// take goes on for a moment, or until enough messages have come.
func (k *taker) take(p *peer, enough int) {
	for until := time.Now().Add(time.Second); ; {
		h, body, err := p.nextBy(until)
		if err != nil {
			return
		}
		switch h.Type {
		case packet.PUBLISH:
			var m packet.Publish
			m.Decode(p.v, h.Flags, body)
			if !k.held[m.ID] {
				k.held[m.ID] = true
				k.got[string(m.Topic)]++
			}
			p.ack(packet.PUBREC, m.ID)
		case packet.PUBREL:
			var a packet.Ack
			a.Decode(p.v, h.Type, body)
			delete(k.held, a.ID)
			p.ack(packet.PUBCOMP, a.ID)
			if enough--; enough == 0 {
				return
			}
		}
	}
}

// What a subscription was sent of the retained messages it is not sent again
// after a crash, wherever that cuts off what the store was told: at QoS 2 that
// would double them.
func TestRetainedOutlivesCrashOnce(t *testing.T) {
	const kept = 5
	for more := range 8 {
		synctest.Test(t, func(t *testing.T) {
			l := newLagging(time.Millisecond)
			w := newWorld(t, midge.Config{Store: l})
			for i := range kept {
				if err := w.b.Publish(mqtt.Message{Topic: fmt.Sprint("r/", i), Payload: []byte("x"), QoS: 2, Retain: true}); err != nil {
					t.Fatal(err)
				}
			}
			narrow := func(c *packet.Connect) { lasting(c); c.Properties.ReceiveMaximum = 1 }
			s := w.connect("s", narrow)
			s.subscribe("r/#", mqtt.ExactlyOnce)
			k := &taker{held: map[mqtt.PacketID]bool{}, got: map[string]int{}}
			k.take(s, 2)
			l.stopAfter(more)
			k.take(s, 0) // the third is on its way to the disk, or farther
			w, _ = w.restart(l, midge.Config{})
			s = w.connect("s", narrow)
			k.take(s, 0)
			k.take(s, 0)
			for i := range kept {
				if n := k.got[fmt.Sprint("r/", i)]; n != 1 {
					t.Errorf("with %d changes more, r/%d comes %d times", more, i, n)
				}
			}
			if len(k.got) != kept {
				t.Errorf("got %v", k.got)
			}
		})
	}
}

// What a member of a shared subscription leaves behind goes to another one, and
// to one alone, wherever a crash cuts that off.
func TestSharedOutlivesCrashOnce(t *testing.T) {
	const sent = 5
	for more := range 4 * sent {
		synctest.Test(t, func(t *testing.T) {
			l := newLagging(time.Millisecond)
			w := newWorld(t, midge.Config{Store: l})
			narrow := func(c *packet.Connect) { lasting(c); c.Properties.ReceiveMaximum = 1 }
			first := w.connect("first", narrow)
			first.subscribe("$share/g/t/#", mqtt.ExactlyOnce)
			for i := range sent {
				if err := w.b.Publish(mqtt.Message{Topic: fmt.Sprint("t/", i), Payload: []byte("x"), QoS: 2}); err != nil {
					t.Fatal(err)
				}
			}
			second := w.connect("second", lasting)
			second.subscribe("$share/g/t/#", mqtt.ExactlyOnce)
			<-time.After(time.Second)
			l.stopAfter(more)
			first.nc.Close() // the first of them is in flight to it
			<-time.After(time.Second)
			w, _ = w.restart(l, midge.Config{})
			k := &taker{got: map[string]int{}}
			for _, id := range []string{"first", "second"} {
				k.held = map[mqtt.PacketID]bool{}
				k.take(w.connect(id, lasting), 0)
			}
			for i := range sent {
				if n := k.got[fmt.Sprint("t/", i)]; n != 1 {
					t.Errorf("with %d changes more, t/%d comes %d times", more, i, n)
				}
			}
		})
	}
}

// A topic that is cleared stays clear, also for who clears it once more while
// the first time is not durable yet.
func TestClearedTwiceStaysCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLagging(time.Second)
		w := newWorld(t, midge.Config{Store: l})
		a, b := w.connect("a"), w.connect("b")
		a.publishRetained("r", "x")
		a.want(packet.PUBACK)
		a.publishRetained("r", "")
		synctest.Wait()
		b.publishRetained("r", "")
		b.want(packet.PUBACK)
		w, _ = w.restart(l, midge.Config{})
		s := w.connect("s")
		s.subscribe("r", 0)
		s.write(packet.AppendPingreq(nil))
		s.want(packet.PINGRESP)
	})
}
