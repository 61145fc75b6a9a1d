package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// Each handler gets one copy, where the server offers identifiers; $share is
// no part of what matches.
func TestTrapOverlappingSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		var wide, narrow, shared, plain, rest inbox
		c := w.client(client.Config{Options: client.Options{Handler: rest.take}})
		c.Handle("p/#", plain.take)
		if _, err := c.Subscribe(ctx,
			client.Subscription{Filter: "a/#", QoS: 1, Handler: wide.take},
			client.Subscription{Filter: "a/b", QoS: 2, Handler: narrow.take},
			client.Subscription{Filter: "$share/g/j/+", Handler: shared.take},
			client.Subscription{Filter: "p/x"}); err != nil {
			t.Fatal(err)
		}
		for _, topic := range []string{"a/b", "a/c", "j/1", "p/x"} {
			if _, err := c.Publish(ctx, message(topic, topic, 2)); err != nil {
				t.Fatal(err)
			}
		}
		for name, want := range map[*inbox][]string{
			&wide: {"a/b", "a/c"}, &narrow: {"a/b"}, &shared: {"j/1"}, &plain: {"p/x"}, &rest: nil,
		} {
			if got := name.texts(); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

// Without identifiers every copy goes to every handler whose filter matches.
func TestTrapOverlapBeforeV5(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		var wide, shared inbox
		c, p := v.connected(client.Config{Options: client.Options{Version: mqtt.V311}})
		sub := later(func() error {
			_, err := c.Subscribe(ctx, client.Subscription{Filter: "a/#", Handler: wide.take})
			return err
		})
		p.suback(p.wantSubscribe().ID, 0)
		result(t, sub)
		c.Handle("$share/g/a/+", shared.take)
		p.publish("a/b", "x", 0, 0)
		if len(wide.texts()) != 1 || len(shared.texts()) != 1 {
			t.Errorf("%q %q", wide.texts(), shared.texts())
		}
		c.Handle("$share/g/a/+", nil)
		p.publish("a/b", "y", 0, 0)
		if len(wide.texts()) != 2 || len(shared.texts()) != 1 {
			t.Errorf("%q %q", wide.texts(), shared.texts())
		}
	})
}

// [MQTT-2.3.1-2, 3.1.1] [MQTT-2.3.1-3, 3.1.1] [MQTT-2.2.1-3, 5.0] [MQTT-3.3.4-7, 5.0] [MQTT-3.3.4-8, 5.0]
func TestTrapPacketIdentifiers(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(version.String(), func(t *testing.T) {
			in(t, func(t *testing.T, v *server) {
				const window = 5
				c, p := v.connected(client.Config{Options: client.Options{Version: version, MaxInflight: window}},
					func(k *packet.Connack) { k.Properties.ReceiveMaximum = window })
				var waiting []<-chan error
				for range 3 * window {
					waiting = append(waiting, later(func() error { _, err := c.Publish(ctx, message("a", "", 1)); return err }))
				}
				open := map[mqtt.PacketID]bool{}
				take := func(id mqtt.PacketID) {
					if id == 0 || open[id] {
						t.Errorf("identifier %d, of %v in use", id, open)
					}
					open[id] = true
				}
				for range window {
					take(p.wantPublish().ID)
				}
				p.wantIdle(s) // and no more
				// Other packets are not held up.
				sub := later(func() error { _, err := c.Subscribe(ctx, client.Subscription{Filter: "a"}); return err })
				q := p.wantSubscribe()
				take(q.ID)
				if _, err := c.Publish(ctx, message("now", "", 0)); err != nil {
					t.Error(err)
				}
				p.wantPublish()
				p.suback(q.ID, 0)
				if err := result(t, sub); err != nil {
					t.Error(err)
				}
				delete(open, q.ID)
				for range 2 * window {
					for id := range open {
						p.ack(packet.PUBACK, id, 0)
						delete(open, id)
						break
					}
					take(p.wantPublish().ID)
				}
				for id := range open {
					p.ack(packet.PUBACK, id, 0)
				}
				for _, ch := range waiting {
					if err := result(t, ch); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// A window that stays full is waited for with a context.
func TestTrapWindowFull(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.connected(client.Config{Options: client.Options{MaxInflight: 1}})
		first := later(func() error { _, err := c.Publish(ctx, message("a", "1", 1)); return err })
		m := p.wantPublish()
		short, cancel := context.WithTimeout(ctx, s)
		defer cancel()
		if _, err := c.Publish(short, message("a", "2", 1)); !errors.Is(err, client.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a message that never left: %v", err)
		}
		p.ack(packet.PUBACK, m.ID, 0)
		result(t, first)
		p.wantIdle(s)
		// One that left and was not acknowledged stays.
		short, cancel = context.WithTimeout(ctx, s)
		defer cancel()
		if _, err := c.Publish(short, message("a", "3", 1)); !errors.Is(err, client.ErrUnacknowledged) {
			t.Errorf("a message on its way: %v", err)
		}
		if n := c.Stats().OutboxMessages; n != 1 {
			t.Errorf("%d messages in the outbox", n)
		}
		p.ack(packet.PUBACK, p.wantPublish().ID, 0)
		synctest.Wait()
		if n := c.Stats().OutboxMessages; n != 0 {
			t.Errorf("%d messages in the outbox", n)
		}
	})
}

// One writer: what many publish at once arrives whole. TestConcurrentWritesOverTLS
// has the same over TLS.
func TestTrapConcurrentWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		var got inbox
		sub := w.client(client.Config{Options: client.Options{Handler: got.take}})
		if _, err := sub.Subscribe(ctx, client.Subscription{Filter: "#", QoS: 2}); err != nil {
			t.Fatal(err)
		}
		c := w.client(client.Config{})
		var all sync.WaitGroup
		const writers, each = 8, 50
		for i := range writers {
			all.Go(func() {
				for k := range each {
					text := strings.Repeat(string(rune('a'+i)), 100*k)
					if _, err := c.Publish(ctx, message(fmt.Sprintf("t/%d", i), text, mqtt.QoS(k%3))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		synctest.Wait()
		if texts := got.texts(); len(texts) != writers*each {
			t.Errorf("%d messages of %d", len(texts), writers*each)
		}
		for _, m := range got.all {
			letter := string(rune('a' + m.Topic[2] - '0'))
			if strings.Trim(string(m.Payload), letter) != "" {
				t.Errorf("%s: mixed up", m.Topic)
			}
		}
	})
}

// [MQTT-3.3.2-9, 5.0] [MQTT-3.2.2-17, 5.0] [MQTT-3.2.2-18, 5.0] [MQTT-3.3.2-10, 5.0]
func TestTrapAliasAcrossReconnect(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		aliases := func(k *packet.Connack) { k.Properties.TopicAliasMaximum = 2; k.SessionPresent = true }
		var got inbox
		c, p := v.connected(client.Config{Options: client.Options{ClientID: "me", SessionExpiry: time.Hour, TopicAliasMaximum: 5, Handler: got.take}}, aliases)
		publish := func(topic string, q mqtt.QoS) packet.Publish {
			t.Helper()
			if _, err := c.Enqueue(ctx, message(topic, "", q)); err != nil {
				t.Fatal(err)
			}
			return p.wantPublish()
		}
		if m := publish("long/topic", 1); string(m.Topic) != "long/topic" || m.Properties.TopicAlias != 1 {
			t.Errorf("first: %q alias %d", m.Topic, m.Properties.TopicAlias)
		}
		if m := publish("long/topic", 0); len(m.Topic) != 0 || m.Properties.TopicAlias != 1 {
			t.Errorf("second: %q alias %d", m.Topic, m.Properties.TopicAlias)
		}
		publish("other", 0)
		if m := publish("third", 0); string(m.Topic) != "third" || m.Properties.TopicAlias != 0 {
			t.Errorf("above the maximum: %q alias %d", m.Topic, m.Properties.TopicAlias)
		}
		p.publish("in", "1", 0, 0, func(m *packet.Publish) { m.Properties.TopicAlias = 5 })
		p.publish("", "2", 0, 0, func(m *packet.Publish) { m.Properties.TopicAlias = 5 })
		if got.texts(); len(got.all) != 2 || got.all[1].Topic != "in" {
			t.Errorf("received %+v", got.all)
		}
		p.nc.Close()
		// The new connection knows none of them, and this server offers none.
		p, _ = v.admit(present)
		if m := p.wantPublish(); string(m.Topic) != "long/topic" || m.Properties.TopicAlias != 0 {
			t.Errorf("sent again: %q alias %d", m.Topic, m.Properties.TopicAlias)
		}
		p.publish("", "3", 0, 0, func(m *packet.Publish) { m.Properties.TopicAlias = 5 })
		p.wantEnd(mqtt.ProtocolError)
	})
}

func TestTrapManualAckAfterLoss(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		var got inbox
		_, p := v.connected(client.Config{Options: client.Options{ManualAck: true, Handler: got.take}})
		p.publish("a", "one", 1, 1)
		p.publish("a", "two", 2, 2)
		p.wantIdle(s)
		p.nc.Close()
		p, _ = v.admit(present)
		got.texts()
		if err := got.all[0].Ack(); !errors.Is(err, client.ErrStaleAck) {
			t.Errorf("acknowledging on a connection that has ended: %v", err)
		}
		p.wantIdle(s)
		// A QoS 2 message belongs to the session: it comes once, and may be
		// acknowledged where it comes again.
		p.publish("a", "two", 2, 2, func(m *packet.Publish) { m.Dup = true })
		p.wantIdle(s)
		if err := got.all[1].Ack(); err != nil {
			t.Error(err)
		}
		if a := p.wantAck(packet.PUBREC); a.ID != 2 {
			t.Errorf("PUBREC %d", a.ID)
		}
		if err := got.all[1].Ack(); err != nil {
			t.Error("again:", err)
		}
		if texts := got.texts(); len(texts) != 2 {
			t.Errorf("got %q", texts)
		}
		p.nc.Close()
		p, _ = v.admit() // the session is lost
		p.publish("a", "three", 2, 2)
		if texts := got.texts(); len(texts) != 3 {
			t.Errorf("got %q", texts)
		}
	})
}

// A URL is enough.
func TestTrapURLIsEnough(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	addr := ln.Addr().String()
	b, err := midge.New(midge.Config{
		Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}, {URL: "ws://127.0.0.1:0/here"}, {URL: "unix://" + t.TempDir() + "/s"}},
		Logger:    quiet(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, url := range b.Addrs() {
		url = strings.Replace(url, "tcp:", "mqtt:", 1)
		c, err := client.Dial(ctx, url, client.Options{})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if _, err := c.Publish(ctx, message("a", "b", 2)); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		c.Close()
		<-c.Done()
	}
	// Several servers: the next one is tried.
	c, err := client.New(client.Config{
		Servers: append([]string{"mqtt://" + addr}, b.Addrs()...),
		Options: client.Options{ConnectTimeout: 5 * s}, Backoff: client.Backoff{Min: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(ctx); err != nil {
		t.Error(err)
	}
	c.Close()
	<-c.Done()
	for _, bad := range []string{"http://x", "mqtt:", "x", ":", "mqtts://a:b:c"} {
		if _, err := client.Dial(ctx, bad, client.Options{}); err == nil {
			t.Errorf("%q is no address", bad)
		}
	}
	if _, err := client.New(client.Config{Servers: []string{"mqtt://x"}, Options: client.Options{TLS: &client.TLS{}}}); err == nil {
		t.Error("TLS options with a scheme that has no TLS")
	}
}

func TestTrapOutbox(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c := v.newClient(client.Config{Options: client.Options{MaxQueuedMessages: 3}})
		expiring := message("a", "short", 1)
		expiring.HasExpiry, expiring.MessageExpiry = true, 10
		short, err := c.Enqueue(ctx, expiring)
		if err != nil {
			t.Fatal(err)
		}
		long, _ := c.Enqueue(ctx, message("a", "long", 1))
		zero, _ := c.Enqueue(ctx, message("a", "zero", 0))
		if _, err := c.Enqueue(ctx, message("a", "more", 1)); !errors.Is(err, client.ErrQueueFull) {
			t.Errorf("a full outbox: %v", err)
		}
		var listed []string
		for q := range c.Outbox() {
			listed = append(listed, fmt.Sprintf("%d %s %v", q.ID, q.Message.Payload, q.Stage))
		}
		if want := []string{"1 short waiting", "2 long waiting", "3 zero waiting"}; !slices.Equal(listed, want) {
			t.Errorf("outbox %q, want %q", listed, want)
		}
		patient := later(func() error { _, err := c.Publish(ctx, message("a", "patient", 1)); return err })
		wantPending(t, patient)
		<-short.Done()
		if _, err := short.Wait(ctx); !errors.Is(err, client.ErrExpired) {
			t.Errorf("expired: %v", err)
		}
		synctest.Wait() // the patient one has its place now
		if !c.Cancel(long.ID()) || c.Cancel(long.ID()) || c.Cancel(99) {
			t.Error("cancelling")
		}
		if _, err := long.Wait(ctx); !errors.Is(err, client.ErrCancelled) {
			t.Errorf("cancelled: %v", err)
		}
		more, err := c.Enqueue(ctx, message("a", "more", 1))
		if err != nil {
			t.Fatal(err)
		}
		c.Start()
		p, _ := v.admit()
		for _, want := range []string{"patient", "more"} {
			m := p.wantPublish()
			if string(m.Payload) != want {
				t.Errorf("sent %q, want %q", m.Payload, want)
			}
			p.ack(packet.PUBACK, m.ID, 0)
		}
		if m := p.wantPublish(); m.QoS != 0 {
			t.Errorf("sent %q", m.Payload)
		}
		for _, x := range []*client.Pending{more, zero} {
			if _, err := x.Wait(ctx); err != nil {
				t.Error(err)
			}
			if x.Cancel() {
				t.Error("cancelled what is done")
			}
		}
		if err := result(t, patient); err != nil {
			t.Error(err)
		}
		if st := c.Stats(); st.OutboxMessages != 0 || st.OutboxSize != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestTrapOutboxDropsOldest(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c := v.newClient(client.Config{Options: client.Options{MaxQueuedMessages: 2, Overflow: client.DropOldest}})
		var all []*client.Pending
		for i := range 5 {
			p, err := c.Enqueue(ctx, message("a", fmt.Sprint(i), mqtt.QoS(i%2)))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		for i, p := range all {
			select {
			case <-p.Done():
				if _, err := p.Wait(ctx); i >= 3 || !errors.Is(err, client.ErrQueueFull) {
					t.Errorf("%d: %v", i, err)
				}
			default:
				if i < 3 {
					t.Errorf("%d is still there", i)
				}
			}
		}
	})
}

// [MQTT-4.3.3-10, 5.0] [MQTT-4.3.3-2, 3.1.1]
func TestTrapDuplicates(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(version.String(), func(t *testing.T) {
			in(t, func(t *testing.T, v *server) {
				var got inbox
				c, p := v.connected(client.Config{Options: client.Options{
					Version: version, ClientID: "me", SessionExpiry: time.Hour, Handler: got.take,
				}, Store: &client.MemoryStore{}})
				// Nothing is sent again on a live connection.
				c.Enqueue(ctx, message("a", "", 1))
				p.wantPublish()
				p.wantIdle(50 * s)
				// A QoS 2 message that comes again is the same one.
				for range 3 {
					p.publish("a", "once", 2, 9)
					p.wantAck(packet.PUBREC)
				}
				p.nc.Close()
				p, _ = v.admit(present)
				p.wantPublish()
				p.publish("a", "once", 2, 9, func(m *packet.Publish) { m.Dup = true })
				p.wantAck(packet.PUBREC)
				p.ack(packet.PUBREL, 9, 0)
				p.wantAck(packet.PUBCOMP)
				if texts := got.texts(); len(texts) != 1 {
					t.Errorf("got %q", texts)
				}
				p.publish("a", "another", 2, 9)
				p.wantAck(packet.PUBREC)
				if texts := got.texts(); len(texts) != 2 {
					t.Errorf("got %q", texts)
				}
				// PUBREL for what nobody knows is answered, too.
				p.ack(packet.PUBREL, 77, 0)
				if a := p.wantAck(packet.PUBCOMP); a.ID != 77 || version == mqtt.V5 && a.Code != mqtt.PacketIdentifierNotFound {
					t.Errorf("PUBCOMP %d %v", a.ID, a.Code)
				}
				// A failing PUBREC ends it: no PUBREL.
				if version == mqtt.V5 {
					one := later(func() error { _, err := c.Publish(ctx, message("a", "", 2)); return err })
					p.ack(packet.PUBREC, p.wantPublish().ID, mqtt.QuotaExceeded)
					var no *client.ReasonError
					if err := result(t, one); !errors.As(err, &no) || no.Code != mqtt.QuotaExceeded || no.Packet != packet.PUBREC {
						t.Error(err)
					}
					p.wantIdle(s)
				}
			})
		})
	}
}

// Properties belong to a message and to nothing else.
func TestTrapPropertiesOnTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		var got inbox
		c := w.client(client.Config{})
		if _, err := c.Subscribe(ctx, client.Subscription{Filter: "#", Handler: got.take}); err != nil {
			t.Fatal(err)
		}
		full := message("a", "héllo", 1)
		full.Properties = mqtt.Properties{
			PayloadUTF8: true, HasExpiry: true, MessageExpiry: 100, ContentType: "text/plain", ResponseTopic: "back",
			CorrelationData: []byte{0, 1}, User: []mqtt.UserProperty{{Name: "k", Value: "1"}, {Name: "k", Value: "2"}},
		}
		for _, m := range []mqtt.Message{full, message("b", "", 1), message("c", "", 0)} {
			if _, err := c.Publish(ctx, m); err != nil {
				t.Fatal(err)
			}
		}
		got.texts()
		for i, m := range got.all {
			m.SubscriptionIDs = nil
			want := mqtt.Properties{}
			if i == 0 {
				want = full.Properties
			}
			if fmt.Sprintf("%+v", m.Properties) != fmt.Sprintf("%+v", want) {
				t.Errorf("%s: %+v, want %+v", m.Topic, m.Properties, want)
			}
		}
		// Refused here, before anything is sent.
		for name, m := range map[string]mqtt.Message{
			"topic":          message("a/#", "", 0),
			"no topic":       message("", "", 0),
			"QoS":            message("a", "", 3),
			"utf-8":          {Topic: "a", Payload: []byte{0xFF}, Properties: mqtt.Properties{PayloadUTF8: true}},
			"response topic": {Topic: "a", Properties: mqtt.Properties{ResponseTopic: "+"}},
			"content type":   {Topic: "a", Properties: mqtt.Properties{ContentType: "\x00"}},
			"user":           {Topic: "a", Properties: mqtt.Properties{User: []mqtt.UserProperty{{Name: strings.Repeat("x", 70000)}}}},
			"correlation":    {Topic: "a", Properties: mqtt.Properties{CorrelationData: make([]byte, 70000)}},
		} {
			if _, err := c.Publish(ctx, m); err == nil {
				t.Errorf("%s is accepted", name)
			}
			if _, err := c.Enqueue(ctx, m); err == nil {
				t.Errorf("%s is accepted", name)
			}
		}
	})
}

func TestTrapFragments(t *testing.T) {
	for name, above := range map[string]int{"whole": 0, "in parts": 10_000} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, v *server) {
				var got inbox
				_, p := v.connected(client.Config{Options: client.Options{StreamAbove: above, Handler: got.take}})
				big := strings.Repeat("0123456789", 100_000)
				for q := range mqtt.QoS(3) {
					done := later(func() error {
						p.publish("big", big, q, mqtt.PacketID(q), func(m *packet.Publish) {
							m.Properties.ContentType = []byte("digits")
						})
						return nil
					})
					result(t, done)
					switch q {
					case 1:
						p.wantAck(packet.PUBACK)
					case 2:
						p.wantAck(packet.PUBREC)
					}
				}
				p.publish("small", "x", 0, 0)
				whole, messages := "", 0
				got.texts()
				for _, m := range got.all {
					if m.Topic == "small" {
						continue
					}
					if m.Topic != "big" || m.ContentType != "digits" || m.Total != len(big) || m.Offset != len(whole) {
						t.Fatalf("part of %q %q: %d of %d at %d", m.Topic, m.ContentType, m.Offset, m.Total, len(whole))
					}
					if whole += string(m.Payload); m.Last() {
						if whole != big {
							t.Error("the parts are not the whole")
						}
						whole = ""
						messages++
					}
				}
				if messages != 3 || above == 0 && len(got.all) != 4 || above > 0 && len(got.all) < 40 {
					t.Errorf("%d messages in %d parts", messages, len(got.all))
				}
				// A message that breaks off is said to, and comes again.
				if above > 0 {
					m := packet.Publish{Topic: []byte("big"), Payload: []byte(big), QoS: 2, ID: 50}
					b := m.Append(nil, p.v)
					p.write(b[:len(b)/2])
					synctest.Wait()
					p.nc.Close()
					p, _ = v.admit(present)
					got.texts()
					if last := got.all[len(got.all)-1]; last.Total != -1 || !last.Last() {
						t.Errorf("the last part is at %d of %d", last.Offset, last.Total)
					}
					before := len(got.all)
					p.write(b)
					p.wantAck(packet.PUBREC)
					if got.texts(); len(got.all) < before+2 {
						t.Error("it does not come again")
					}
				}
			})
		})
	}
}

func TestTrapReconnectFromAnEvent(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		var c *client.Client
		begun := time.Now()
		c = v.newClient(client.Config{
			Backoff: client.Backoff{Min: time.Hour, Max: time.Hour},
			OnEvent: func(e client.Event) {
				if e, ok := e.(client.StateEvent); ok && e.State == client.Pausing {
					c.Reconnect()
					c.Reconnect()
				}
			},
		})
		c.Start()
		p, _ := v.admit()
		p.nc.Close()
		p, _ = v.admit(present)
		if d := time.Since(begun); d > s {
			t.Errorf("reconnected after %v", d)
		}
		synctest.Wait()
		c.Reconnect() // on a live connection: a new one, in good order
		p.wantEnd(mqtt.Success)
		v.admit(present)
		if d := time.Since(begun); d > 10*s {
			t.Errorf("reconnected after %v", d)
		}
	})
}
