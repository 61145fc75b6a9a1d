package client_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// Connect behind Disconnect connects anew, though the old connection is not
// through yet.
func TestConnectAfterDisconnect(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{})
		c.Disconnect(client.Goodbye{})
		again := later(func() error { return c.Connect(ctx) })
		p.wantEnd(mqtt.Success)
		wantPending(t, again)
		v.admit(present)
		if err := result(t, again); err != nil || c.State() != client.Connected {
			t.Errorf("%v, %v", c.State(), err)
		}
	})
}

// A Connect that Disconnect ends has not met a closed client.
func TestDisconnectEndsConnect(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c := v.newClient(client.Config{})
		call := later(func() error { return c.Connect(ctx) })
		p := v.accept()
		p.wantConnect()
		c.Disconnect(client.Goodbye{})
		if err := result(t, call); !errors.Is(err, client.ErrNotConnected) || errors.Is(err, client.ErrClosed) {
			t.Error(err)
		}
	})
}

// The caller's list of servers stays as it was.
func TestServersAreCopied(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		servers := []string{"mqtt://first:1883"}
		c := v.newClient(client.Config{Servers: servers, FollowReferences: true})
		c.Start()
		p := v.accept()
		p.wantConnect()
		p.connack(refuse(mqtt.ServerMoved), func(k *packet.Connack) { k.Properties.ServerReference = []byte("second:1883") })
		v.admit()
		synctest.Wait()
		if !slices.Equal(servers, []string{"mqtt://first:1883"}) {
			t.Errorf("%q", servers)
		}
	})
}

// What BeforeConnect changes is in force for its connection, not only said.
func TestAttemptOptionsAreInForce(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		hold := make(chan struct{})
		_, p := v.connected(client.Config{
			Options: client.Options{ReceiveMaximum: 1, Handler: func(context.Context, client.Message) { <-hold }},
			BeforeConnect: func(_ context.Context, a *client.Attempt) error {
				a.Options.ReceiveMaximum, a.Options.NoProblemInfo = 3, true
				return nil
			},
		})
		defer close(hold)
		for id := range mqtt.PacketID(3) {
			p.publish("a", "", 1, id+1)
		}
		p.wantIdle(s) // three at a time are what was announced
		p.publish("a", "", 1, 9)
		p.wantEnd(mqtt.ReceiveMaximumExceeded)
	})
}
