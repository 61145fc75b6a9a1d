package midge_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
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

// Closed comes once for each connection that Accept let in, a session or none,
// and for no other. A refusal that is Said is not for the log a second time.
func TestClosedFramesWhatAcceptLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in, out atomic.Int32
		var log bytes.Buffer
		w := newWorld(t, midge.Config{
			ConnectTimeout: time.Second,
			Logger:         slog.New(slog.NewTextHandler(&log, nil)),
			Hooks: midge.Hooks{
				Accept: func(_ context.Context, r midge.Remote, _ int) error {
					if in.Add(1) > 2 {
						return &midge.Refusal{Code: mqtt.Banned, Said: true}
					}
					return nil
				},
				Closed: func(r midge.Remote) {
					if r.Addr == nil {
						t.Error("closed: no address")
					}
					out.Add(1)
				},
			},
		})
		w.connect("a").nc.Close()
		w.dial() // says nothing
		w.dial() // turned away
		<-time.After(time.Minute)
		if in.Load() != 3 || out.Load() != 2 {
			t.Errorf("%d came, %d were let in and closed; want 3 and 2", in.Load(), out.Load())
		}
		if strings.Contains(log.String(), "not admitted") {
			t.Errorf("said twice:\n%s", &log)
		}
	})
}
