package midge_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// Clients that send CONNECT and go hold a hook up for ConnectTimeout at most:
// nobody reads while it runs, so nobody sees them go.
func TestAuthenticateHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in, out atomic.Int32
		w := newWorld(t, midge.Config{ConnectTimeout: 5 * time.Second, Hooks: midge.Hooks{
			Authenticate: func(ctx context.Context, _ *midge.Connect) error {
				in.Add(1)
				<-ctx.Done()
				out.Add(1)
				return ctx.Err()
			},
		}})
		for i := range 5 {
			p := w.dial()
			p.write((&packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: fmt.Append(nil, i)}).Append(nil))
			p.nc.Close()
		}
		<-time.After(5 * time.Second)
		synctest.Wait()
		if in.Load() != 5 || out.Load() != 5 {
			t.Errorf("%d hooks began, %d ended", in.Load(), out.Load())
		}
	})
}

// A client that is let in keeps no deadline of the handshake: a hook about a
// re-authentication or a message has the connection's context.
func TestContextOutlivesTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{ConnectTimeout: time.Second, Hooks: midge.Hooks{
			Publish: func(ctx context.Context, _ midge.ClientInfo, _ *mqtt.Message) error {
				<-time.After(time.Minute)
				return ctx.Err()
			},
		}})
		p := w.connect("p")
		go p.publish("t", "x", mqtt.AtLeastOnce)
		<-time.After(2 * time.Minute)
		var ack packet.Ack
		if ack.Decode(p.v, packet.PUBACK, p.want(packet.PUBACK)); ack.Code.Failed() {
			t.Errorf("PUBACK %v", ack.Code)
		}
	})
}
