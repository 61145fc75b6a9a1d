package client_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// [MQTT-3.14.4-1, 3.1.1] [MQTT-3.14.4-1, 5.0] A handler that says DISCONNECT
// and returns acknowledges nothing behind it.
func TestNoAckFollowsDisconnect(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		in(t, func(t *testing.T, v *server) {
			var c *client.Conn
			returned := make(chan struct{})
			c, p := v.dialed(client.Options{Version: version, Concurrency: 2, Handler: func(_ context.Context, m client.Message) {
				<-returned
			}})
			// A write that waits for us keeps what follows in one buffer.
			c.Publish(ctx, message("a", string(make([]byte, 100_000)), 0))
			p.publish("a", "", 1, 1)
			synctest.Wait()
			c.Close()
			close(returned)
			synctest.Wait()
			p.wantPublish()
			p.want(packet.DISCONNECT)
			p.wantGone()
		})
	}
}

// A QoS 2 message whose handler was at work when the client was closed is
// not handled again by the next program on the same store.
func TestClosedWhileHandling(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		st := &client.MemoryStore{}
		o := client.Options{ClientID: "me", SessionExpiry: client.Forever}
		entered, leave := make(chan struct{}), make(chan struct{})
		o.Handler = func(context.Context, client.Message) { close(entered); <-leave }
		first, p := v.connected(client.Config{Store: st, Options: o})
		p.publish("a", "once", 2, 7)
		<-entered
		first.Close()
		p.wantEnd(mqtt.Success)
		close(leave)
		<-first.Done()

		var box inbox
		o.Handler = box.take
		_, p = v.connected(client.Config{Store: st, Options: o}, present)
		p.publish("a", "once", 2, 7, func(m *packet.Publish) { m.Dup = true })
		if a := p.wantAck(packet.PUBREC); a.ID != 7 || a.Code != 0 {
			t.Errorf("%+v", a)
		}
		if got := box.texts(); len(got) > 0 {
			t.Errorf("handled again: %q", got)
		}
	})
}

// A QoS 2 message refused while the connection was away is refused when the
// server sends it again, and not taken for accepted.
func TestRefusedWhileAway(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		away := make(chan struct{})
		_, p := v.connected(client.Config{Options: client.Options{
			ManualAck: true, Handler: func(_ context.Context, m client.Message) {
				<-away
				m.Refuse(mqtt.NotAuthorized)
			},
		}})
		p.publish("a", "no", 2, 7)
		synctest.Wait()
		p.nc.Close()
		synctest.Wait()
		close(away)
		p, _ = v.admit(present)
		p.publish("a", "no", 2, 7, func(m *packet.Publish) { m.Dup = true })
		if a := p.wantAck(packet.PUBREC); a.Code != mqtt.NotAuthorized {
			t.Errorf("%+v", a)
		}
	})
}

// A server that kept the session of an earlier program names the identifiers
// that program chose, which mean something else in this one.
func TestRoutesOfAnEarlierProgram(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{Options: client.Options{ClientID: "me", SessionExpiry: client.Forever}}, present)
		var a, b inbox
		asked := later(func() error {
			_, err := c.Subscribe(ctx, client.Subscription{Filter: "b", Handler: b.take}, client.Subscription{Filter: "a", Handler: a.take})
			return err
		})
		first, second := p.wantSubscribe(), p.wantSubscribe()
		old := func(id uint32) func(*packet.Publish) {
			return func(m *packet.Publish) {
				m.Properties.SubscriptionIdentifier = id
			}
		}
		p.publish("a", "of a", 0, 0, old(first.Properties.SubscriptionIdentifier))
		p.publish("b", "of b", 0, 0, old(second.Properties.SubscriptionIdentifier))
		p.publish("b", "unknown", 0, 0, old(99))
		p.suback(first.ID, 0)
		p.suback(second.ID, 0)
		if err := result(t, asked); err != nil {
			t.Fatal(err)
		}
		if got := a.texts(); !slices.Equal(got, []string{"of a"}) {
			t.Errorf("a's handler got %q", got)
		}
		if got := b.texts(); !slices.Equal(got, []string{"of b", "unknown"}) {
			t.Errorf("b's handler got %q", got)
		}
	})
}

// The first part of a message is not all of it, and the last may never come.
func TestPartsAreNotAcknowledged(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		var errs []error
		_, p := v.connected(client.Config{Options: client.Options{ManualAck: true, StreamAbove: 1000, Handler: func(_ context.Context, m client.Message) {
			errs = append(errs, m.Ack())
		}}})
		whole := packet.Publish{Topic: []byte("a"), Payload: make([]byte, 200_000), QoS: 1, ID: 7, Properties: new(packet.Properties)}
		b := whole.Append(nil, mqtt.V5)
		p.write(b[:150_000])
		p.wantIdle(s)
		p.write(b[150_000:])
		if a := p.wantAck(packet.PUBACK); a.ID != 7 {
			t.Errorf("%+v", a)
		}
		synctest.Wait()
		for i, err := range errs {
			if last := i == len(errs)-1; (err == nil) != last {
				t.Errorf("part %d of %d: %v", i, len(errs), err)
			}
		}
		if len(errs) < 2 {
			t.Errorf("%d parts", len(errs))
		}
	})
}
