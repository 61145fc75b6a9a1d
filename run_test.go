package midge_test

import (
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// 3.1 lets DUP stand at QoS 0. It is its publisher's, and to those who speak
// another version a malformed packet [MQTT-3.3.1-2] [MQTT-3.3.1-3].
func TestDupStaysWithItsPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		old := func(c *packet.Connect) { c.Version = mqtt.V31 }
		var subs []*peer
		for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
			p := w.connect(v.String(), func(c *packet.Connect) { c.Version = v })
			p.subscribe("t", 0)
			subs = append(subs, p)
		}
		m := packet.Publish{Topic: []byte("t"), Payload: []byte("x")}
		b := m.Append(nil, mqtt.V31)
		again := append([]byte(nil), b...)
		again[0] |= 0x08
		w.connect("pub", old).write(append(append(b, again...), b...))
		for _, p := range subs {
			for i := range 3 {
				if h, _, err := p.next(); err != nil || h.Type != packet.PUBLISH || h.Flags != 0 {
					t.Errorf("%v: message %d has flags %04b (%v)", p.v, i, h.Flags, err)
				}
			}
		}
	})
}
