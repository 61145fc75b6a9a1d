package midge_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/topic"
)

// A policy is an Access that denies what one filter matches, publishing or
// receiving; it may change.
type policy struct{ publish, receive, subscribe atomic.Value }

func (p *policy) MayPublish(t []byte) bool   { return !hits(&p.publish, string(t)) }
func (p *policy) MayReceive(t []byte) bool   { return !hits(&p.receive, string(t)) }
func (p *policy) MaySubscribe(f string) bool { return p.subscribe.Load() != f }
func hits(filter *atomic.Value, t string) bool {
	f, _ := filter.Load().(string)
	return topic.Match(f, t)
}
func only(set func(*policy)) (p *policy) { p = new(policy); set(p); return p }
func noReceive(filter string) *policy    { return only(func(p *policy) { p.receive.Store(filter) }) }

func noPublish(filter string) *policy { return only(func(p *policy) { p.publish.Store(filter) }) }

func (w *world) say(topic string, retain bool) {
	w.b.Publish(mqtt.Message{Topic: topic, Retain: retain, QoS: 1, Payload: []byte("x")})
}

func expiring(c *packet.Connect) {
	c.Properties.SessionExpiryInterval, c.Properties.Present = 100, c.Properties.Present.With(packet.PropSessionExpiryInterval)
}
func resuming(c *packet.Connect) { c.CleanStart = false; expiring(c) }
func (p *peer) wantTopic(t *testing.T, want string) {
	t.Helper()
	m := p.wantPublish()
	if string(m.Topic) != want {
		t.Errorf("got %s, want %s", m.Topic, want)
	}
	if m.QoS > 0 {
		p.write((&packet.Ack{Type: packet.PUBACK, ID: m.ID}).Append(nil, p.v))
	}
}

// guarded is a world where clients have the Access their identifier names.
func guarded(t *testing.T, all map[string]midge.Access) *world {
	return newWorld(t, midge.Config{SysInterval: -1, Hooks: midge.Hooks{
		Authenticate: func(_ context.Context, c *midge.Connect) error {
			c.Access, c.Username = all[c.ClientID], strings.ToUpper(c.ClientID)
			return nil
		},
	}})
}

func TestAccessPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := noPublish("secret/#")
		w := guarded(t, map[string]midge.Access{"p": a})
		sub, p := w.connect("s"), w.connect("p")
		sub.subscribe("#", 1)
		for _, q := range []mqtt.QoS{1, 1, 0} {
			p.publish("secret/a", "x", q)
			if q > 0 {
				var ack packet.Ack
				if ack.Decode(p.v, packet.PUBACK, p.want(packet.PUBACK)); ack.Code != mqtt.NotAuthorized {
					t.Errorf("PUBACK %v", ack.Code)
				}
			}
		}
		p.publish("open", "x", 0)
		sub.wantTopic(t, "open")

		a.publish.Store("open")
		w.b.Reauthorize(nil)
		p.publish("open", "x", 0)
		p.publish("secret/a", "x", 0)
		sub.wantTopic(t, "secret/a")
		if c := w.b.Clients(); c[0].Username != strings.ToUpper(c[0].ClientID) {
			t.Errorf("%+v", c[0].ClientInfo)
		}
	})
}

func TestAccessSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := guarded(t, map[string]midge.Access{"s": only(func(p *policy) { p.subscribe.Store("a/#") })})
		s := w.connect("s")
		for filter, want := range map[string]mqtt.ReasonCode{
			"a/#": mqtt.NotAuthorized, "$share/g/a/#": mqtt.NotAuthorized, "b": mqtt.Success,
		} {
			p := packet.Subscribe{ID: 9, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte(filter)})}
			s.write(p.Append(nil, s.v))
			var k packet.Suback
			if err := k.Decode(s.v, packet.SUBACK, s.want(packet.SUBACK)); err != nil || k.Codes[0] != byte(want) {
				t.Errorf("%s: %v %v", filter, k.Codes, err)
			}
		}
	})
}

// What a client may not see is kept from it live, retained, queued and shared.
func TestAccessReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := map[string]midge.Access{"s": noReceive("no/#"), "g1": noReceive("#")}
		w := guarded(t, all)
		w.say("no/kept", true)
		w.say("yes/kept", true)
		s := w.connect("s", expiring)
		s.subscribe("#", 1)
		s.wantTopic(t, "yes/kept")
		w.say("no/live", false)
		w.say("yes/live", false)
		s.wantTopic(t, "yes/live")

		s.nc.Close()
		synctest.Wait()
		w.say("no/away", false)
		w.say("yes/away", false)
		w.say("later", false)
		all["s"] = noReceive("yes/#") // somebody else, or another day
		s = w.connect("s", resuming)
		s.wantTopic(t, "later")
		w.say("no/live", false)
		s.wantTopic(t, "no/live")

		g1, g2 := w.connect("g1"), w.connect("g2")
		g1.subscribe("$share/g/t", 0)
		g2.subscribe("$share/g/t", 0)
		for range 4 {
			w.say("t", false)
			g2.wantTopic(t, "t")
		}
		w.b.Disconnect("g1", mqtt.AdministrativeAction)
		g1.wantEnd(mqtt.AdministrativeAction) // and nothing before it
	})
}

// What was sent and not acknowledged is not sent again to a client that may
// not see it any more.
func TestAccessResend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := new(policy)
		w := guarded(t, map[string]midge.Access{"s": a})
		s := w.connect("s", expiring)
		s.subscribe("#", 2)
		w.say("old", false)
		w.b.Publish(mqtt.Message{Topic: "old", QoS: 2})
		s.wantPublish()
		s.wantPublish()
		s.nc.Close()
		synctest.Wait()
		a.receive.Store("old")
		s = w.connect("s", resuming)
		w.say("new", false)
		s.wantTopic(t, "new")
		synctest.Wait()
		if st := w.b.Clients()[0]; st.QueuedBytes != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAccessWill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		later := new(policy)
		w := guarded(t, map[string]midge.Access{"w1": noPublish("w"), "w2": later})
		sub := w.connect("s")
		sub.subscribe("#", 0)
		for _, id := range []string{"w1", "w2", "w3"} {
			p := w.connect(id, func(c *packet.Connect) { c.HasWill, c.Will.Topic, c.Will.Payload = true, []byte("w"), []byte(id) })
			later.publish.Store("w") // after w2 has come
			p.nc.Close()
			synctest.Wait()
			later.publish.Store("")
		}
		if m := sub.wantPublish(); string(m.Payload) != "w3" {
			t.Errorf("the will of %s", m.Payload)
		}
	})
}

func TestReauthorize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := guarded(t, nil)
		a, b := w.connect("a"), w.connect("b")
		gone := w.b.Reauthorize(func(c midge.ClientInfo) error {
			if c.ClientID == "a" {
				return errors.New("no longer")
			}
			return nil
		})
		if len(gone) != 1 || gone[0].ClientID != "a" {
			t.Errorf("%+v", gone)
		}
		a.wantEnd(mqtt.NotAuthorized)
		b.subscribe("t", 0)
	})
}

// A hop is an Exchange of one step.
type hop func() error

func (h hop) Step(context.Context, []byte) ([]byte, bool, error) { return nil, true, h() }

// The connection ends with the credentials, unless they are renewed.
func TestConnectionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{Hooks: midge.Hooks{
			Authenticate: func(_ context.Context, c *midge.Connect) error {
				c.Until = time.Now().Add(time.Minute)
				return nil
			},
			Enhanced: func(_ context.Context, c *midge.Connect, _ string) midge.Exchange {
				return hop(func() error { c.Until = time.Now().Add(time.Minute); return nil })
			},
		}})
		p := w.connect("p")
		with := func(c *packet.Connect) {
			c.Properties.AuthenticationMethod = []byte("hop")
		}
		q := w.connect("q", with)
		<-time.After(50 * time.Second)
		a := packet.Auth{Code: mqtt.Reauthenticate, Properties: &packet.Properties{AuthenticationMethod: []byte("hop")}}
		q.write(a.Append(nil, q.v))
		q.want(packet.AUTH)
		<-time.After(11 * time.Second)
		p.wantEnd(mqtt.MaximumConnectTime)
		q.subscribe("t", 0)
		<-time.After(50 * time.Second)
		q.wantEnd(mqtt.MaximumConnectTime)
	})
}

// Credentials that are over let nobody in.
func TestExpiredAtConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{Hooks: midge.Hooks{
			Authenticate: func(_ context.Context, c *midge.Connect) error { c.Until = time.Now(); return nil },
		}})
		p := w.dial()
		p.write((&packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("p")}).Append(nil))
		var k packet.Connack
		if k.Decode(p.v, p.want(packet.CONNACK)); k.Code != mqtt.NotAuthorized {
			t.Errorf("CONNACK %v", k.Code)
		}
	})
}

// After a restart nobody knows what an absent client may do. What waited for
// it is judged when it is back; a will it may not say was never kept.
func TestAccessOutlivesCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := map[string]midge.Access{"s": noReceive("no/#"), "w": noPublish("will")}
		hooks := midge.Hooks{Authenticate: func(_ context.Context, c *midge.Connect) error { c.Access = all[c.ClientID]; return nil }}
		l := newLagging(time.Millisecond)
		w := newWorld(t, midge.Config{Store: l, Hooks: hooks, SysInterval: -1})
		s := w.connect("s", lasting)
		s.subscribe("#", mqtt.AtLeastOnce)
		w.say("no/sent", false)
		w.say("yes/sent", false)
		if m := s.wantPublish(); string(m.Topic) != "yes/sent" {
			t.Errorf("%s", m.Topic)
		}
		s.nc.Close()
		w.connect("w", lasting, func(c *packet.Connect) {
			c.HasWill, c.Will.Topic, c.Will.QoS = true, []byte("will"), 1
		})
		synctest.Wait()
		<-time.After(time.Second)

		w, _ = w.restart(l, midge.Config{Hooks: hooks, SysInterval: -1})
		w.say("no/away", false)
		w.say("yes/away", false)
		s = w.connect("s", lasting)
		for _, want := range []string{"yes/sent", "yes/away"} {
			s.wantTopic(t, want)
		}
		w.say("last", false)
		s.wantTopic(t, "last")
	})
}
