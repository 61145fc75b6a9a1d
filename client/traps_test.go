package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// The traps users of other clients fall into, one test each.

// in runs a test in fake time, with a scripted server.
func in(t *testing.T, f func(t *testing.T, v *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newServer(t)) })
}

func TestTrapWaitingInAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		var c *client.Client
		done := make(chan error, 10)
		c = w.client(client.Config{Options: client.Options{MaxUnhandled: 1024, Handler: func(ctx context.Context, m client.Message) {
			if m.Topic != "start" {
				return
			}
			for q := range mqtt.QoS(3) {
				_, err := c.Publish(ctx, message("x", strings.Repeat("x", 600), q)) // comes back, and overfills the queue
				done <- err
			}
			_, err := c.Subscribe(ctx, client.Subscription{Filter: "y"})
			done <- err
			_, err = c.Unsubscribe(ctx, "y")
			done <- err
			c.Respond(ctx, "ask", 1, func(context.Context, client.Message) (mqtt.Message, error) {
				return mqtt.Message{}, errors.New("busy")
			})
			c.Reconnect()
			done <- c.Connect(ctx)
		}}})
		if _, err := c.Subscribe(ctx, client.Subscription{Filter: "start"}, client.Subscription{Filter: "x", QoS: 2}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Publish(ctx, message("start", "", 1)); err != nil {
			t.Fatal(err)
		}
		for range 6 {
			if err := result(t, done); err != nil {
				t.Error(err)
			}
		}
	})
}

// The same with the promise of Enqueue, made while the reader waits already.
func TestTrapWaitingForAPromise(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		var c *client.Client
		done := make(chan error, 1)
		c, p := v.connected(client.Config{Options: client.Options{MaxUnhandled: 1024, Handler: func(ctx context.Context, m client.Message) {
			if string(m.Payload) != "first" {
				return
			}
			<-time.After(s) // the reader has come to its wait
			promise, err := c.Enqueue(ctx, message("a", "", 1))
			if err == nil {
				<-promise.Done()
			}
			done <- err
		}}})
		p.publish("a", "first", 0, 0)
		for range 10 {
			p.publish("a", strings.Repeat("x", 500), 0, 0)
		}
		p.ack(packet.PUBACK, p.wantPublish().ID, 0)
		if err := result(t, done); err != nil {
			t.Error(err)
		}
	})
}

func TestTrapStopInAHandler(t *testing.T) {
	for name, stop := range map[string]func(*client.Client){
		"Close":      func(c *client.Client) { c.Close() },
		"Disconnect": func(c *client.Client) { c.Disconnect(client.Goodbye{}) },
		"Shutdown": func(c *client.Client) {
			short, cancel := context.WithTimeout(ctx, s)
			defer cancel()
			c.Shutdown(short) // waits for this handler, and gives up
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, v *server) {
				returned := make(chan error, 1)
				var c *client.Client
				c, p := v.connected(client.Config{Options: client.Options{Handler: func(context.Context, client.Message) {
					stop(c)
					returned <- nil
				}}})
				p.publish("a", "", 0, 0)
				p.wantEnd(mqtt.Success)
				result(t, returned)
				c.Close()
				<-c.Done()
			})
		})
	}
}

// [MQTT-3.1.2-20, 5.0] [MQTT-3.1.2-23, 3.1.1] [X5-3.1.2.10-a]
func TestTrapPingWhileHandlersAreSlow(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		block := make(chan struct{})
		c, p := v.connected(client.Config{Options: client.Options{KeepAlive: 10 * s, MaxUnhandled: 1024, Handler: func(ctx context.Context, _ client.Message) {
			select {
			case <-block:
			case <-ctx.Done():
			}
		}}})
		for range 20 {
			p.publish("a", strings.Repeat("x", 500), 0, 0) // far more than may wait
		}
		for range 5 {
			p.want(packet.PINGREQ)
			p.write(packet.AppendPingresp(nil))
		}
		close(block)
		synctest.Wait()
		// Any packet is a sign of life, not PINGRESP alone.
		for range 5 {
			p.want(packet.PINGREQ)
			p.publish("a", "alive", 0, 0)
		}
		if c.State() != client.Connected || c.Stats().Connects != 1 {
			t.Errorf("the client is %v after %d connections", c.State(), c.Stats().Connects)
		}
		// Then nothing more: that is the end, half a keep alive later.
		p.want(packet.PINGREQ)
		begun := time.Now()
		p.wantGone()
		if d := time.Since(begun); d > 5*s {
			t.Errorf("noticed after %v", d)
		}
	})
}

func TestTrapKeepAliveOff(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		_, p := v.connected(client.Config{Options: client.Options{KeepAlive: -1}})
		p.wantIdle(100 * time.Hour)
	})
}

// A result is nil for what was acknowledged and for nothing else.
// [MQTT-4.4.0-1, 3.1.1] [MQTT-4.4.0-1, 5.0] [MQTT-3.3.1-1, 3.1.1] [MQTT-3.3.1-1, 5.0]
func TestTrapResultAcrossReconnect(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{})
		one := later(func() error { _, err := c.Publish(ctx, message("a", "one", 1)); return err })
		m := p.wantPublish()
		two := later(func() error { _, err := c.Publish(ctx, message("a", "two", 2)); return err })
		n := p.wantPublish()
		p.nc.Close()
		wantPending(t, one)
		wantPending(t, two)

		p, connect := v.admit(present)
		if connect.CleanStart {
			t.Error("a reconnect asks for a clean start")
		}
		for _, old := range []packet.Publish{m, n} {
			again := p.wantPublish()
			if !again.Dup || again.ID != old.ID || string(again.Payload) != string(old.Payload) {
				t.Errorf("sent again: %+v, was %+v", again, old)
			}
		}
		wantPending(t, one)
		p.ack(packet.PUBACK, m.ID, 0)
		if err := result(t, one); err != nil {
			t.Error(err)
		}
		p.ack(packet.PUBREC, n.ID, 0)
		p.wantAck(packet.PUBREL)
		p.nc.Close()
		wantPending(t, two)
		p, _ = v.admit(present)
		if a := p.wantAck(packet.PUBREL); a.ID != n.ID {
			t.Errorf("PUBREL %d, want %d", a.ID, n.ID)
		}
		p.ack(packet.PUBCOMP, n.ID, 0)
		if err := result(t, two); err != nil {
			t.Error(err)
		}
		// And an end without acknowledgement is an error.
		three := later(func() error { _, err := c.Publish(ctx, message("a", "three", 1)); return err })
		p.wantPublish()
		c.Close()
		if err := result(t, three); !errors.Is(err, client.ErrClosed) {
			t.Errorf("a message that was never acknowledged ends with %v", err)
		}
	})
}

func TestTrapSubscriptionsGone(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{})
		sub := later(func() error {
			_, err := c.Subscribe(ctx, client.Subscription{Filter: "a", QoS: 1}, client.Subscription{Filter: "no"}, client.Subscription{Filter: "b", QoS: 2})
			return err
		})
		q := p.wantSubscribe()
		p.suback(q.ID, 1, 0x87, 2)
		var refused *client.SubscribeError
		if err := result(t, sub); !errors.As(err, &refused) || !slices.Equal(refused.Filters, []string{"no"}) {
			t.Errorf("a refused filter is %v", err)
		}
		p.nc.Close()

		// The session is there: nothing to restore.
		p, _ = v.admit(present)
		p.wantIdle(10 * s)
		p.nc.Close()

		// It is not: all is asked for again, in order, less what was refused.
		p, _ = v.admit()
		q = p.wantSubscribe()
		var again []string
		for f := range q.Filters.All() {
			again = append(again, fmt.Sprintf("%s %d", f.Filter, f.QoS))
		}
		if !slices.Equal(again, []string{"a 1", "b 2"}) {
			t.Errorf("restored %q", again)
		}
		events := c.Events(ctx)
		p.suback(q.ID, 1, 0x80)
		for e := range events {
			if e, ok := e.(client.SubscribedEvent); ok && e.Code.Failed() {
				if e.Filter != "b" || !e.Restored {
					t.Errorf("told of %+v", e)
				}
				break
			}
		}
		// A SUBSCRIBE waits across a drop.
		sub = later(func() error { _, err := c.Subscribe(ctx, client.Subscription{Filter: "c"}); return err })
		p.wantSubscribe()
		p.nc.Close()
		p, _ = v.admit(present)
		q = p.wantSubscribe()
		p.suback(q.ID, 0)
		if err := result(t, sub); err != nil {
			t.Error(err)
		}
	})
}

func TestTrapMessageBeforeHandler(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		var early, rest inbox
		c := v.newClient(client.Config{Options: client.Options{ClientID: "me", SessionExpiry: time.Hour, Handler: rest.take}})
		if err := c.Handle("a/#", early.take); err != nil {
			t.Fatal(err)
		}
		c.Start()
		p := v.accept()
		p.wantConnect()
		// Behind CONNACK in the same write: what a session had stored.
		k := packet.Connack{SessionPresent: true}
		m := packet.Publish{Topic: []byte("a/b"), Payload: []byte("stored"), QoS: 1, ID: 7}
		n := packet.Publish{Topic: []byte("other"), Payload: []byte("nobody's"), QoS: 1, ID: 8}
		p.write(n.Append(m.Append(k.Append(nil, p.v), p.v), p.v))
		for id := mqtt.PacketID(7); id <= 8; id++ {
			if a := p.wantAck(packet.PUBACK); a.ID != id {
				t.Errorf("PUBACK %d, want %d", a.ID, id)
			}
		}
		if got := early.texts(); !slices.Equal(got, []string{"stored"}) {
			t.Errorf("the handler got %q", got)
		}
		if got := rest.texts(); !slices.Equal(got, []string{"nobody's"}) {
			t.Errorf("the handler of the rest got %q", got)
		}
	})
}

// [MQTT-4.6.0-1, 3.1.1] [MQTT-4.6.0-1, 5.0] [MQTT-4.6.0-2, 3.1.1] [MQTT-4.6.0-2, 5.0]
// [MQTT-4.6.0-3, 3.1.1] [MQTT-4.6.0-3, 5.0] [MQTT-4.6.0-4, 3.1.1] [MQTT-4.6.0-4, 5.0]
func TestTrapOrder(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(version.String(), func(t *testing.T) {
			in(t, func(t *testing.T, v *server) {
				var got inbox
				c, p := v.connected(client.Config{Options: client.Options{
					Version: version, ClientID: "me", SessionExpiry: time.Hour, MaxInflight: 3, Concurrency: 4, Handler: got.take,
				}})
				for i := range 6 {
					if _, err := c.Enqueue(ctx, message("a", fmt.Sprint(i), mqtt.QoS(1+i%2))); err != nil {
						t.Fatal(err)
					}
				}
				var sent []packet.Publish
				for range 3 {
					sent = append(sent, p.wantPublish())
				}
				p.nc.Close()
				p, _ = v.admit(present)
				for _, m := range sent {
					if again := p.wantPublish(); again.ID != m.ID {
						t.Errorf("sent again %d, want %d", again.ID, m.ID)
					}
				}
				p.ack(packet.PUBACK, sent[0].ID, 0)
				if m := p.wantPublish(); string(m.Payload) != "3" {
					t.Errorf("then %q", m.Payload)
				} else {
					p.ack(packet.PUBREC, m.ID, 0)
					p.ack(packet.PUBREC, sent[1].ID, 0)
					for _, id := range []mqtt.PacketID{m.ID, sent[1].ID} {
						if a := p.wantAck(packet.PUBREL); a.ID != id {
							t.Errorf("PUBREL %d, want %d: the order of the PUBRECs", a.ID, id)
						}
					}
				}
				for i := range 20 {
					p.publish("in", fmt.Sprint(i), mqtt.QoS(1+i%2), mqtt.PacketID(100+i))
				}
				for i := range 20 {
					want := packet.PUBACK
					if i%2 == 1 {
						want = packet.PUBREC
					}
					if a := p.wantAck(want); a.ID != mqtt.PacketID(100+i) {
						t.Errorf("%v %d, want %d", want, a.ID, 100+i)
					}
				}
				for i, text := range got.texts() {
					if text != fmt.Sprint(i) {
						t.Errorf("handled %q as number %d", text, i)
					}
				}
			})
		})
	}
}

// Acknowledgements by hand leave in the order of arrival, too.
func TestTrapOrderOfManualAcks(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		var got inbox
		_, p := v.connected(client.Config{Options: client.Options{ManualAck: true, Handler: got.take}})
		for id := mqtt.PacketID(1); id <= 3; id++ {
			p.publish("a", "", 1, id)
		}
		got.texts()
		got.all[2].Ack()
		got.all[1].Ack()
		p.wantIdle(s)
		got.all[0].Refuse(mqtt.NotAuthorized)
		for id := mqtt.PacketID(1); id <= 3; id++ {
			if a := p.wantAck(packet.PUBACK); a.ID != id || a.Code.Failed() != (id == 1) {
				t.Errorf("PUBACK %d %v", a.ID, a.Code)
			}
		}
	})
}

func TestTrapCloseTwice(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		never := v.newClient(client.Config{})
		for range 3 {
			never.Close()
		}
		<-never.Done()
		if err := never.Connect(ctx); !errors.Is(err, client.ErrClosed) {
			t.Errorf("Connect after Close: %v", err)
		}
		for _, call := range []func(*client.Client) error{
			func(c *client.Client) error { _, err := c.Publish(ctx, message("a", "", 0)); return err },
			func(c *client.Client) error { _, err := c.Publish(ctx, message("a", "", 1)); return err },
			func(c *client.Client) error { _, err := c.Enqueue(ctx, message("a", "", 1)); return err },
			func(c *client.Client) error { _, err := c.Subscribe(ctx, client.Subscription{Filter: "a"}); return err },
			func(c *client.Client) error { _, err := c.Unsubscribe(ctx, "a"); return err },
			func(c *client.Client) error { _, err := c.Request(ctx, message("a", "", 1)); return err },
		} {
			if err := call(never); !errors.Is(err, client.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
		// While everything is under way, from many sides.
		c, p := v.connected(client.Config{})
		var waiting []<-chan error
		for range 10 {
			waiting = append(waiting, later(func() error { _, err := c.Publish(ctx, message("a", "", 2)); return err }))
		}
		p.wantPublish()
		for range 3 {
			go c.Close()
		}
		<-c.Done()
		for _, ch := range waiting {
			if err := result(t, ch); !errors.Is(err, client.ErrClosed) {
				t.Error(err)
			}
		}
	})
}

// goleak looks, after every test of this package; here are the ways to end.
func TestTrapLeaks(t *testing.T) {
	ends := map[string]func(*client.Client, *peer){
		"the server closes":   func(_ *client.Client, p *peer) { p.nc.Close() },
		"nonsense":            func(_ *client.Client, p *peer) { p.write([]byte{0xF7, 0xFF, 0xFF}) },
		"DISCONNECT":          func(_ *client.Client, p *peer) { p.write([]byte{0xE0, 1, 0x8B}) },
		"the program":         func(c *client.Client, _ *peer) { c.Close() },
		"a stop and a start":  func(c *client.Client, _ *peer) { c.Disconnect(client.Goodbye{}); c.Start() },
		"half a packet":       func(_ *client.Client, p *peer) { p.write([]byte{0x30, 100, 0}); p.nc.Close() },
		"a pause in progress": func(c *client.Client, p *peer) { p.nc.Close(); synctest.Wait(); c.Close() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, v *server) {
				c, p := v.connected(client.Config{})
				end(c, p)
				synctest.Wait()
				c.Close()
				select {
				case <-c.Done():
				case <-time.After(time.Minute):
					t.Error("Done is never closed")
				}
			})
		})
	}
}

func TestTrapStateIsExplicit(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		var states []client.State
		c := v.newClient(client.Config{Backoff: client.Backoff{Min: 10 * s, Jitter: -1}, OnEvent: func(e client.Event) {
			if e, ok := e.(client.StateEvent); ok && (len(states) == 0 || states[len(states)-1] != e.State) {
				states = append(states, e.State)
			}
		}})
		if c.State() != client.Idle {
			t.Error(c.State())
		}
		c.Start()
		p := v.accept()
		synctest.Wait()
		if c.State() != client.Connecting {
			t.Error(c.State())
		}
		p.wantConnect()
		p.connack()
		synctest.Wait()
		if c.State() != client.Connected || c.Err() != nil {
			t.Error(c.State(), c.Err())
		}
		p.nc.Close()
		synctest.Wait()
		if c.State() != client.Pausing || c.Err() == nil {
			t.Error(c.State(), c.Err())
		}
		v.admit()
		synctest.Wait()
		c.Disconnect(client.Goodbye{})
		synctest.Wait()
		time.AfterFunc(5*s, func() { c.Close() })
		<-c.Done()
		want := []client.State{client.Connecting, client.Connected, client.Pausing, client.Connecting, client.Connected, client.Idle, client.Closed}
		if !slices.Equal(states, want) {
			t.Errorf("states %v, want %v", states, want)
		}
	})
}

func TestTrapContextEverywhere(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c := v.newClient(client.Config{Options: client.Options{MaxQueuedMessages: 1}})
		for name, call := range map[string]func(context.Context) error{
			"Connect": c.Connect,
			"Publish": func(ctx context.Context) error { _, err := c.Publish(ctx, message("a", "", 1)); return err },
			"Subscribe": func(ctx context.Context) error {
				_, err := c.Subscribe(ctx, client.Subscription{Filter: "a"})
				return err
			},
			"Unsubscribe": func(ctx context.Context) error { _, err := c.Unsubscribe(ctx, "a"); return err },
			"Request":     func(ctx context.Context) error { _, err := c.Request(ctx, message("a", "", 1)); return err },
			"Shutdown": func(ctx context.Context) error {
				c.Enqueue(context.Background(), message("a", "", 1))
				return c.Shutdown(ctx)
			},
		} {
			if name == "Shutdown" {
				continue // the last, below
			}
			short, cancel := context.WithTimeout(ctx, 3*s)
			begun := time.Now()
			err := call(short)
			if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took != 3*s {
				t.Errorf("%s: %v after %v", name, err, took)
			}
			cancel()
		}
		if n := c.Stats().OutboxMessages; n != 0 {
			t.Errorf("a Publish given up leaves %d messages behind", n)
		}
		c.Enqueue(ctx, message("a", "", 1))
		short, cancel := context.WithTimeout(ctx, 3*s)
		defer cancel()
		if err := c.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		full, cancel := context.WithTimeout(ctx, 3*s)
		defer cancel()
		if _, err := client.Dial(full, "mqtt://server", client.Options{Dial: v.dial}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial: %v", err)
		}
	})
}

func TestTrapFirstConnectIsRetried(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		var tries atomic.Int32
		begun := time.Now()
		c, err := client.New(client.Config{
			Backoff: client.Backoff{Min: s, Max: 8 * s, Jitter: -1},
			Options: client.Options{Dial: func(ctx context.Context, u *url.URL) (net.Conn, error) {
				if tries.Add(1) <= 4 {
					return nil, errors.New("no network yet")
				}
				return v.dial(ctx, u)
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { c.Close(); <-c.Done() }()
		up := later(func() error { return c.Connect(ctx) })
		p, _ := v.admit()
		if err := result(t, up); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begun); d != 15*s {
			t.Errorf("connected after %v, want 1+2+4+8 s", d)
		}
		// Dropped right behind CONNACK, again and again: the pause stays.
		for range 3 {
			begun = time.Now()
			p.nc.Close()
			p, _ = v.admit()
			if d := time.Since(begun); d != 8*s {
				t.Errorf("back after %v, want 8s: the connection was not stable", d)
			}
		}
		// One that lasts longer than the pause before it is.
		p.wantIdle(9 * s)
		begun = time.Now()
		p.nc.Close()
		v.admit()
		if d := time.Since(begun); d != s {
			t.Errorf("back after %v, want 1s", d)
		}
	})
}

func TestTrapTakeoverPingPong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		one := w.client(client.Config{Options: client.Options{ClientID: "same"}})
		two := w.client(client.Config{Options: client.Options{ClientID: "same"}})
		var ended *client.DisconnectError
		synctest.Wait()
		if one.State() != client.Idle || !errors.As(one.Err(), &ended) || ended.Code != mqtt.SessionTakenOver {
			t.Errorf("the one taken over is %v: %v", one.State(), one.Err())
		}
		if two.State() != client.Connected || two.Stats().Connects != 1 {
			t.Errorf("the other is %v after %d connections", two.State(), two.Stats().Connects)
		}
		if a, b := client.RandomID("midge"), client.RandomID("midge"); a == b || len(a) > 23 {
			t.Errorf("random identifiers %q, %q", a, b)
		}
	})
}

func TestTrapCredentials(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c := v.newClient(client.Config{
			Servers: []string{"mqtt://joe:p%40ss@server"},
			Backoff: client.Backoff{Jitter: -1},
			BeforeConnect: func(_ context.Context, a *client.Attempt) error {
				if a.Number > 1 {
					a.Options.Username, a.Options.Password = "token", fmt.Append(nil, "fresh-", a.Number)
					a.Options.User = []mqtt.UserProperty{{Name: "try", Value: fmt.Sprint(a.Number)}}
				}
				return nil
			},
		})
		c.Start()
		p := v.accept()
		connect := p.wantConnect()
		if string(connect.Username) != "joe" || string(connect.Password) != "p@ss" {
			t.Errorf("credentials of the URL: %q %q", connect.Username, connect.Password)
		}
		begun := time.Now()
		p.connack(refuse(mqtt.NotAuthorized))
		p = v.accept()
		if d := time.Since(begun); d != 5*time.Minute {
			t.Errorf("a refusal is followed by another attempt after %v", d)
		}
		connect = p.wantConnect()
		if string(connect.Username) != "token" || string(connect.Password) != "fresh-2" || connect.Properties.Users.Len() != 1 {
			t.Errorf("second attempt with %q %q", connect.Username, connect.Password)
		}
	})
}

func TestTrapJitter(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		pauses := map[time.Duration]bool{}
		c, err := client.New(client.Config{
			Options: client.Options{Dial: func(context.Context, *url.URL) (net.Conn, error) { return nil, errors.New("no") }},
			Backoff: client.Backoff{Min: 10 * s, Max: 10 * s},
			Retry: func(err error, pause time.Duration) (time.Duration, error) {
				pauses[pause] = true
				if pause < 5*s || pause > 10*s {
					t.Errorf("pause of %v, want 5s to 10s", pause)
				}
				if len(pauses) == 20 {
					return 0, err
				}
				return pause, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Connect(ctx); err == nil {
			t.Error("connected")
		}
		if len(pauses) != 20 {
			t.Errorf("%d different pauses", len(pauses))
		}
		c.Close()
		<-c.Done()
	})
}

func TestTrapStoreFaults(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		path := filepath.Join(t.TempDir(), "store")
		open := func() *client.FileStore {
			st, err := client.OpenFile(path, client.FileOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return st
		}
		cfg := client.Config{Options: client.Options{ClientID: "me", SessionExpiry: time.Hour}, Store: open()}
		c := v.newClient(cfg)
		for i := range 10 {
			c.Enqueue(ctx, message("a", fmt.Sprint(i), 1))
		}
		c.Close()
		<-c.Done()
		// The last write was torn, and nonsense follows.
		b, _ := os.ReadFile(path)
		os.WriteFile(path, append(b[:len(b)-3], 0xFF, 0x00), 0o600)
		st := open()
		if st.Damaged() == 0 {
			t.Error("damage goes unnoticed")
		}
		cfg.Store = st
		c = v.newClient(cfg)
		c.Start()
		p, _ := v.admit()
		for i := range 9 {
			m := p.wantPublish()
			if string(m.Payload) != fmt.Sprint(i) {
				t.Errorf("%q as number %d", m.Payload, i)
			}
			p.ack(packet.PUBACK, m.ID, 0)
		}
		p.wantIdle(s)
		c.Close()
		<-c.Done()
		// Nothing is left over once all is acknowledged.
		st = open()
		st.Load(func(key uint64, _ []byte) error { t.Errorf("record %x is left", key); return nil })
		st.Close()
	})
}

// A store that fails ends the client: its promises would not be kept.
func TestTrapStoreFails(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		st := &failing{}
		c, p := v.connected(client.Config{Store: st})
		one := later(func() error { _, err := c.Publish(ctx, message("a", "", 1)); return err })
		m := p.wantPublish()
		st.fail.Store(true)
		if _, err := c.Publish(ctx, message("a", "", 1)); !errors.Is(err, client.ErrStore) {
			t.Errorf("a message that could not be stored: %v", err)
		}
		p.ack(packet.PUBACK, m.ID, 0)
		p.wantEnd(mqtt.UnspecifiedError)
		if err := result(t, one); err != nil && !errors.Is(err, client.ErrStore) {
			t.Error(err)
		}
		synctest.Wait()
		if c.State() != client.Idle || !errors.Is(c.Err(), client.ErrStore) {
			t.Errorf("%v: %v", c.State(), c.Err())
		}
	})
}

type failing struct {
	client.MemoryStore
	fail atomic.Bool
}

func (f *failing) Apply(ops []client.Op) error {
	if f.fail.Load() {
		return errors.New("disk full")
	}
	return f.MemoryStore.Apply(ops)
}
