package midge_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// Clients that race for one identifier get one CONNACK each, and nothing
// behind DISCONNECT [MQTT-3.2.0-2, 5.0] [MQTT-3.1.4-3, 5.0].
func TestTakeOverStorm(t *testing.T) {
	w := newWorld(t, midge.Config{SysInterval: -1})
	hello := (&packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("same")}).Append(nil)
	const racers, rounds = 8, 200
	var wg sync.WaitGroup
	for range racers {
		wg.Go(func() {
			for range rounds {
				nc, err := w.ln.Dial(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				p := &peer{t: t, nc: nc, v: mqtt.V5}
				if _, err := nc.Write(hello); err != nil {
					t.Error(err)
				}
				time.AfterFunc(time.Millisecond, func() { nc.Write([]byte{0xE0, 0}) })
				got := p.rest()
				nc.Close()
				if n := len(got); n > 2 || n == 2 && !slices.Equal(got, []packet.Type{packet.CONNACK, packet.DISCONNECT}) {
					t.Errorf("got %v", got)
				}
			}
		})
	}
	wg.Wait()
}

// Of two connections that wait for the end of a third the later has the session,
// whichever is woken first.
func TestTheLaterConnectionWins(t *testing.T) {
	for range 40 {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			w := newWorld(t, midge.Config{SysInterval: -1, Hooks: midge.Hooks{
				Disconnected: func(context.Context, midge.ClientInfo, mqtt.ReasonCode) { <-release },
			}})
			w.connect("same")
			var waiting []*peer
			for _, user := range []string{"earlier", "later"} {
				nc, err := w.ln.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				hello := packet.Connect{Version: mqtt.V5, ClientID: []byte("same"), HasUsername: true, Username: []byte(user)}
				nc.Write(hello.Append(nil))
				waiting = append(waiting, &peer{t: t, nc: nc, v: mqtt.V5})
				synctest.Wait()
			}
			close(release)
			synctest.Wait()
			if here := w.b.Clients(); len(here) != 1 || here[0].Username != "later" {
				t.Errorf("%v is here", here)
			}
			for _, p := range waiting {
				p.nc.Close()
			}
		})
	}
}

// loginAs gives a CONNECT a user name to tell connections of one client by.
func loginAs(user string) func(*packet.Connect) {
	return func(c *packet.Connect) { c.HasUsername, c.Username = true, []byte(user) }
}

// A client's next connection begins when the program has seen the end of the
// one before, whichever way that ended and whether the session is kept.
func TestDisconnectedBeforeConnected(t *testing.T) {
	for name, expiry := range map[string]uint32{"kept": 60, "not kept": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got notes
				w := newWorld(t, midge.Config{Hooks: midge.Hooks{
					Connected: func(_ context.Context, c midge.ClientInfo) { got.add("%s is here", c.Username) },
					Disconnected: func(ctx context.Context, c midge.ClientInfo, _ mqtt.ReasonCode) {
						<-time.After(time.Second)
						got.add("%s is gone", c.Username)
					},
				}})
				keep := func(c *packet.Connect) { c.Properties.SessionExpiryInterval = expiry }
				first := w.connect("c", keep, loginAs("first"))
				w.connect("c", keep, loginAs("second")).nc.Close()
				first.wantEnd(mqtt.SessionTakenOver)
				synctest.Wait() // the second's hook has begun
				w.connect("c", keep, loginAs("third"))
				synctest.Wait()
				got.want(t, "first is here", "first is gone", "second is here", "second is gone", "third is here")
			})
		})
	}
}

// A hook that is asked about a will for long delays the client's return by as
// long as its context lasts, no more; one that ignores its context has the
// client turned away.
func TestReturnBehindABlockedWill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		defer close(stuck)
		w := newWorld(t, midge.Config{Hooks: midge.Hooks{
			Publish: func(ctx context.Context, c midge.ClientInfo, _ *mqtt.Message) error {
				if c.ClientID == "deaf" {
					<-stuck
				}
				<-ctx.Done()
				return ctx.Err()
			},
		}})
		for id, want := range map[string]mqtt.ReasonCode{"polite": mqtt.Success, "deaf": mqtt.ServerBusy} {
			w.connect(id, withWill("will")).nc.Close()
			synctest.Wait()
			p := w.dial()
			p.write((&packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte(id)}).Append(nil))
			<-time.After(11 * time.Second)
			var k packet.Connack
			if err := k.Decode(p.v, p.want(packet.CONNACK)); err != nil || k.Code != want {
				t.Errorf("%s: CONNACK %v, %v; want %v", id, k.Code, err, want)
			}
		}
	})
}

// A connection that is ended between its claim and its CONNACK leaves the
// session as it was: kept, and with its clocks running.
func TestSessionOutlivesAFailedReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got notes
		gate := make(chan struct{})
		w := newWorld(t, midge.Config{Hooks: midge.Hooks{
			Authenticate: func(_ context.Context, c *midge.Connect) error {
				if c.Username == "late" {
					<-gate
				}
				return nil
			},
		}})
		stop, err := w.b.Subscribe("will", 0, func(mqtt.Message) { got.add("will") })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		keep := func(c *packet.Connect) { c.CleanStart, c.Properties.SessionExpiryInterval = false, 60 }
		first := w.connect("c", keep, withWill("will"), func(c *packet.Connect) { c.Will.Properties.WillDelayInterval = 30 })
		first.subscribe("t", mqtt.AtLeastOnce)
		first.nc.Close()
		synctest.Wait()
		late := w.dial()
		c := packet.Connect{Version: mqtt.V5, ClientID: []byte("c"), Properties: &packet.Properties{SessionExpiryInterval: 60}}
		loginAs("late")(&c)
		late.write(c.Append(nil))
		synctest.Wait()
		go w.b.DisconnectAll()
		synctest.Wait()
		close(gate)
		late.rest()
		late.nc.Close()
		synctest.Wait()
		got.want(t)
		<-time.After(31 * time.Second)
		got.want(t, "will")
		w.b.Publish(mqtt.Message{Topic: "t", QoS: 1, Payload: []byte("kept")})
		again := w.connect("c", keep)
		if m := again.wantPublish(); string(m.Payload) != "kept" {
			t.Errorf("got %q", m.Payload)
		}
		again.nc.Close()
		<-time.After(61 * time.Second)
		p := w.dial()
		p.write((&packet.Connect{Version: mqtt.V5, ClientID: []byte("c")}).Append(nil))
		var k packet.Connack
		if k.Decode(p.v, p.want(packet.CONNACK)); k.SessionPresent {
			t.Error("the session never expired")
		}
	})
}

// What is forgotten is gone: of one that is away at once, of one that is
// connected with its connection.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{SysInterval: -1})
		for _, id := range []string{"away", "here"} {
			p, _ := w.hello(id, mqtt.V5)
			p.subscribe("t", 1)
			if id == "away" {
				p.nc.Close()
			}
		}
		synctest.Wait()
		w.b.Publish(mqtt.Message{Topic: "t", QoS: 1})
		if s := w.b.Stats(); s.Away != 1 || s.Queued != 1 || s.Subscriptions != 2 {
			t.Fatalf("%+v", s)
		}
		for _, id := range []string{"away", "here"} {
			if !w.b.Forget(id) {
				t.Errorf("%s is not there", id)
			}
		}
		synctest.Wait()
		if s := w.b.Stats(); s.Clients+s.Away+s.Queued+s.Inflight+s.Subscriptions != 0 {
			t.Errorf("%+v", s)
		}
		if w.b.Forget("away") || w.b.Forget("nobody") {
			t.Error("what is gone was forgotten")
		}
		for _, id := range []string{"away", "here"} {
			if _, k := w.hello(id, mqtt.V5); k.SessionPresent {
				t.Errorf("%s has its session", id)
			}
		}
	})
}

// One whose client is about to come, or to leave, when its session is forgotten
// does not keep it.
func TestForgetInPassing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		w := newWorld(t, midge.Config{SysInterval: -1, Hooks: midge.Hooks{
			Disconnected: func(context.Context, midge.ClientInfo, mqtt.ReasonCode) { <-gate },
		}})
		p, _ := w.hello("c", mqtt.V5)
		p.subscribe("t", 1)
		p.nc.Close()
		synctest.Wait() // its hook has begun
		if !w.b.Forget("c") {
			t.Error("it is not there")
		}
		close(gate)
		synctest.Wait()
		if s := w.b.Stats(); s.Away+s.Subscriptions != 0 || w.b.Miscounted() != 0 {
			t.Errorf("%d sessions, %d subscriptions, %d bytes too many", s.Away, s.Subscriptions, w.b.Miscounted())
		}
		if _, k := w.hello("c", mqtt.V5); k.SessionPresent {
			t.Error("it has its session")
		}
	})
}
