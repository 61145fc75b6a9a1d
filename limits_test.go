package midge_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// ask sends a SUBSCRIBE for one filter and returns the code of its SUBACK.
func (p *peer) ask(filter string) mqtt.ReasonCode {
	p.t.Helper()
	s := packet.Subscribe{ID: 9, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte(filter)})}
	p.write(s.Append(nil, p.v))
	var k packet.Suback
	if err := k.Decode(p.v, packet.SUBACK, p.want(packet.SUBACK)); err != nil {
		p.t.Fatal(err)
	}
	return mqtt.ReasonCode(k.Codes[0])
}

func TestMaxSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBook
		w := newWorld(t, midge.Config{MaxSubscriptions: 2, SysInterval: time.Second, Logger: log.logger()})
		for v, full := range map[mqtt.Version]mqtt.ReasonCode{mqtt.V311: mqtt.UnspecifiedError, mqtt.V5: mqtt.QuotaExceeded} {
			p := w.connect("p"+v.String(), func(c *packet.Connect) { c.Version = v })
			for _, c := range []struct {
				filter string
				want   mqtt.ReasonCode
			}{{"a", 0}, {"$share/g/b", 0}, {"c", full}, {"c", full}, {"a", 0}} {
				if got := p.ask(c.filter); got != c.want {
					t.Errorf("%s, %s: SUBACK %v, want %v", v, c.filter, got, c.want)
				}
			}
			if got := p.unsubscribe(1, "a"); p.v == mqtt.V5 && got[0] != 0 {
				t.Errorf("UNSUBACK % x", got)
			}
			if got := p.ask("c"); got != 0 {
				t.Errorf("%s: SUBACK %v in the place that is free", v, got)
			}
		}
		<-time.After(2 * time.Second)
		wantSys(t, w.connect("sys"), "$SYS/broker/quota/refused", func(n int) bool { return n == 4 })
		if n := strings.Count(log.b.String(), "refused for a bound"); n != 2 {
			t.Errorf("the log says it %d times, want once for each client", n)
		}
	})
}

// retain publishes a retained message at QoS 1 and returns the code of its PUBACK.
func (p *peer) retain(topic, payload string) mqtt.ReasonCode {
	p.t.Helper()
	m := packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: 1, ID: 1, Retain: true}
	p.write(m.Append(nil, p.v))
	var a packet.Ack
	if err := a.Decode(p.v, packet.PUBACK, p.want(packet.PUBACK)); err != nil {
		p.t.Fatal(err)
	}
	return a.Code
}

func TestMaxRetained(t *testing.T) {
	const cost = 160 // each has beside its topic and its payload
	for name, cfg := range map[string]midge.Config{
		"messages": {MaxRetained: 3},
		"bytes":    {MaxRetainedBytes: 3 * (cost + 1 + 400)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, cfg)
				live := 0
				stop, err := w.b.Subscribe("+", 0, func(m mqtt.Message) { live++ })
				if err != nil {
					t.Fatal(err)
				}
				defer stop()
				p := w.connect("p")
				full := fmt.Sprintf("%0400d", 0)
				for i, c := range []struct {
					topic, payload string
					want           mqtt.ReasonCode
				}{
					{"a", full, 0},
					{"b", full, 0},
					{"c", full, 0},
					{"d", "x", mqtt.QuotaExceeded},
					{"c", "less", 0},
					{"b", "", 0}, // goes
					{"d", "x", 0},
				} {
					if got := p.retain(c.topic, c.payload); got != c.want {
						t.Errorf("step %d: PUBACK %v, want %v", i, got, c.want)
					}
				}
				synctest.Wait()
				if live != 6 {
					t.Errorf("%d messages were routed, want those accepted", live)
				}
				var refusal *midge.Refusal
				err = w.b.Publish(mqtt.Message{Topic: "e", Payload: make([]byte, 2000), Retain: true})
				if !errors.As(err, &refusal) || refusal.Code != mqtt.QuotaExceeded {
					t.Errorf("the program's own: %v", err)
				}
				if err := w.b.Publish(mqtt.Message{Topic: "$own", Payload: make([]byte, 2000), Retain: true}); err != nil {
					t.Errorf("a $-topic: %v", err)
				}
			})
		})
	}
}

// hello sends CONNECT for a session that is to be kept and returns the answer.
func (w *world) hello(id string, v mqtt.Version) (*peer, packet.Connack) {
	w.t.Helper()
	p := w.dial()
	p.v = v
	c := packet.Connect{Version: v, ClientID: []byte(id), Properties: &packet.Properties{SessionExpiryInterval: 60}}
	c.Properties.Present = c.Properties.Present.With(packet.PropSessionExpiryInterval)
	p.write(c.Append(nil))
	k := packet.Connack{Properties: new(packet.Properties)}
	if err := k.Decode(v, p.want(packet.CONNACK)); err != nil {
		w.t.Fatal(err)
	}
	return p, k
}

// When as many sessions are kept as may be, those who have one come back to
// it, a 5.0 client is told that it has none to come back to, and an older one,
// which cannot be told, is not let in.
func TestMaxSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{MaxSessions: 2})
		for _, id := range []string{"a", "b"} {
			p, k := w.hello(id, mqtt.V5)
			if k.Code.Failed() || k.Properties.Has(packet.PropSessionExpiryInterval) {
				t.Errorf("%s: CONNACK %v, expiry %d", id, k.Code, k.Properties.SessionExpiryInterval)
			}
			p.nc.Close()
			synctest.Wait()
		}
		if _, k := w.hello("old", mqtt.V311); k.Return != mqtt.RefusedUnavailable {
			t.Errorf("old: CONNACK %v", k.Return)
		}
		p, k := w.hello("c", mqtt.V5)
		if k.Code.Failed() || !k.Properties.Has(packet.PropSessionExpiryInterval) || k.Properties.SessionExpiryInterval != 0 {
			t.Errorf("c: CONNACK %v, expiry %d", k.Code, k.Properties.SessionExpiryInterval)
		}
		// It does not get with DISCONNECT what it did not get with CONNECT.
		d := packet.Disconnect{Properties: &packet.Properties{SessionExpiryInterval: 60}}
		d.Properties.Present = d.Properties.Present.With(packet.PropSessionExpiryInterval)
		p.write(d.Append(nil, p.v))
		p.rest()
		p.nc.Close()
		for _, c := range []struct {
			id      string
			present bool
		}{{"a", true}, {"b", true}, {"c", false}} {
			p, k := w.hello(c.id, mqtt.V5)
			if k.SessionPresent != c.present {
				t.Errorf("%s: Session Present %v", c.id, k.SessionPresent)
			}
			p.nc.Close()
			synctest.Wait()
		}
		<-time.After(61 * time.Second) // their sessions expire
		if _, k := w.hello("old", mqtt.V311); k.Return != mqtt.Accepted {
			t.Errorf("old, with room: CONNACK %v", k.Return)
		}
	})
}
