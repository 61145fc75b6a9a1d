package client_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A store that fails while the session moves to a new connection ends both,
// and every call that waits.
func TestStoreFailsBetweenConnections(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		st := &failing{}
		c, p := v.connected(client.Config{Store: st})
		one := later(func() error { _, err := c.Publish(ctx, message("a", "", 1)); return err })
		two := later(func() error { _, err := c.Publish(ctx, message("a", "", 2)); return err })
		p.wantPublish()
		p.wantPublish()
		st.fail.Store(true)
		p.nc.Close()
		p, _ = v.admit() // the session is lost, and the store has to hear of it
		p.wantEnd(mqtt.UnspecifiedError)
		for _, call := range []<-chan error{one, two} {
			if err := result(t, call); !errors.Is(err, client.ErrStore) {
				t.Error(err)
			}
		}
		synctest.Wait()
		if c.State() != client.Idle || !errors.Is(c.Err(), client.ErrStore) {
			t.Errorf("%v: %v", c.State(), c.Err())
		}
	})
}

// What a new connection does not take is not sent on it, though the one before
// took it [MQTT-3.2.2-11, 5.0] [MQTT-3.2.2-15, 5.0]: the server would hang up,
// for ever.
func TestResendWithinLimits(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{})
		large := later(func() error { _, err := c.Publish(ctx, message("a", string(make([]byte, 1000)), 1)); return err })
		p.wantPublish()
		exact := later(func() error { _, err := c.Publish(ctx, message("a", "exact", 2)); return err })
		p.wantPublish()
		small := later(func() error { _, err := c.Publish(ctx, message("a", "small", 1)); return err })
		p.wantPublish()
		p.nc.Close()
		p, _ = v.admit(present, func(k *packet.Connack) {
			k.Properties.MaximumPacketSize = 100
			k.Properties.MaximumQoS = 1
			k.Properties.Present = k.Properties.Present.With(packet.PropMaximumPacketSize).With(packet.PropMaximumQoS)
		})
		m := p.wantPublish()
		if string(m.Payload) != "small" || !m.Dup {
			t.Errorf("%q is sent again", m.Payload)
		}
		p.ack(packet.PUBACK, m.ID, 0)
		if err := result(t, large); !errors.Is(err, client.ErrTooLarge) {
			t.Error(err)
		}
		if err := result(t, exact); !errors.Is(err, client.ErrUnsupported) {
			t.Error(err)
		}
		if err := result(t, small); err != nil {
			t.Error(err)
		}
	})
}

// A message that waited in the store expires as one that waited in memory.
func TestExpiryOfStoredMessages(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		st := &client.MemoryStore{}
		first := v.newClient(client.Config{Store: st})
		m := message("a", "", 1)
		m.HasExpiry, m.MessageExpiry = true, 60
		if _, err := first.Enqueue(ctx, m); err != nil {
			t.Fatal(err)
		}
		first.Close()
		<-first.Done()
		second := v.newClient(client.Config{Store: st})
		if n := second.Stats().OutboxMessages; n != 1 {
			t.Fatalf("%d messages", n)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if n := second.Stats().OutboxMessages; n != 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}
