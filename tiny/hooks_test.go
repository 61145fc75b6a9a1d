package tiny

import (
	"fmt"
	"slices"
	"testing"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

func TestHooks(t *testing.T) {
	var seen []string
	note := func(format string, args ...any) { seen = append(seen, fmt.Sprintf(format, args...)) }
	r := newRig(t, Limits{}, Hooks{
		Authenticate: func(c *Client, password []byte) mqtt.ReasonCode {
			if string(c.Username) != "ann" || string(password) != "secret" {
				return mqtt.BadUserNameOrPassword
			}
			return mqtt.Success
		},
		Connected:    func(c *Client) { note("+%s", c.ID) },
		Disconnected: func(c *Client, reason mqtt.ReasonCode) { note("-%s %v", c.ID, reason) },
		Publish: func(c *Client, m *Message) mqtt.ReasonCode {
			if string(m.Topic) == "secret" {
				return mqtt.NotAuthorized
			}
			note("%s: %s=%s", c.ID, m.Topic, m.Payload)
			return mqtt.Success
		},
		Subscribe: func(_ *Client, filter []byte, q mqtt.QoS) mqtt.ReasonCode {
			if string(filter) == "#" {
				return mqtt.NotAuthorized
			}
			return mqtt.ReasonCode(min(q, 1))
		},
	})
	ann := func(c *packet.Connect) {
		c.HasUsername, c.Username, c.HasPassword, c.Password = true, []byte("ann"), true, []byte("secret")
	}
	bob := r.dial(mqtt.V311)
	if k := bob.hello("bob"); k.Return != mqtt.RefusedCredentials {
		t.Errorf("bob gets %v", k.Return)
	}
	bob.close()
	w := r.connect("ann", mqtt.V5, ann, func(c *packet.Connect) {
		c.HasWill, c.Will.Topic, c.Will.Payload = true, []byte("wills"), []byte("gone")
	})
	w.publish("secret", "x", 1, 1, false)
	w.wantAck(packet.PUBACK, 1, mqtt.NotAuthorized)
	w.publish("secret", "x", 0, 0, false)
	w.publish("open", "x", 0, 0, false)
	s := packet.Subscribe{ID: 2, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("#")}).Add(packet.Subscription{Filter: []byte("a"), QoS: 2})}
	w.send(s.Append(nil, mqtt.V5))
	var a packet.Suback
	if a.Decode(mqtt.V5, packet.SUBACK, w.want(packet.SUBACK)); !slices.Equal(a.Codes, []byte{byte(mqtt.NotAuthorized), 1}) {
		t.Errorf("SUBACK % x", a.Codes)
	}
	w.close()
	want := []string{"+ann", "ann: open=x", "-ann unspecified error", "ann: wills=gone"}
	if !slices.Equal(seen, want) {
		t.Errorf("saw %q, want %q", seen, want)
	}
	if st := r.b.Stats(); st.Denied != 4 {
		t.Errorf("%d denied", st.Denied)
	}
}

// The program's own subscriptions: retained messages first, then what comes; a
// message that matches two is delivered once.
func TestOwnSubscriptions(t *testing.T) {
	var seen []string
	r := newRig(t, Limits{}, Hooks{Message: func(m *Message) {
		seen = append(seen, fmt.Sprintf("%s=%s %v", m.Topic, m.Payload, m.Retain))
	}})
	w := r.connect("c", mqtt.V311)
	w.publish("a/b", "kept", 0, 0, true)
	for _, filter := range []string{"a/#", "+/b"} {
		if err := r.b.Subscribe(filter); err != nil {
			t.Fatal(err)
		}
	}
	w.publish("a/b", "live", 1, 1, false)
	w.wantAck(packet.PUBACK, 1, 0)
	r.b.Publish(&Message{Topic: []byte("a/own"), Payload: []byte("x")})
	r.b.Unsubscribe("a/#")
	r.b.Unsubscribe("+/b")
	r.b.Unsubscribe("+/b")
	w.publish("a/b", "unheard", 0, 0, false)
	want := []string{"a/b=kept true", "a/b=kept true", "a/b=live false", "a/own=x false"}
	if !slices.Equal(seen, want) {
		t.Errorf("saw %q, want %q", seen, want)
	}
	if r.b.Subscribe("a/#/b") == nil || r.b.Subscribe("$share/g/a") == nil {
		t.Error("a filter that is none, or shared, is taken")
	}
	check(t, r.b)
}

// [MQTT-4.7.2-1]: the program may publish below $, which wildcards do not match.
func TestDollarTopics(t *testing.T) {
	r := newRig(t, Limits{}, Hooks{})
	w := r.connect("c", mqtt.V311)
	for _, filter := range []string{"#", "+/up", "$SYS/#"} {
		w.subscribe(filter, 0)
	}
	r.b.Publish(&Message{Topic: []byte("$SYS/up"), Payload: []byte("1")})
	w.wantMessage("$SYS/up", "1")
	w.wantIdle()
}
