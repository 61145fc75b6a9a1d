package link_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// An end is a Reader in some phase, fed whole packets.
type end struct {
	t *testing.T
	r link.Reader
	p link.Packets
}

var announced = mqtt.Limits{
	ReceiveMaximum: 10, MaxPacketSize: 1000, TopicAliasMaximum: 3, MaxQoS: 2,
	RetainAvailable: true, WildcardAvailable: true, SubscriptionIDs: true, SharedAvailable: true,
}

// server returns a server's end that has accepted a CONNECT.
func server(t *testing.T, v mqtt.Version, with ...func(*packet.Connect, *mqtt.Limits)) *end {
	t.Helper()
	e, l := &end{t: t}, announced
	e.r.Init(link.Server, 0, 1000)
	c := packet.Connect{Version: v, ClientID: []byte("c"), CleanStart: true, Properties: new(packet.Properties)}
	for _, f := range with {
		f(&c, &l)
	}
	e.take(c.Append(nil), packet.CONNECT)
	e.r.Open(l)
	return e
}

func client(t *testing.T, v mqtt.Version) *end {
	t.Helper()
	e := &end{t: t}
	e.r.Init(link.Client, v, 1000)
	e.take((&packet.Connack{}).Append(nil, v), packet.CONNACK)
	e.r.Open(announced)
	return e
}

func (e *end) take(b []byte, want packet.Type) {
	e.t.Helper()
	ty, n, _, err := e.r.Next(b, &e.p)
	if err != nil || n != len(b) || ty != want {
		e.t.Fatalf("% x: got %v, %d bytes, %v; want %v", b, ty, n, err, want)
	}
}

// refuse wants a packet refused with a code and words that contain why.
func (e *end) refuse(b []byte, code mqtt.ReasonCode, why string) {
	e.t.Helper()
	_, n, _, err := e.r.Next(b, &e.p)
	var fault *packet.Error
	if !errors.As(err, &fault) || fault.Code != code || !strings.Contains(fault.Text, why) || n != 0 {
		e.t.Errorf("% x: got %v, %d bytes; want 0x%02X, %q", b, err, n, byte(code), why)
	}
}

func method(name string) *packet.Properties {
	return &packet.Properties{AuthenticationMethod: []byte(name)}
}

func TestServerPhases(t *testing.T) {
	ping := packet.AppendPingreq(nil)
	e := &end{t: t}
	e.r.Init(link.Server, 0, 1000)
	e.refuse(ping, mqtt.ProtocolError, "first packet is not CONNECT") // [MQTT-3.1.0-1]
	e.refuse([]byte{0x11, 0}, mqtt.MalformedPacket, "reserved flags")
	e.refuse([]byte{0x10, 0xFF, 0x7F}, mqtt.PacketTooLarge, "larger")

	e = server(t, mqtt.V5)
	e.take(ping, packet.PINGREQ)
	e.refuse((&packet.Connect{Version: mqtt.V5}).Append(nil), mqtt.ProtocolError, "second CONNECT") // [MQTT-3.1.0-2]
	for _, b := range [][]byte{{0x20, 0}, {0x90, 0}, {0xB0, 0}, {0xD0, 0}} {
		e.refuse(b, mqtt.ProtocolError, "this side never receives")
	}
	e.refuse([]byte{0x30, 0xE9, 0x07}, mqtt.PacketTooLarge, "larger") // [X5-3.2.2.3.6-a]: judged by its header alone
	e.r.Close()
	e.refuse(ping, mqtt.ProtocolError, "after the end") // [MQTT-3.1.4-6, 5.0]
}

func TestClientPhases(t *testing.T) {
	e := &end{t: t}
	e.r.Init(link.Client, mqtt.V5, 1000)
	e.refuse(packet.AppendPingresp(nil), mqtt.ProtocolError, "first packet is not CONNACK") // [MQTT-3.2.0-1]
	e = client(t, mqtt.V5)
	e.take(packet.AppendPingresp(nil), packet.PINGRESP)
	e.refuse((&packet.Connack{}).Append(nil, mqtt.V5), mqtt.ProtocolError, "second CONNACK") // [MQTT-3.2.0-2]
	e.refuse(packet.AppendPingreq(nil), mqtt.ProtocolError, "this side never receives")
	d := packet.Disconnect{Code: mqtt.DisconnectWithWill}
	e.refuse(d.Append(nil, mqtt.V5), mqtt.ProtocolError, "other side alone")
	d = packet.Disconnect{Properties: &packet.Properties{SessionExpiryInterval: 1}}
	e.refuse(d.Append(nil, mqtt.V5), mqtt.ProtocolError, "from a server with a Session Expiry") // [MQTT-3.14.2-2, 5.0]
	client(t, mqtt.V311).refuse([]byte{0xE0, 0}, mqtt.ProtocolError, "this side never receives")
}

// [MQTT-3.3.2-7] [MQTT-3.3.2-9] [MQTT-3.3.2-12, 5.0] [X5-3.3.4-b] [X5-3.3.4-c] [X5-3.3.4-d]
func TestAliases(t *testing.T) {
	publish := func(topic string, alias uint16) []byte {
		p := packet.Publish{Topic: []byte(topic), Properties: &packet.Properties{TopicAlias: alias}}
		return p.Append(nil, mqtt.V5)
	}
	for name, e := range map[string]*end{"server": server(t, mqtt.V5), "client": client(t, mqtt.V5)} {
		for _, step := range []struct {
			topic string
			alias uint16
			want  string
		}{{"a", 1, "a"}, {"", 1, "a"}, {"c", 3, "c"}, {"", 3, "c"}, {"b", 1, "b"}, {"", 1, "b"}, {"plain", 0, "plain"}} {
			e.take(publish(step.topic, step.alias), packet.PUBLISH)
			if got := string(e.p.Publish.Topic); got != step.want {
				t.Errorf("%s: %q under alias %d is %q, want %q", name, step.topic, step.alias, got, step.want)
			}
		}
		e.refuse(publish("", 2), mqtt.ProtocolError, "no earlier PUBLISH defined")
		e.refuse(publish("x", 4), mqtt.TopicAliasInvalid, "above the announced maximum")
		e.r.Init(link.Server, 0, 1000) // another connection, the same Reader
		e.take((&packet.Connect{Version: mqtt.V5, CleanStart: true}).Append(nil), packet.CONNECT)
		e.r.Open(announced)
		e.refuse(publish("", 1), mqtt.ProtocolError, "no earlier PUBLISH defined")
	}
}

func TestAnnouncedLimits(t *testing.T) {
	sub := func(filter string, id uint32) []byte {
		p := packet.Subscribe{
			ID: 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte(filter)}),
			Properties: &packet.Properties{SubscriptionIdentifier: id},
		}
		return p.Append(nil, mqtt.V5)
	}
	e := server(t, mqtt.V5, func(_ *packet.Connect, l *mqtt.Limits) {
		l.MaxQoS, l.RetainAvailable, l.WildcardAvailable, l.SubscriptionIDs, l.SharedAvailable = 0, false, false, false, false
	})
	e.refuse((&packet.Publish{Topic: []byte("t"), QoS: 1, ID: 1}).Append(nil, mqtt.V5), mqtt.QoSNotSupported, "Maximum QoS") // [X5-3.2.2.3.4-a]
	e.refuse((&packet.Publish{Topic: []byte("t"), Retain: true}).Append(nil, mqtt.V5), mqtt.RetainNotSupported, "RETAIN")    // [X5-3.2.2.3.5-a]
	e.refuse(sub("a/#", 0), mqtt.WildcardSubscriptionsNotSupported, "wildcard")                                              // [X5-3.2.2.3.11-a]
	e.refuse(sub("$share/g/+", 0), mqtt.SharedSubscriptionsNotSupported, "shared")                                           // [X5-3.2.2.3.13-a]
	e.refuse(sub("a", 7), mqtt.SubscriptionIdentifiersNotSupported, "Subscription Identifier")                               // [X5-3.2.2.3.12-a]
	e.take(sub("a", 0), packet.SUBSCRIBE)

	p := packet.Publish{Topic: []byte("t"), Properties: &packet.Properties{SubscriptionIdentifier: 7}}
	server(t, mqtt.V5).refuse(p.Append(nil, mqtt.V5), mqtt.ProtocolError, "from a client") // [MQTT-3.3.4-6, 5.0]
	client(t, mqtt.V5).take(p.Append(nil, mqtt.V5), packet.PUBLISH)
}

func TestServerDisconnectRules(t *testing.T) {
	d := packet.Disconnect{Code: mqtt.SessionTakenOver}
	server(t, mqtt.V5).refuse(d.Append(nil, mqtt.V5), mqtt.ProtocolError, "other side alone") // [MQTT-3.14.2-1, 5.0]
	d = packet.Disconnect{Properties: &packet.Properties{ServerReference: []byte("x")}}
	server(t, mqtt.V5).refuse(d.Append(nil, mqtt.V5), mqtt.ProtocolError, "Server Reference")
	d = packet.Disconnect{Properties: &packet.Properties{SessionExpiryInterval: 1}}
	server(t, mqtt.V5).refuse(d.Append(nil, mqtt.V5), mqtt.ProtocolError, "Session Expiry") // [X5-3.14.2.2.2-a]
	server(t, mqtt.V5, func(c *packet.Connect, _ *mqtt.Limits) { c.Properties.SessionExpiryInterval = 9 }).
		take(d.Append(nil, mqtt.V5), packet.DISCONNECT)
}

func TestEnhancedAuthentication(t *testing.T) {
	auth := func(code mqtt.ReasonCode, name string) []byte {
		return (&packet.Auth{Code: code, Properties: method(name)}).Append(nil, mqtt.V5)
	}
	server(t, mqtt.V5).refuse(auth(0x18, "m"), mqtt.ProtocolError, "named no") // [MQTT-4.12.0-7, 5.0]

	e := &end{t: t}
	e.r.Init(link.Server, 0, 1000)
	e.take((&packet.Connect{Version: mqtt.V5, Properties: method("m")}).Append(nil), packet.CONNECT)
	e.refuse(auth(0x18, "m"), mqtt.ProtocolError, "another Authentication Method") // the server has not agreed
	e.r.SetMethod([]byte("m"))
	e.refuse(packet.AppendPingreq(nil), mqtt.ProtocolError, "only AUTH and DISCONNECT") // [MQTT-3.1.2-30, 5.0]
	e.refuse(auth(0x18, "other"), mqtt.ProtocolError, "another Authentication Method")  // [MQTT-4.12.0-5, 5.0]
	e.refuse(auth(0x19, "m"), mqtt.ProtocolError, "code that does not fit")
	e.take(auth(0x18, "m"), packet.AUTH)
	e.r.Open(announced)
	e.refuse(auth(0x18, "m"), mqtt.ProtocolError, "code that does not fit")
	e.take(auth(0x19, "m"), packet.AUTH) // [MQTT-4.12.1-1, 5.0]
	e.take(auth(0x18, "m"), packet.AUTH)
	e.refuse(auth(0x19, "m"), mqtt.ProtocolError, "code that does not fit")
	e.r.Reauthenticated()
	e.take(auth(0x19, "m"), packet.AUTH)
}

// A packet in two halves is asked for whole, and only then taken.
func TestPartialPackets(t *testing.T) {
	e := server(t, mqtt.V311)
	b := (&packet.Publish{Topic: []byte("t"), Payload: make([]byte, 300)}).Append(nil, mqtt.V311)
	for n := range len(b) {
		if _, took, need, err := e.r.Next(b[:n], &e.p); took != 0 || err != nil || need <= n {
			t.Fatalf("of %d bytes it takes %d, wants %d, %v", n, took, need, err)
		}
	}
	e.take(b, packet.PUBLISH)
}

func TestNextAllocatesNothing(t *testing.T) {
	for v := mqtt.V31; v <= mqtt.V5; v++ {
		e := server(t, v)
		for q := range mqtt.QoS(3) {
			p := packet.Publish{Topic: []byte("a/b"), Payload: []byte("x"), QoS: q}
			if q > 0 {
				p.ID = 1
			}
			b := p.Append(nil, v)
			if n := testing.AllocsPerRun(100, func() { e.take(b, packet.PUBLISH) }); n != 0 {
				t.Errorf("%v QoS %d: %v allocations", v, q, n)
			}
		}
	}
}

// Acknowledgements that say nothing but all is well are taken together, and
// anything else is left.
func TestAcks(t *testing.T) {
	e := server(t, mqtt.V5)
	ack := func(t packet.Type, id mqtt.PacketID, c mqtt.ReasonCode) []byte {
		return (&packet.Ack{Type: t, ID: id, Code: c}).Append(nil, mqtt.V5)
	}
	three := slices.Concat(ack(packet.PUBREL, 1, 0), ack(packet.PUBREL, 2, 0), ack(packet.PUBREL, 65535, 0))
	for _, c := range []struct {
		name   string
		behind []byte
	}{
		{"nothing", nil},
		{"half of one", three[:3]},
		{"another type", ack(packet.PUBACK, 3, 0)},
		{"a reason code", ack(packet.PUBREL, 3, mqtt.PacketIdentifierNotFound)},
		{"no identifier", []byte{0x62, 2, 0, 0}},
		{"wrong flags", []byte{0x60, 2, 0, 4}},
	} {
		if ty, n := e.r.Acks(slices.Concat(three, c.behind)); ty != packet.PUBREL || n != len(three) {
			t.Errorf("before %s: %d bytes of %v", c.name, n, ty)
		}
		if _, n := e.r.Acks(c.behind); n > 0 && c.name != "another type" {
			t.Errorf("%s is taken", c.name)
		}
	}
	e.r.Close()
	if _, n := e.r.Acks(three); n > 0 {
		t.Error("a closed link takes acknowledgements")
	}
}

// What differs from the PUBLISH before in identifier and payload alone is taken
// unread, and anything else is left.
func TestRepeats(t *testing.T) {
	publish := func(v mqtt.Version, q mqtt.QoS, with func(*packet.Publish)) []byte {
		p := packet.Publish{Topic: []byte("a/b"), QoS: q, Payload: []byte("xyz"), Properties: new(packet.Properties)}
		if q > 0 {
			p.ID = 7
		}
		with(&p)
		return p.Append(nil, v)
	}
	as := func(*packet.Publish) {}
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for q := range mqtt.QoS(3) {
			e := server(t, v)
			first := publish(v, q, as)
			next := publish(v, q, func(p *packet.Publish) { p.Payload, p.ID = []byte("abc"), p.ID*9 })
			for name, behind := range map[string][]byte{
				"nothing":        nil,
				"half of one":    first[:len(first)-1],
				"another topic":  publish(v, q, func(p *packet.Publish) { p.Topic = []byte("a/c") }),
				"another length": publish(v, q, func(p *packet.Publish) { p.Topic, p.Payload = []byte("a/bb"), []byte("yz") }),
				"more payload":   publish(v, q, func(p *packet.Publish) { p.Payload = []byte("1234") }),
				"RETAIN":         publish(v, q, func(p *packet.Publish) { p.Retain = true }),
				"DUP":            publish(v, max(q, 1), func(p *packet.Publish) { p.Dup = true }),
				"another QoS":    publish(v, (q+1)%3, as),
				"no identifier":  publish(v, max(q, 1), func(p *packet.Publish) { p.ID = 0 }),
				"a property":     publish(v, q, func(p *packet.Publish) { p.Payload, p.Properties.TopicAlias = nil, 1 }),
				"another type":   packet.AppendPingreq(nil),
			} {
				if name == "a property" && v != mqtt.V5 {
					continue
				}
				e.take(first, packet.PUBLISH)
				if n := e.r.Repeats(first, &e.p.Publish, slices.Concat(next, first, behind)); n != 2*len(first) {
					t.Errorf("%v QoS %d before %s: %d bytes, want %d", v, q, name, n, 2*len(first))
				}
			}
		}
	}
	e := server(t, mqtt.V5)
	aliased := publish(mqtt.V5, 0, func(p *packet.Publish) { p.Properties.TopicAlias = 1 })
	e.take(aliased, packet.PUBLISH)
	if n := e.r.Repeats(aliased, &e.p.Publish, aliased); n != 0 {
		t.Errorf("%d bytes with an alias are taken", n)
	}
}
