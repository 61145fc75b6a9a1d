package midge_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// Messages that come in one piece arrive as if each had come by itself, at
// every kind of subscriber: in order, at the QoS granted, under an identifier
// of its own, never as a repeat [MQTT-3.3.1-3]; and each is acknowledged in
// turn [MQTT-4.6.0-2].
func TestAckedRun(t *testing.T) {
	kinds := []struct {
		name string
		q    mqtt.QoS
		with func(*packet.Connect)
		most int // bytes of payload that arrive
	}{
		{"5.0", 2, func(*packet.Connect) {}, 1 << 20},
		{"3.1.1", 2, func(c *packet.Connect) { c.Version = mqtt.V311 }, 1 << 20},
		{"at QoS 1", 1, func(*packet.Connect) {}, 1 << 20},
		{"at QoS 0", 0, func(*packet.Connect) {}, 1 << 20},
		{"aliases", 2, func(c *packet.Connect) { c.Properties.TopicAliasMaximum = 3 }, 1 << 20},
		{"three at a time", 2, func(c *packet.Connect) { c.Properties.ReceiveMaximum = 3 }, 1 << 20},
		{"small packets", 2, func(c *packet.Connect) { c.Properties.MaximumPacketSize = 64 }, 64 - 8},
	}
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for _, q := range []mqtt.QoS{1, 2} {
			for _, k := range kinds {
				t.Run(fmt.Sprint(v, " QoS ", q, " to ", k.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, midge.Config{})
						sub := w.connect("sub", k.with)
						sub.subscribe("t", k.q)
						pub := w.connect("pub", func(c *packet.Connect) { c.Version = v })
						var burst []byte
						var want []string
						for i := range 3*32 + 5 {
							p := packet.Publish{
								Topic: []byte("t"), QoS: q, ID: mqtt.PacketID(i + 7), Dup: i%10 == 3,
								Payload: fmt.Appendf(nil, "%0*d", 1+i%60, i),
							}
							if i > 50 { // of one length, and none a repeat
								p.Dup, p.Payload = false, fmt.Appendf(nil, "%020d", i)
							}
							burst = p.Append(burst, v)
							if len(p.Payload) <= k.most {
								want = append(want, string(p.Payload))
							}
						}
						pub.write(burst)
						sub.wantAll(want, min(q, k.q))
						for i := range 3*32 + 5 {
							body := pub.want(map[mqtt.QoS]packet.Type{1: packet.PUBACK, 2: packet.PUBREC}[q])
							if id := int(body[0])<<8 | int(body[1]); id != i+7 || len(body) != 2 {
								t.Fatalf("acknowledgement %d is % x", i, body)
							}
						}
					})
				})
			}
		}
	}
}

// wantAll takes messages and acknowledges them.
func (p *peer) wantAll(payloads []string, q mqtt.QoS) {
	p.t.Helper()
	open := map[mqtt.PacketID]bool{}
	for got := 0; got < len(payloads) || len(open) > 0; {
		h, body, err := p.next()
		if err != nil {
			p.t.Fatalf("after %d messages: %v", got, err)
		}
		switch h.Type {
		case packet.PUBREL:
			id := mqtt.PacketID(body[0])<<8 | mqtt.PacketID(body[1])
			delete(open, id)
			p.write((&packet.Ack{Type: packet.PUBCOMP, ID: id}).Append(nil, p.v))
			continue
		case packet.PUBLISH:
		default:
			p.t.Fatalf("got %v % x", h.Type, body)
		}
		var m packet.Publish
		if err := m.Decode(p.v, h.Flags, body); err != nil {
			p.t.Fatal(err)
		}
		if got == len(payloads) || string(m.Payload) != payloads[got] || m.QoS != q || m.Dup || m.Retain || open[m.ID] {
			p.t.Fatalf("message %d is %q at QoS %d, flags %x, identifier %d", got, m.Payload, m.QoS, h.Flags, m.ID)
		}
		got++
		switch q {
		case mqtt.AtLeastOnce:
			p.write((&packet.Ack{Type: packet.PUBACK, ID: m.ID}).Append(nil, p.v))
		case mqtt.ExactlyOnce:
			open[m.ID] = true
			p.write((&packet.Ack{Type: packet.PUBREC, ID: m.ID}).Append(nil, p.v))
		}
	}
}

// A client that is away gets what came in one piece when it comes back, and
// what it had not acknowledged again, with DUP [MQTT-3.3.1-1].
func TestAckedRunOutlivesAConnection(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, midge.Config{})
			stay := func(c *packet.Connect) {
				c.Version, c.CleanStart = v, false
				if v == mqtt.V5 {
					c.Properties.SessionExpiryInterval = 3600
				}
			}
			sub := w.connect("sub", stay)
			sub.subscribe("t", 1)
			pub := w.connect("pub", func(c *packet.Connect) { c.Version = v })
			burst := func(from int) (b []byte) {
				for i := range 20 {
					b = (&packet.Publish{Topic: []byte("t"), QoS: 1, ID: mqtt.PacketID(i + 1), Payload: fmt.Append(nil, from+i)}).Append(b, v)
				}
				return b
			}
			pub.write(burst(0))
			for range 20 {
				sub.wantPublish()
			}
			sub.nc.Close()
			synctest.Wait()
			pub.write(burst(20))
			synctest.Wait()
			sub = w.connect("sub", stay)
			for i := range 40 {
				if m := sub.wantPublish(); string(m.Payload) != fmt.Sprint(i) || m.Dup != (i < 20) {
					t.Fatalf("message %d is %q, DUP %v", i, m.Payload, m.Dup)
				}
			}
		})
	}
}

// In the middle of what came in one piece each packet is judged as if it had
// come by itself: what was right before it counts, nothing behind it does.
func TestAckedRunIsJudgedPacketByPacket(t *testing.T) {
	for name, c := range map[string]struct {
		held  mqtt.PacketID // QoS 2 identifier held before
		wrong mqtt.PacketID
		code  mqtt.ReasonCode
	}{
		"no identifier":                      {0, 0, mqtt.MalformedPacket},    // [MQTT-2.2.1-3, 5.0]
		"the identifier of a QoS 2 exchange": {99, 99, mqtt.UnspecifiedError}, // [MQTT-2.2.1-3, 5.0]
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, midge.Config{})
				sub := w.connect("sub")
				sub.subscribe("t", 1)
				pub := w.connect("pub")
				burst := func(q mqtt.QoS, ids ...mqtt.PacketID) (b []byte) {
					for _, id := range ids {
						b = (&packet.Publish{Topic: []byte("t"), QoS: q, ID: id, Payload: fmt.Appendf(nil, "%05d", id)}).Append(b, mqtt.V5)
					}
					return b
				}
				if c.held > 0 {
					pub.write(burst(mqtt.ExactlyOnce, c.held))
					pub.want(packet.PUBREC)
					sub.wantPublish()
				}
				pub.write(burst(mqtt.AtLeastOnce, 1, 2, 3, c.wrong, 5, 6))
				for i := range 3 {
					if m := sub.wantPublish(); string(m.Payload) != fmt.Sprintf("%05d", i+1) {
						t.Fatalf("message %d is %q", i+1, m.Payload)
					}
					pub.want(packet.PUBACK)
				}
				pub.wantEnd(c.code)
				pub = w.connect("pub")
				pub.publish("t", "last", 0)
				if m := sub.wantPublish(); string(m.Payload) != "last" {
					t.Fatalf("got %q, which came behind what was wrong", m.Payload)
				}
			})
		})
	}
}

// A QoS 2 message that comes twice in one piece is acknowledged twice and handed
// on once [MQTT-4.3.3-10, 5.0].
func TestAckedRunWithARepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		sub := w.connect("sub")
		sub.subscribe("t", 1)
		pub := w.connect("pub")
		var burst []byte
		ids := []mqtt.PacketID{1, 2, 3, 2, 5, 1}
		for _, id := range ids {
			burst = (&packet.Publish{Topic: []byte("t"), QoS: 2, ID: id, Payload: fmt.Append(nil, id)}).Append(burst, mqtt.V5)
		}
		pub.write(burst)
		for _, id := range ids {
			if b := pub.want(packet.PUBREC); len(b) != 2 || b[1] != byte(id) {
				t.Fatalf("PUBREC is % x, want %d", b, id)
			}
		}
		pub.publish("t", "last", 0)
		for _, want := range []string{"1", "2", "3", "5", "last"} {
			if m := sub.wantPublish(); string(m.Payload) != want {
				t.Fatalf("got %q, want %q", m.Payload, want)
			}
		}
	})
}
