package client_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// [MQTT-3.8.3-4, 3.1.1] What came with 5.0 would be malformed before.
func TestSubscribeOptionsOfOld(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{Options: client.Options{Version: mqtt.V311}})
		sub := later(func() error {
			_, err := c.Subscribe(ctx, client.Subscription{
				Filter: "a", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: client.NoRetained,
			})
			return err
		})
		q := p.wantSubscribe()
		for f := range q.Filters.All() {
			if f.NoLocal || f.RetainAsPublished || f.RetainHandling != 0 {
				t.Errorf("%+v", f)
			}
		}
		p.suback(q.ID, 1)
		if err := result(t, sub); err != nil {
			t.Error(err)
		}
	})
}

// [MQTT-3.8.3-4, 5.0]
func TestSubscribeOptions(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{})
		user := []mqtt.UserProperty{{Name: "k", Value: "v"}}
		sub := later(func() error {
			_, err := c.Subscribe(ctx, client.Subscription{
				Filter: "a", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: client.NoRetained, ID: 77, User: user,
			})
			return err
		})
		q := p.wantSubscribe()
		for f := range q.Filters.All() {
			if string(f.Filter) != "a" || f.QoS != 1 || !f.NoLocal || !f.RetainAsPublished || f.RetainHandling != 2 {
				t.Errorf("%+v", f)
			}
		}
		if q.Properties.SubscriptionIdentifier != 77 || q.Properties.Users.Len() != 1 {
			t.Errorf("%+v", q.Properties)
		}
		p.suback(q.ID, 1)
		if err := result(t, sub); err != nil {
			t.Error(err)
		}
		un := later(func() error { _, err := c.UnsubscribeWith(ctx, user, "a", "b"); return err })
		var u packet.Unsubscribe
		if err := u.Decode(p.v, p.want(packet.UNSUBSCRIBE)); err != nil || u.Properties.Users.Len() != 1 || u.Filters.Len() != 2 {
			t.Errorf("%+v, %v", u, err)
		}
		a := packet.Suback{Type: packet.UNSUBACK, ID: u.ID, Codes: []byte{0, 0x11}}
		p.write(a.Append(nil, p.v))
		if err := result(t, un); err != nil {
			t.Error(err)
		}
		for _, bad := range []client.Subscription{
			{Filter: ""},
			{Filter: "a#"},
			{Filter: "$share//a"},
			{Filter: "a", QoS: 3},
			{Filter: "a", RetainHandling: 3},
			{Filter: "$share/g/a", NoLocal: true},
			{Filter: "a", ID: mqtt.MaxSubscriptionID + 1},
			{Filter: "a", User: []mqtt.UserProperty{{Name: "\xFF"}}},
		} {
			if _, err := c.Subscribe(ctx, bad); err == nil {
				t.Errorf("%+v is accepted", bad)
			}
		}
		p.wantIdle(s)
	})
}

// Thousands of filters go in packets of a size, and come back after a loss.
func TestManySubscriptions(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{})
		const n = 1000
		var subs []client.Subscription
		for i := range n {
			subs = append(subs, client.Subscription{Filter: fmt.Sprintf("f/%d", i)})
		}
		sub := later(func() error { _, err := c.Subscribe(ctx, subs...); return err })
		serve := func() {
			for got := 0; got < n; {
				q := p.wantSubscribe()
				got += q.Filters.Len()
				p.suback(q.ID, make([]byte, q.Filters.Len())...)
			}
		}
		serve()
		if err := result(t, sub); err != nil {
			t.Error(err)
		}
		p.nc.Close()
		p, _ = v.admit()
		serve()
		p.wantIdle(s)
	})
}

// A SUBACK with the wrong number of codes is the server's fault.
func TestSubackCodes(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.dialed(client.Options{})
		sub := later(func() error { _, err := c.Subscribe(ctx, client.Subscription{Filter: "a"}); return err })
		p.suback(p.wantSubscribe().ID, 0, 0)
		p.wantEnd(mqtt.ProtocolError)
		if result(t, sub) == nil {
			t.Error("no error")
		}
	})
}

// Topics overlap by choice, and each stays in order.
func TestConcurrency(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		block := make(chan struct{})
		var got inbox
		_, p := v.connected(client.Config{Options: client.Options{Concurrency: 8, Handler: func(ctx context.Context, m client.Message) {
			if m.Topic == "slow" {
				select {
				case <-block:
				case <-ctx.Done():
				}
			}
			got.take(ctx, m)
		}}})
		p.publish("slow", "s1", 0, 0)
		p.publish("slow", "s2", 0, 0)
		for i := range 20 {
			p.publish(fmt.Sprint("t", i), "x", 0, 0)
		}
		passed := len(got.texts())
		if passed < 10 { // all but those that share the slow one's lane
			t.Errorf("%d of 20 get past a slow handler", passed)
		}
		close(block)
		if n := len(got.texts()); n != 22 {
			t.Errorf("%d of 22", n)
		}
		last := ""
		for _, m := range got.all {
			if m.Topic == "slow" {
				if string(m.Payload) < last {
					t.Error("out of order")
				}
				last = string(m.Payload)
			}
		}
		synctest.Wait()
	})
}

// More QoS 0 messages than there is room for, while a call waits for its
// answer: they are dropped, counted and told.
func TestDropped(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		block := make(chan struct{})
		dropped := 0
		c, p := v.connected(client.Config{
			Options: client.Options{MaxUnhandled: 2000, Handler: func(ctx context.Context, _ client.Message) {
				select {
				case <-block:
				case <-ctx.Done():
				}
			}},
			OnEvent: func(e client.Event) {
				if _, ok := e.(client.DroppedEvent); ok {
					dropped++
				}
			},
		})
		call := later(func() error { _, err := c.Publish(ctx, message("a", "", 1)); return err })
		id := p.wantPublish().ID
		for range 50 {
			p.publish("flood", "0123456789", 0, 0)
		}
		p.ack(packet.PUBACK, id, 0)
		if err := result(t, call); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := c.Stats().Dropped; n == 0 || int(n) != dropped || n > 45 {
			t.Errorf("%d dropped, told of %d", n, dropped)
		}
		close(block)
	})
}

// The answer to an older request says nothing about a newer one for the same
// filter.
func TestSubscribeTwiceAtOnce(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{})
		var box inbox
		one := later(func() error { _, err := c.Subscribe(ctx, client.Subscription{Filter: "a", QoS: 2}); return err })
		first := p.wantSubscribe()
		two := later(func() error {
			_, err := c.Subscribe(ctx, client.Subscription{Filter: "a", QoS: 1, Handler: box.take})
			return err
		})
		second := p.wantSubscribe()
		p.suback(first.ID, byte(mqtt.NotAuthorized))
		p.suback(second.ID, 1)
		if result(t, one) == nil {
			t.Error("the first was refused")
		}
		if err := result(t, two); err != nil {
			t.Error(err)
		}
		p.publish("a", "comes", 0, 0)
		if got := box.texts(); !slices.Equal(got, []string{"comes"}) {
			t.Errorf("%q", got)
		}
		p.nc.Close()
		p, _ = v.admit() // and is made again
		p.wantSubscribe()
	})
}
