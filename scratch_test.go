package midge

import (
	"strings"
	"testing"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A message that came under a topic alias and is too large for any packet with
// its topic spelled out goes to nobody, and harms nobody [MQTT-3.1.2-25, 5.0].
func TestTooLargeWithoutItsAlias(t *testing.T) {
	h := newRig(t)
	pub := h.client(t, "pub", mqtt.V5)
	for v := mqtt.V31; v <= mqtt.V5; v++ {
		sub := h.client(t, "sub"+v.String(), v)
		sub.outbox.w.SetPeer(mqtt.Unlimited())
		h.subscribe(sub, "#", mqtt.AtLeastOnce)
	}
	huge := packet.Publish{
		Topic:      []byte(strings.Repeat("x", 60_000)),
		Payload:    make([]byte, mqtt.MaxRemainingLength-100),
		Properties: new(packet.Properties),
	}
	for q := range mqtt.ExactlyOnce {
		huge.QoS, huge.ID = q, mqtt.PacketID(q)
		if err := pub.publish(h.sc, &huge); err != nil {
			t.Fatal(err)
		}
	}
	if err := pub.publish(h.sc, &packet.Publish{Topic: []byte("t"), Properties: new(packet.Properties)}); err != nil {
		t.Fatal(err)
	}
	for s := range h.b.sessions.all() {
		if c := s.conn.Load(); c != pub && (c.outbox.sent.messages != 1 || s.inflightLocked() != 0) {
			t.Errorf("%s was sent %d messages", s.id, c.outbox.sent.messages)
		}
	}
}
