package midge_test

import (
	"fmt"
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

// A packet that ends its connection is no part of the run it stands behind, nor
// is what repeats it: it was not authorized [MQTT-2.2.1-3, 5.0] [MQTT-3.3.4-7, 5.0].
func TestRefusedBehindARun(t *testing.T) {
	for _, c := range []struct {
		name  string
		v     mqtt.Version
		cfg   midge.Config
		first mqtt.PacketID
		code  mqtt.ReasonCode
	}{
		{"clash", mqtt.V5, midge.Config{}, 99, mqtt.UnspecifiedError},
		{"clash", mqtt.V311, midge.Config{}, 99, 0},
		{"excess", mqtt.V5, midge.Config{ReceiveMaximum: 1}, 100, mqtt.ReceiveMaximumExceeded},
	} {
		t.Run(fmt.Sprint(c.name, " ", c.v), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, c.cfg)
				pub := w.connect("pub", func(k *packet.Connect) { k.Version = c.v })
				pub.write((&packet.Publish{Topic: []byte("open"), QoS: 2, ID: 99}).Append(nil, c.v))
				pub.want(packet.PUBREC)
				var subs []*peer
				for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
					for _, filter := range []string{"open", "#"} {
						p := w.connect(v.String()+filter, func(k *packet.Connect) { k.Version = v })
						p.subscribe(filter, 0)
						subs = append(subs, p)
					}
				}
				b := (&packet.Publish{Topic: []byte("open"), Payload: []byte("fine")}).Append(nil, c.v)
				for i := range mqtt.PacketID(3) {
					forged := packet.Publish{Topic: []byte("$SYS/broker/version"), QoS: 1, ID: c.first + i, Retain: true, Payload: []byte("forged")}
					b = forged.Append(b, c.v)
				}
				pub.write(b)
				if c.v == mqtt.V5 {
					pub.wantEnd(c.code)
				} else {
					pub.wantClosed()
				}
				w.connect("other").publish("open", "last", 0)
				for _, p := range subs {
					for _, want := range []string{"fine", "last"} {
						if m := p.wantPublish(); string(m.Topic) != "open" || string(m.Payload) != want || m.QoS != 0 || m.Retain {
							t.Errorf("%v gets %q of %s at QoS %d, want %q", p.v, m.Payload, m.Topic, m.QoS, want)
						}
					}
				}
			})
		})
	}
}
