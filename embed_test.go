package midge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// Run serves in the calling goroutine and returns when its context ends.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- midge.Run(ctx, midge.Config{Logger: quiet(), Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}}})
	}()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := midge.Run(t.Context(), midge.Config{Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:notaport"}}}); err == nil {
		t.Fatal("an address that cannot be bound is no error")
	}
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	_, err := midge.New(midge.Config{MaxPacketSize: 3, ReceiveMaximum: 70000, ConnectTimeout: -1})
	for _, field := range []string{"MaxPacketSize", "ReceiveMaximum", "ConnectTimeout"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

// notes collects what handlers and hooks see.
type notes struct {
	mu sync.Mutex
	l  []string
}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.l = append(n.l, fmt.Sprintf(format, args...))
}

func (n *notes) want(t *testing.T, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.l, want) {
		t.Errorf("got %q, want %q", n.l, want)
	}
	n.l = nil
}

func TestLocalPublishSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		b := w.b
		if err := b.Publish(mqtt.Message{Topic: "kept", Payload: []byte("old"), Retain: true}); err != nil {
			t.Fatal(err)
		}
		var got notes
		stop, err := b.Subscribe("#", mqtt.AtLeastOnce, func(m mqtt.Message) {
			got.add("%s=%s q%d r%v %s", m.Topic, m.Payload, m.QoS, m.Retain, m.ContentType)
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got.want(t, "kept=old q0 rtrue ")

		p := w.connect("p")
		m := packet.Publish{
			Topic: []byte("a"), Payload: []byte("1"), QoS: 2, ID: 100,
			Properties: &packet.Properties{ContentType: []byte("text/plain")},
		}
		p.write(m.Append(nil, p.v))
		p.want(packet.PUBREC)
		synctest.Wait()
		got.want(t, "a=1 q1 rfalse text/plain")

		p.subscribe("b", mqtt.ExactlyOnce)
		b.Publish(mqtt.Message{
			Topic: "b", Payload: []byte("2"), QoS: 1,
			Properties: mqtt.Properties{User: []mqtt.UserProperty{{Name: "k", Value: "v"}}},
		})
		in := p.wantPublish()
		if string(in.Payload) != "2" || in.QoS != 1 || in.Properties.Users.Len() != 1 {
			t.Errorf("the client got %+v", in)
		}
		synctest.Wait()
		stop()
		stop()
		got.want(t, "b=2 q1 rfalse ")
		b.Publish(mqtt.Message{Topic: "c"})
		synctest.Wait()
		got.want(t)

		for _, bad := range []mqtt.Message{{Topic: ""}, {Topic: "a/#"}, {Topic: "a", QoS: 3}} {
			if b.Publish(bad) == nil {
				t.Errorf("%+v was published", bad)
			}
		}
		if _, err := b.Subscribe("a/#/b", 0, nil); err == nil {
			t.Error("a bad filter was subscribed")
		}
	})
}

func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got notes
		w := newWorld(t, midge.Config{Hooks: midge.Hooks{
			Accept: func(_ context.Context, r midge.Remote, clients int) error {
				got.add("accept %s %d", r.Transport, clients)
				if clients == 2 {
					return errors.New("full")
				}
				return nil
			},
			Authenticate: func(_ context.Context, c *midge.Connect) error {
				got.add("auth %s %s %s", c.ClientID, c.Username, c.Password)
				if string(c.Password) != "right" {
					return &midge.Refusal{Code: mqtt.BadUserNameOrPassword, Reason: "try again"}
				}
				return nil
			},
			Connected:    func(_ context.Context, c midge.ClientInfo) { got.add("connected %s", c.ClientID) },
			Disconnected: func(_ context.Context, c midge.ClientInfo, r mqtt.ReasonCode) { got.add("gone %s %v", c.ClientID, r) },
			Publish: func(_ context.Context, c midge.ClientInfo, m *mqtt.Message) error {
				got.add("%s says %s to %s", c.ClientID, m.Payload, m.Topic)
				if m.Topic == "forbidden" {
					return &midge.Refusal{Code: mqtt.NotAuthorized}
				}
				return nil
			},
			Subscribe: func(_ context.Context, c midge.ClientInfo, s *midge.Subscription) error {
				s.QoS = min(s.QoS, 1)
				return nil
			},
		}})
		login := func(password string) func(*packet.Connect) {
			return func(c *packet.Connect) {
				c.HasUsername, c.Username = true, []byte("u")
				c.HasPassword, c.Password = true, []byte(password)
			}
		}
		a := w.connect("a", login("right"))
		got.want(t, "accept pipe 0", "auth a u right", "connected a")

		wrong := w.dial()
		c := packet.Connect{Version: mqtt.V5, ClientID: []byte("w"), CleanStart: true}
		login("wrong")(&c)
		wrong.write(c.Append(nil))
		var k packet.Connack
		if k.Decode(mqtt.V5, wrong.want(packet.CONNACK)); k.Code != mqtt.BadUserNameOrPassword || string(k.Properties.ReasonString) != "try again" {
			t.Errorf("refused with %v %q", k.Code, k.Properties.ReasonString)
		}
		got.want(t, "accept pipe 1", "auth w u wrong")

		a.publish("forbidden", "x", mqtt.AtLeastOnce)
		var ack packet.Ack
		if ack.Decode(a.v, packet.PUBACK, a.want(packet.PUBACK)); ack.Code != mqtt.NotAuthorized {
			t.Errorf("PUBACK %v", ack.Code)
		}
		s := packet.Subscribe{ID: 9, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("t"), QoS: 2})}
		a.write(s.Append(nil, a.v))
		var sk packet.Suback
		if sk.Decode(a.v, packet.SUBACK, a.want(packet.SUBACK)); sk.Codes[0] != 1 {
			t.Errorf("granted %v, the hook lowered it to 1", sk.Codes)
		}
		w.connect("b", login("right"))
		synctest.Wait() // Connected comes behind CONNACK
		third := w.dial()
		third.wantClosed()
		d := packet.Disconnect{}
		a.write(d.Append(nil, a.v))
		a.wantClosed()
		synctest.Wait()
		got.want(t, "a says x to forbidden", "accept pipe 1", "auth b u right", "connected b", "accept pipe 2", "gone a success")
	})
}

// A hook that blocks holds up its own connection and no other.
func TestBlockingHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{Hooks: midge.Hooks{
			Publish: func(ctx context.Context, _ midge.ClientInfo, m *mqtt.Message) error {
				if m.Topic == "block" {
					<-ctx.Done()
				}
				return nil
			},
		}})
		sub := w.connect("sub")
		sub.subscribe("#", mqtt.AtMostOnce)
		stuck := w.connect("stuck")
		both := packet.Publish{Topic: []byte("before"), QoS: 1, ID: 7}
		block := packet.Publish{Topic: []byte("block"), QoS: 1, ID: 8}
		start := time.Now()
		stuck.write(block.Append(both.Append(nil, mqtt.V5), mqtt.V5)) // one read batch
		if m := sub.wantPublish(); string(m.Topic) != "before" {
			t.Errorf("got %s", m.Topic)
		}
		stuck.want(packet.PUBACK)
		other := w.connect("other")
		other.publish("t", "x", mqtt.AtLeastOnce)
		other.want(packet.PUBACK)
		sub.wantPublish()
		if time.Since(start) != 0 {
			t.Errorf("others waited %v", time.Since(start))
		}
		again := w.connect("stuck") // a takeover ends the hook's context
		again.publish("t", "y", mqtt.AtLeastOnce)
		again.want(packet.PUBACK)
	})
}

func TestHookPanicsAreContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBook
		w := newWorld(t, midge.Config{Logger: log.logger(), Hooks: midge.Hooks{
			Publish: func(context.Context, midge.ClientInfo, *mqtt.Message) error { panic("hook bug") },
		}})
		stop, err := w.b.Subscribe("t", 0, func(mqtt.Message) { panic("handler bug") })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		p := w.connect("p")
		p.publish("t", "x", mqtt.AtLeastOnce)
		var ack packet.Ack
		if ack.Decode(p.v, packet.PUBACK, p.want(packet.PUBACK)); ack.Code != mqtt.UnspecifiedError {
			t.Errorf("PUBACK %v", ack.Code)
		}
		w.b.Publish(mqtt.Message{Topic: "t"})
		synctest.Wait()
		for _, bug := range []string{"hook bug", "handler bug"} {
			if !log.has(bug) {
				t.Errorf("%q is not in the log", bug)
			}
		}
	})
}

func TestClientsAndDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		a := w.connect("a", func(c *packet.Connect) { c.KeepAlive = 30 })
		a.subscribe("t", mqtt.AtMostOnce)
		a.publish("t", "x", mqtt.AtMostOnce)
		a.wantPublish()
		w.connect("b", func(c *packet.Connect) { c.Version = mqtt.V311 })
		list := w.b.Clients()
		slices.SortFunc(list, func(x, y midge.ClientStats) int { return strings.Compare(x.ClientID, y.ClientID) })
		if len(list) != 2 || list[0].Version != mqtt.V5 || list[1].Version != mqtt.V311 ||
			list[0].KeepAlive != 30 || list[0].Subscriptions != 1 || list[0].MessagesIn != 1 || list[0].MessagesOut != 1 ||
			list[0].Since.IsZero() || list[0].Addr == nil {
			t.Errorf("clients: %+v", list)
		}
		if w.b.Disconnect("nobody", mqtt.AdministrativeAction) {
			t.Error("disconnected nobody")
		}
		if !w.b.Disconnect("a", mqtt.AdministrativeAction) {
			t.Error("a is not connected")
		}
		a.wantEnd(mqtt.AdministrativeAction)
	})
}

func withWill(topic string) func(*packet.Connect) {
	return func(c *packet.Connect) {
		c.HasWill, c.Will.Topic, c.Will.Payload = true, []byte(topic), []byte("will")
	}
}

// DisconnectAll is the Wi-Fi going away: every connection ends, wills are said.
func TestDisconnectAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		var got notes
		stop, err := w.b.Subscribe("w/#", 0, func(m mqtt.Message) { got.add("%s", m.Topic) })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		p := w.connect("p", withWill("w/p"))
		go w.b.DisconnectAll()
		p.wantEnd(mqtt.AdministrativeAction)
		p.nc.Close()
		synctest.Wait()
		got.want(t, "w/p")
		if n := len(w.b.Clients()); n != 0 {
			t.Errorf("%d clients are still there", n)
		}
		w.connect("p")
	})
}

// Close says every will, the delayed ones of absent clients too, while those
// who listen are still there, and then tells 5.0 clients why it ends.
func TestCloseSaysWills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		listener := w.connect("listener")
		listener.subscribe("w/#", mqtt.AtMostOnce)
		w.connect("present", withWill("w/present"))
		absent := w.connect("absent", withWill("w/absent"), func(c *packet.Connect) {
			c.Will.Properties.WillDelayInterval = 100
			c.Properties.SessionExpiryInterval = 1000
		})
		absent.nc.Close()
		synctest.Wait()
		go w.b.Close()
		if m := listener.wantPublish(); string(m.Topic) != "w/present" {
			t.Errorf("got %s", m.Topic)
		}
		listener.wantEnd(mqtt.ServerShuttingDown)
		listener.nc.Close()
		if err := w.b.Close(); err != nil {
			t.Error(err)
		}
		if err := w.b.Publish(mqtt.Message{Topic: "t"}); !errors.Is(err, midge.ErrClosed) {
			t.Errorf("publish after close: %v", err)
		}
	})
}
