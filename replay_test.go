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
