package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// [MQTT-3.1.0-1, 3.1.1] [MQTT-3.1.3-1, 3.1.1] [MQTT-3.1.3-3, 3.1.1] [MQTT-3.1.0-1, 5.0] [MQTT-3.1.3-3, 5.0]
// [MQTT-3.1.2-9, 3.1.1] [MQTT-3.1.2-9, 5.0] [MQTT-3.1.2-17, 5.0] [MQTT-3.1.2-19, 5.0]
func TestConnectSaysEverything(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		t.Run(version.String(), func(t *testing.T) {
			in(t, func(t *testing.T, v *server) {
				c := v.newClient(client.Config{Options: client.Options{
					Version: version, ClientID: "me", Username: "joe", Password: []byte("pw"), CleanStart: true,
					SessionExpiry: time.Hour, KeepAlive: 30 * s, ReceiveMaximum: 7, MaxPacketSize: 1000, TopicAliasMaximum: -1,
					RequestResponseInfo: true, NoProblemInfo: true, User: []mqtt.UserProperty{{Name: "k", Value: "v"}},
					Will: &client.Will{Delay: 5 * s, Message: mqtt.Message{
						Topic: "will", Payload: []byte("gone"), QoS: 1, Retain: true,
						Properties: mqtt.Properties{HasExpiry: true, ContentType: "text", PayloadUTF8: true},
					}},
				}})
				c.Start()
				p := v.accept()
				got := p.wantConnect()
				if got.Version != version || string(got.ClientID) != "me" || string(got.Username) != "joe" || string(got.Password) != "pw" ||
					!got.CleanStart || got.KeepAlive != 30 || !got.HasWill || string(got.Will.Topic) != "will" ||
					string(got.Will.Payload) != "gone" || got.Will.QoS != 1 || !got.Will.Retain {
					t.Errorf("%+v", got)
				}
				if version != mqtt.V5 {
					return
				}
				q, w := got.Properties, got.Will.Properties
				if q.SessionExpiryInterval != 3600 || q.ReceiveMaximum != 7 || q.MaximumPacketSize != 1000 || q.TopicAliasMaximum != 0 ||
					q.RequestResponseInformation != 1 || !q.Has(packet.PropRequestProblemInformation) || q.RequestProblemInformation != 0 || q.Users.Len() != 1 {
					t.Errorf("%+v", q)
				}
				if w.WillDelayInterval != 5 || !w.Has(packet.PropMessageExpiryInterval) || string(w.ContentType) != "text" || w.PayloadFormatIndicator != 1 {
					t.Errorf("%+v", w)
				}
			})
		})
	}
}

func TestZeroConfig(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c := v.newClient(client.Config{})
		c.Start()
		p := v.accept()
		got := p.wantConnect()
		if got.Version != mqtt.V5 || !got.CleanStart || got.KeepAlive != 60 || len(got.ClientID) != 23 ||
			got.HasWill || got.HasUsername || got.HasPassword || got.Properties.SessionExpiryInterval != 300 {
			t.Errorf("%+v %+v", got, got.Properties)
		}
		p.connack()
		synctest.Wait()
		// The session survives a broken connection, and not the program.
		p.nc.Close()
		p = v.accept()
		if again := p.wantConnect(); again.CleanStart || string(again.ClientID) != string(got.ClientID) {
			t.Errorf("%+v", again)
		}
		p.connack(present)
		synctest.Wait()
		c.Close()
		if d := p.wantEnd(mqtt.Success); !d.Properties.Has(packet.PropSessionExpiryInterval) || d.Properties.SessionExpiryInterval != 0 {
			t.Error("the session is left behind")
		}
	})
}

func TestVersionFallback(t *testing.T) {
	for name, answer := range map[string][]byte{
		"in its own way": {0x20, 2, 0, 1},
		"in 5.0":         {0x20, 3, 0, 0x84, 0},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, v *server) {
				c := v.newClient(client.Config{})
				c.Start()
				p := v.accept()
				p.wantConnect()
				p.write(answer)
				p = v.accept()
				if got := p.wantConnect(); got.Version != mqtt.V311 || !got.CleanStart {
					t.Errorf("then %+v", got)
				}
				p.connack()
				synctest.Wait()
				if info, _ := c.Info(); info.Version != mqtt.V311 || c.Stats().Connects != 1 {
					t.Errorf("%+v", info)
				}
			})
		})
	}
}

// [MQTT-3.1.2-21, 5.0] [MQTT-3.2.2-21, 5.0]
func TestConnackIsTakenDown(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{Options: client.Options{AssignedID: true, KeepAlive: time.Hour}}, func(k *packet.Connack) {
			q := k.Properties
			q.AssignedClientIdentifier, q.ResponseInformation, q.ReasonString = []byte("given"), []byte("base/"), []byte("hello")
			q.ServerKeepAlive, q.ReceiveMaximum, q.MaximumPacketSize, q.TopicAliasMaximum = 20, 5, 100, 3
			q.Present = q.Present.With(packet.PropMaximumQoS).With(packet.PropRetainAvailable).With(packet.PropServerKeepAlive).
				With(packet.PropWildcardSubscriptionAvailable).With(packet.PropSubscriptionIdentifierAvailable).
				With(packet.PropSharedSubscriptionAvailable).With(packet.PropSessionExpiryInterval)
			q.Users = packet.UserProperties(nil).Add("k", "v")
		})
		info, _ := c.Info()
		want := client.Info{
			Server: "mqtt://127.0.0.1:1883", Version: mqtt.V5, ClientID: "given", KeepAlive: 20 * s, ResponseInfo: "base/", Reason: "hello",
			Limits: mqtt.Limits{ReceiveMaximum: 5, MaxPacketSize: 100, TopicAliasMaximum: 3},
			User:   []mqtt.UserProperty{{Name: "k", Value: "v"}},
		}
		if fmt.Sprint(info) != fmt.Sprint(want) {
			t.Errorf("%+v\nwant %+v", info, want)
		}
		begun := time.Now()
		p.want(packet.PINGREQ)
		if d := time.Since(begun); d != 20*s {
			t.Errorf("PINGREQ after %v", d)
		}
		p.nc.Close()
		p = v.accept()
		if again := p.wantConnect(); string(again.ClientID) != "given" {
			t.Errorf("comes back as %q", again.ClientID)
		}
	})
}

// What the server does not offer is not asked of it.
// [MQTT-3.2.2-11, 5.0] [MQTT-3.2.2-14, 5.0] [MQTT-3.2.2-15, 5.0] [X5-3.2.2.3.11-a] [X5-3.2.2.3.12-a] [X5-3.2.2.3.13-a] [MQTT-3.3.4-6, 5.0]
func TestServerLimits(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{}, func(k *packet.Connack) {
			q := k.Properties
			q.MaximumPacketSize = 100
			q.Present = q.Present.With(packet.PropMaximumQoS).With(packet.PropRetainAvailable).
				With(packet.PropWildcardSubscriptionAvailable).With(packet.PropSubscriptionIdentifierAvailable).
				With(packet.PropSharedSubscriptionAvailable)
		})
		kept := message("a", "", 0)
		kept.Retain = true
		marked := message("a", "", 0)
		marked.SubscriptionIDs = []uint32{7}
		for name, x := range map[string]struct {
			m   mqtt.Message
			err error
		}{
			"QoS 1":            {message("a", "", 1), client.ErrUnsupported},
			"QoS 2":            {message("a", "", 2), client.ErrUnsupported},
			"retained":         {kept, client.ErrUnsupported},
			"too large":        {message("a", strings.Repeat("x", 100), 0), client.ErrTooLarge},
			"with identifiers": {marked, nil},
		} {
			if _, err := c.Publish(ctx, x.m); !errors.Is(err, x.err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if m := p.wantPublish(); m.Properties.Has(packet.PropSubscriptionIdentifier) {
			t.Error("a Subscription Identifier goes to the server")
		}
		var refused *client.SubscribeError
		codes, err := c.Subscribe(ctx, client.Subscription{Filter: "a/#"}, client.Subscription{Filter: "$share/g/a"})
		if !errors.As(err, &refused) || !slices.Equal(codes, []mqtt.ReasonCode{mqtt.WildcardSubscriptionsNotSupported, mqtt.SharedSubscriptionsNotSupported}) {
			t.Error(codes, err)
		}
		sub := later(func() error {
			codes, err := c.Subscribe(ctx, client.Subscription{Filter: "a/+"}, client.Subscription{Filter: "b"})
			if len(codes) != 2 || !codes[0].Failed() || codes[1] != 0 || err == nil {
				return fmt.Errorf("%v %w", codes, err)
			}
			_, err = c.Subscribe(ctx, client.Subscription{Filter: "b", Handler: func(context.Context, client.Message) {}})
			return err
		})
		q := p.wantSubscribe()
		if n := q.Filters.Len(); n != 1 {
			t.Errorf("%d filters are sent", n)
		}
		p.suback(q.ID, 0)
		q = p.wantSubscribe()
		if q.Properties.Has(packet.PropSubscriptionIdentifier) {
			t.Error("a Subscription Identifier is sent")
		}
		p.suback(q.ID, 0)
		if err := result(t, sub); err != nil {
			t.Error(err)
		}
		p.wantIdle(s)
	})
}

// [MQTT-3.2.2-4, 5.0]
func TestSessionPresentAfterCleanStart(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c := v.newClient(client.Config{})
		c.Start()
		p := v.accept()
		p.wantConnect()
		p.connack(present)
		p.wantGone()
		synctest.Wait()
		var fault *packet.Error
		if !errors.As(c.Err(), &fault) {
			t.Error(c.Err())
		}
	})
}

// [MQTT-3.2.2-5, 5.0] [MQTT-3.1.2-6, 3.1.1]
func TestSessionLost(t *testing.T) {
	for name, policy := range map[string]client.LostPolicy{"resend": client.ResendLost, "fail": client.FailLost} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, v *server) {
				var got inbox
				st := &client.MemoryStore{}
				c, p := v.connected(client.Config{Lost: policy, Store: st, Options: client.Options{Handler: got.take}})
				one := later(func() error { _, err := c.Publish(ctx, message("a", "one", 1)); return err })
				p.wantPublish()
				two := later(func() error { _, err := c.Publish(ctx, message("a", "two", 2)); return err })
				id := p.wantPublish().ID
				p.ack(packet.PUBREC, id, 0)
				p.wantAck(packet.PUBREL)
				p.publish("in", "first", 2, 4)
				p.wantAck(packet.PUBREC)
				p.nc.Close()
				p, _ = v.admit()
				// The server had taken over the second.
				if err := result(t, two); err != nil {
					t.Error(err)
				}
				if policy == client.FailLost {
					if err := result(t, one); !errors.Is(err, client.ErrSessionLost) {
						t.Error(err)
					}
				} else {
					m := p.wantPublish()
					if m.Dup || string(m.Payload) != "one" {
						t.Errorf("sent as new: %+v", m)
					}
					p.ack(packet.PUBACK, m.ID, 0)
					if err := result(t, one); err != nil {
						t.Error(err)
					}
				}
				// And what it sends under an old identifier is new.
				p.publish("in", "second", 2, 4)
				p.wantAck(packet.PUBREC)
				p.ack(packet.PUBREL, 4, 0)
				p.wantAck(packet.PUBCOMP)
				if texts := got.texts(); !slices.Equal(texts, []string{"first", "second"}) {
					t.Errorf("got %q", texts)
				}
				st.Load(func(key uint64, _ []byte) error { t.Errorf("record %x is left", key); return nil })
			})
		})
	}
}

// A session taken up by the next program.
func TestSessionOutlivesTheProgram(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		st := &client.MemoryStore{}
		cfg := client.Config{Store: st, Options: client.Options{ClientID: "me", SessionExpiry: client.Forever, MaxInflight: 2}}
		c, p := v.connected(cfg)
		for i := range 4 {
			c.Enqueue(ctx, message("a", fmt.Sprint(i), mqtt.QoS(1+i%2)))
		}
		one, two := p.wantPublish(), p.wantPublish()
		p.ack(packet.PUBREC, two.ID, 0)
		p.wantAck(packet.PUBREL)
		p.publish("in", "", 2, 8)
		p.wantAck(packet.PUBREC)
		c.Close()
		d := p.wantEnd(mqtt.Success)
		<-c.Done()
		if d.Properties.Has(packet.PropSessionExpiryInterval) {
			t.Error("the session is ended")
		}

		var got inbox
		cfg.Handler = got.take
		ends := map[uint64]error{}
		cfg.OnEvent = func(e client.Event) {
			if e, ok := e.(client.PublishedEvent); ok {
				ends[e.ID] = e.Err
			}
		}
		c = v.newClient(cfg)
		c.Start()
		p = v.accept()
		if connect := p.wantConnect(); connect.CleanStart || connect.Properties.SessionExpiryInterval != mqtt.NeverExpires {
			t.Errorf("%+v", connect)
		}
		p.connack(present)
		if m := p.wantPublish(); !m.Dup || m.ID != one.ID {
			t.Errorf("%+v", m)
		}
		if a := p.wantAck(packet.PUBREL); a.ID != two.ID {
			t.Errorf("%+v", a)
		}
		p.ack(packet.PUBACK, one.ID, 0)
		p.ack(packet.PUBCOMP, two.ID, 0)
		for _, want := range []string{"2", "3"} {
			m := p.wantPublish()
			if string(m.Payload) != want || m.Dup {
				t.Errorf("%+v", m)
			}
			if m.QoS == 1 {
				p.ack(packet.PUBACK, m.ID, 0)
			} else {
				p.ack(packet.PUBREC, m.ID, 0)
				p.wantAck(packet.PUBREL)
				p.ack(packet.PUBCOMP, m.ID, 0)
			}
		}
		// The identifier received before the restart is still known.
		p.publish("in", "", 2, 8, func(m *packet.Publish) { m.Dup = true })
		p.wantAck(packet.PUBREC)
		p.ack(packet.PUBREL, 8, 0)
		p.wantAck(packet.PUBCOMP)
		if texts := got.texts(); len(texts) != 0 {
			t.Errorf("handled again: %q", texts)
		}
		if len(ends) != 4 || ends[1] != nil || ends[4] != nil {
			t.Errorf("told of %v", ends)
		}
		st.Load(func(key uint64, _ []byte) error { t.Errorf("record %x is left", key); return nil })
	})
}

// What a server must not do, and what it is told.
// [X5-4.13.1-a] [X5-3.1.2.11.4-a] [X5-3.1.2.11.7-a] [MQTT-3.3.4-9, 5.0]
func TestServersFaults(t *testing.T) {
	for name, x := range map[string]struct {
		send []byte
		code mqtt.ReasonCode
	}{
		"reserved type":          {[]byte{0x00, 0}, mqtt.MalformedPacket},
		"CONNECT":                {[]byte{0x10, 0}, mqtt.ProtocolError},
		"second CONNACK":         {[]byte{0x20, 3, 0, 0, 0}, mqtt.ProtocolError},
		"SUBSCRIBE":              {[]byte{0x82, 0}, mqtt.ProtocolError},
		"PINGREQ":                {[]byte{0xC0, 0}, mqtt.ProtocolError},
		"AUTH":                   {[]byte{0xF0, 0}, mqtt.ProtocolError},
		"QoS 3":                  {[]byte{0x36, 6, 0, 1, 'a', 0, 1, 0}, mqtt.MalformedPacket},
		"wildcard topic":         {[]byte{0x30, 4, 0, 1, '#', 0}, mqtt.TopicNameInvalid},
		"identifier 0":           {[]byte{0x32, 6, 0, 1, 'a', 0, 0, 0}, mqtt.MalformedPacket},
		"bad UTF-8":              {[]byte{0x30, 4, 0, 1, 0xFF, 0}, mqtt.MalformedPacket},
		"alias above the max":    {[]byte{0x30, 7, 0, 1, 'a', 3, 0x23, 0, 99}, mqtt.TopicAliasInvalid},
		"unknown alias":          {[]byte{0x30, 6, 0, 0, 3, 0x23, 0, 1}, mqtt.ProtocolError},
		"too large":              {[]byte{0x30, 0xFF, 0xFF, 0x7F}, mqtt.PacketTooLarge},
		"unwanted reason string": {[]byte{0x40, 8, 0, 1, 0, 4, 0x1F, 0, 1, 'x'}, mqtt.ProtocolError},
		"receive maximum": {slices.Concat([]byte{0x34, 6, 0, 1, 'a', 0, 1, 0}, []byte{0x34, 6, 0, 1, 'a', 0, 2, 0},
			[]byte{0x34, 6, 0, 1, 'a', 0, 3, 0}), mqtt.ReceiveMaximumExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, v *server) {
				c, p := v.dialed(client.Options{MaxPacketSize: 1000, ReceiveMaximum: 2, ManualAck: true, NoProblemInfo: true})
				p.write(x.send)
				if strings.HasPrefix(name, "bad UTF-8") && x.code != mqtt.MalformedPacket {
					t.Fatal("table")
				}
				p.wantEnd(x.code)
				<-c.Done()
				var fault *packet.Error
				if !errors.As(c.Err(), &fault) {
					t.Error(c.Err())
				}
			})
		})
	}
}

// [MQTT-7.1.2-1, 3.1.1] what breaks 3.1.1 ends the connection, without a word.
func TestServersFaultsBeforeV5(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.dialed(client.Options{Version: mqtt.V311})
		p.write([]byte{0x36, 5, 0, 1, 'a', 0, 1})
		p.wantGone()
		<-c.Done()
		var fault *packet.Error
		if !errors.As(c.Err(), &fault) {
			t.Error(c.Err())
		}
	})
}

// [MQTT-4.5.0-2, 3.1.1] [MQTT-4.5.0-2, 5.0] what nobody handles is acknowledged.
func TestUnhandledIsAcknowledged(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.dialed(client.Options{})
		p.publish("a", "", 1, 1)
		p.publish("a", "", 2, 2)
		p.wantAck(packet.PUBACK)
		p.wantAck(packet.PUBREC)
		synctest.Wait()
		_ = c
	})
}

// [MQTT-3.14.4-1, 3.1.1] [MQTT-3.14.4-1, 5.0] nothing follows DISCONNECT, and the client closes.
func TestNothingFollowsDisconnect(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		in(t, func(t *testing.T, v *server) {
			c, p := v.dialed(client.Options{Version: version})
			c.Disconnect(client.Goodbye{Code: mqtt.DisconnectWithWill, Reason: "so long", User: []mqtt.UserProperty{{Name: "k", Value: "v"}}})
			p.publish("a", "", 1, 1) // would be acknowledged
			var d packet.Disconnect
			if err := d.Decode(version, p.want(packet.DISCONNECT)); err != nil {
				t.Fatal(err)
			}
			if version == mqtt.V5 && (d.Code != mqtt.DisconnectWithWill || d.Properties.Users.Len() != 1 || string(d.Properties.ReasonString) != "so long") {
				t.Errorf("%+v", d)
			}
			p.wantGone()
			<-c.Done()
			if !errors.Is(c.Err(), client.ErrClosed) {
				t.Error(c.Err())
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		in(t, func(t *testing.T, v *server) {
			call := later(func() error {
				_, err := client.Dial(ctx, "mqtt://server", client.Options{Version: version, Dial: v.dial})
				return err
			})
			p := v.accept()
			p.wantConnect()
			p.connack(func(k *packet.Connack) {
				k.Return = mqtt.RefusedCredentials
				if version == mqtt.V5 {
					k.Return, k.Code = 0, mqtt.BadUserNameOrPassword
					k.Properties.ReasonString, k.Properties.ServerReference = []byte("who?"), []byte("there")
				}
			})
			var refused *client.ConnectError
			if err := result(t, call); !errors.As(err, &refused) || refused.Code != mqtt.BadUserNameOrPassword {
				t.Error(err)
			} else if version == mqtt.V5 && (refused.Reason != "who?" || refused.ServerReference != "there") {
				t.Errorf("%+v", refused)
			}
		})
	}
}

// [X5-3.2-a] [X311-3.2-a]
func TestNoConnack(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		begun := time.Now()
		call := later(func() error {
			_, err := client.Dial(ctx, "mqtt://server", client.Options{Dial: v.dial})
			return err
		})
		p := v.accept()
		p.wantConnect()
		if err := result(t, call); err == nil || time.Since(begun) != 30*s {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		p.wantGone()
	})
}

// [X5-4.11-a]
func TestServerReferences(t *testing.T) {
	for code, back := range map[mqtt.ReasonCode]string{mqtt.UseAnotherServer: "mqtt://first:1883", mqtt.ServerMoved: "mqtt://second:1883"} {
		in(t, func(t *testing.T, v *server) {
			var servers []string
			c := v.newClient(client.Config{
				Servers: []string{"mqtt://first:1883"}, FollowReferences: true,
				BeforeConnect: func(_ context.Context, a *client.Attempt) error { servers = append(servers, a.Server); return nil },
			})
			c.Start()
			p := v.accept()
			p.wantConnect()
			p.connack(refuse(code), func(k *packet.Connack) { k.Properties.ServerReference = []byte("second:1883") })
			p, _ = v.admit()
			p.nc.Close()
			v.admit(present)
			if want := []string{"mqtt://first:1883", "mqtt://second:1883", back}; !slices.Equal(servers, want) {
				t.Errorf("%v: went to %q, want %q", code, servers, want)
			}
			synctest.Wait()
		})
	}
}

func TestRefresh(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{RefreshAfter: 100 * s, Backoff: client.Backoff{Min: time.Hour, Max: time.Hour}})
		begun := time.Now()
		p.want(packet.PINGREQ)
		p.write(packet.AppendPingresp(nil))
		p.wantEnd(mqtt.Success)
		if d := time.Since(begun); d < 89*s || d > 101*s {
			t.Errorf("renewed after %v", d)
		}
		v.admit(present)
		synctest.Wait()
		if c.State() != client.Connected {
			t.Error(c.State())
		}
	})
}

func TestShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		c := w.client(client.Config{})
		for range 500 {
			c.Enqueue(ctx, message("a", "", 2))
		}
		if err := c.Shutdown(ctx); err != nil || c.Stats().OutboxMessages != 0 {
			t.Error(err, c.Stats())
		}
	})
}

// A connection that stands still: the writer gives up, and says so.
func TestWriteTimeout(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, _ := v.dialed(client.Options{WriteTimeout: 5 * s, KeepAlive: -1})
		var err error
		for range 1000 {
			if _, err = c.Publish(ctx, message("a", strings.Repeat("x", 10_000), 0)); err != nil {
				break
			}
		}
		if err == nil {
			t.Error("everything fits")
		}
		<-c.Done()
		var timeout interface{ Timeout() bool }
		if !errors.As(c.Err(), &timeout) || !timeout.Timeout() {
			t.Error(c.Err())
		}
	})
}

// A slow server is not one that stands still.
func TestSlowIsNotStalled(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		const size = 200_000
		c, p := v.dialed(client.Options{WriteTimeout: 5 * s, KeepAlive: -1})
		if _, err := c.Publish(ctx, message("a", strings.Repeat("x", size), 0)); err != nil {
			t.Fatal(err)
		}
		p.nc.SetReadDeadline(time.Time{})
		buf := make([]byte, 4096)
		for got := 0; got < size; {
			<-time.After(s)
			n, err := p.nc.Read(buf)
			if err != nil {
				t.Fatalf("given up after %d bytes: %v", got, err)
			}
			got += n
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]client.Options{
		"Version": {Version: 9}, "ClientID": {ClientID: "\xFF"}, "KeepAlive": {KeepAlive: time.Millisecond},
		"ReceiveMaximum": {ReceiveMaximum: -1}, "MaxPacketSize": {MaxPacketSize: 3}, "MaxInflight": {MaxInflight: 70000},
		"Will": {Will: &client.Will{}}, "TLS": {TLS: &client.TLS{CAFile: "nofile"}}, "ClientID.": {SessionExpiry: time.Hour},
		"ConnectTimeout": {ConnectTimeout: -1}, "Concurrency": {Concurrency: -1}, "ClientID..": {ClientID: "a\x00b"},
		"Username": {Username: "\xFF"}, "Password": {Password: make([]byte, 65536)}, "user property": {User: []mqtt.UserProperty{{Name: "\x00"}}},
		"Will: the payload": {Will: &client.Will{Message: message("a", string(make([]byte, 65536)), 0)}},
		"Will: the Delay":   {Will: &client.Will{Message: message("a", "", 0), Delay: -1}},
	} {
		if _, err := client.New(client.Config{Options: o}); err == nil || !strings.Contains(err.Error(), strings.TrimRight(name, ".")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client.New(client.Config{Backoff: client.Backoff{Min: 5, Max: 1}}); err == nil {
		t.Error("Backoff")
	}
}
