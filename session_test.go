package midge_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A PUBREL that is sent again is a packet and no message.
func TestResentPubrelIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		keep := func(c *packet.Connect) { c.CleanStart, c.Properties.SessionExpiryInterval = false, 60 }
		p := w.connect("c", keep)
		p.subscribe("t", mqtt.ExactlyOnce)
		w.b.Publish(mqtt.Message{Topic: "t", QoS: mqtt.ExactlyOnce})
		m := p.wantPublish()
		p.write((&packet.Ack{Type: packet.PUBREC, ID: m.ID}).Append(nil, p.v))
		p.want(packet.PUBREL)
		p.nc.Close()
		synctest.Wait()
		p = w.connect("c", keep)
		p.want(packet.PUBREL)
		synctest.Wait()
		if st := w.b.Clients()[0]; st.PacketsOut != 2 || st.MessagesOut != 0 {
			t.Errorf("CONNACK and PUBREL were sent: %d packets, %d messages", st.PacketsOut, st.MessagesOut)
		}
	})
}

// A message that may not wait at all goes to those who can have it now,
// whatever its QoS, and to nobody later [MQTT-3.3.2-5, 5.0].
func TestExpiryOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		keep := func(c *packet.Connect) { c.CleanStart, c.Properties.SessionExpiryInterval = false, 60 }
		here, away := w.connect("here"), w.connect("away", keep)
		for _, p := range []*peer{here, away} {
			p.subscribe("t", mqtt.ExactlyOnce)
		}
		away.nc.Close()
		synctest.Wait()
		for q := range mqtt.ExactlyOnce + 1 {
			w.b.Publish(mqtt.Message{Topic: "t", QoS: q, Properties: mqtt.Properties{HasExpiry: true}})
			if m := here.wantPublish(); m.QoS != q || !m.Properties.Has(packet.PropMessageExpiryInterval) || m.Properties.MessageExpiryInterval != 0 {
				t.Errorf("got QoS %d, expiry %d", m.QoS, m.Properties.MessageExpiryInterval)
			}
		}
		<-time.After(time.Millisecond)
		away = w.connect("away", keep)
		away.write([]byte{0xC0, 0})
		away.want(packet.PINGRESP)
	})
}
