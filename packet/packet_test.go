package packet

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/midgemq/midge/mqtt"
)

// full are properties with every field a packet of type t may carry.
func full(t Type, v mqtt.Version) *Properties {
	p := new(Properties)
	if v != mqtt.V5 {
		return p
	}
	for _, id := range ids {
		if !legal[t].Has(id) {
			continue
		}
		switch id.kind() {
		case kindByte:
			*p.byteField(id) = 1
		case kindUint16:
			*p.uint16Field(id) = 0x0102
		case kindUint32:
			*p.uint32Field(id) = 0x01020304
		case kindVarint:
			p.SubscriptionIdentifier = 300
		case kindPair:
			p.Users = p.Users.Add("name", "value").Add("name", "")
		default:
			*p.bytesField(id) = []byte("text")
		}
	}
	return p
}

// A codec is one packet type's way out and in again.
type codec struct {
	name   string
	encode func(v mqtt.Version) []byte
	decode func(v mqtt.Version, h Header, body []byte) error // into the same memory each time
}

func codecs() []codec {
	var connect Connect
	var connack Connack
	var publish Publish
	var ack Ack
	var subscribe Subscribe
	var suback Suback
	var unsubscribe Unsubscribe
	var disconnect Disconnect
	var auth Auth
	return []codec{
		{"CONNECT", func(v mqtt.Version) []byte {
			c := Connect{
				Version: v, CleanStart: true, KeepAlive: 60, ClientID: []byte("client"), HasUsername: true, Username: []byte("u"),
				HasPassword: true, Password: []byte{0, 1}, HasWill: true, Properties: full(CONNECT, v),
				Will: Will{Topic: []byte("w"), Payload: []byte("gone"), QoS: 2, Retain: true, Properties: full(will, v)},
			}
			return c.Append(nil)
		}, func(_ mqtt.Version, _ Header, b []byte) error { return connect.Decode(b) }},
		{"CONNACK", func(v mqtt.Version) []byte {
			return (&Connack{SessionPresent: v != mqtt.V31, Properties: full(CONNACK, v)}).Append(nil, v)
		}, func(v mqtt.Version, _ Header, b []byte) error { return connack.Decode(v, b) }},
		{"PUBLISH", func(v mqtt.Version) []byte {
			return (&Publish{Dup: true, QoS: 2, Retain: true, ID: 7, Topic: []byte("a/b"), Payload: []byte("x"), Properties: full(PUBLISH, v)}).Append(nil, v)
		}, func(v mqtt.Version, h Header, b []byte) error { return publish.Decode(v, h.Flags, b) }},
		{"PUBREC", func(v mqtt.Version) []byte {
			return (&Ack{Type: PUBREC, ID: 7, Code: mqtt.QuotaExceeded, Properties: full(PUBREC, v)}).Append(nil, v)
		}, func(v mqtt.Version, h Header, b []byte) error { return ack.Decode(v, h.Type, b) }},
		{"SUBSCRIBE", func(v mqtt.Version) []byte {
			p := Subscribe{ID: 7, Properties: full(SUBSCRIBE, v), Filters: Filters(nil).Add(Subscription{Filter: []byte("a/#"), QoS: 2})}
			return p.Append(nil, v)
		}, func(v mqtt.Version, _ Header, b []byte) error { return subscribe.Decode(v, b) }},
		{"SUBACK", func(v mqtt.Version) []byte {
			return (&Suback{Type: SUBACK, ID: 7, Codes: []byte{0, 1, 2, 0x80}, Properties: full(SUBACK, v)}).Append(nil, v)
		}, func(v mqtt.Version, h Header, b []byte) error { return suback.Decode(v, h.Type, b) }},
		{"UNSUBSCRIBE", func(v mqtt.Version) []byte {
			return (&Unsubscribe{ID: 7, Properties: full(UNSUBSCRIBE, v), Filters: TopicFilters(nil).Add("a").Add("b/+")}).Append(nil, v)
		}, func(v mqtt.Version, _ Header, b []byte) error { return unsubscribe.Decode(v, b) }},
		{"UNSUBACK", func(v mqtt.Version) []byte {
			return (&Suback{Type: UNSUBACK, ID: 7, Codes: []byte{0, 0x11}, Properties: full(UNSUBACK, v)}).Append(nil, v)
		}, func(v mqtt.Version, h Header, b []byte) error { return suback.Decode(v, h.Type, b) }},
		{"DISCONNECT", func(v mqtt.Version) []byte {
			return (&Disconnect{Code: mqtt.DisconnectWithWill, Properties: full(DISCONNECT, v)}).Append(nil, v)
		}, func(v mqtt.Version, _ Header, b []byte) error { return disconnect.Decode(v, b) }},
		{"AUTH", func(mqtt.Version) []byte {
			return (&Auth{Code: mqtt.ContinueAuthentication, Properties: full(AUTH, mqtt.V5)}).Append(nil, mqtt.V5)
		}, func(_ mqtt.Version, _ Header, b []byte) error { return auth.Decode(b) }},
	}
}

// Every packet type with everything it can carry comes back as it went, is
// decoded into memory that is used again, and costs no allocation.
func TestDecodeAllocatesNothing(t *testing.T) {
	for _, c := range codecs() {
		for v := mqtt.V31; v <= mqtt.V5; v++ {
			if c.name == "AUTH" && v != mqtt.V5 {
				continue
			}
			whole := c.encode(v)
			h, err := ReadHeader(whole)
			if err != nil || h.Size+h.Len != len(whole) || h.Type.String() != c.name {
				t.Fatalf("%s %v: header %+v of %d bytes, %v", c.name, v, h, len(whole), err)
			}
			if err := h.Check(v); err != nil {
				t.Errorf("%s %v: %v", c.name, v, err)
			}
			body := whole[h.Size:]
			if n := testing.AllocsPerRun(100, func() { err = c.decode(v, h, body) }); n != 0 || err != nil {
				t.Errorf("%s %v: %v allocations, %v", c.name, v, n, err)
			}
		}
	}
}

func TestRoundTrips(t *testing.T) {
	for v := mqtt.V31; v <= mqtt.V5; v++ {
		in := Publish{Dup: true, QoS: 1, Retain: true, ID: 7, Topic: []byte("a/b"), Payload: []byte("x"), Properties: full(PUBLISH, v)}
		var out Publish
		whole := in.Append(nil, v)
		if err := out.Decode(v, whole[0]&15, whole[2:]); err != nil {
			t.Fatal(err)
		}
		if again := out.Append(nil, v); !bytes.Equal(whole, again) || in.Size(v) != len(whole) {
			t.Errorf("%v: % x became % x; size %d", v, whole, again, in.Size(v))
		}
		out.Properties, in.Properties = nil, nil
		if !reflect.DeepEqual(in, out) {
			t.Errorf("%v: got %+v, want %+v", v, out, in)
		}
	}
	for _, c := range []Connect{
		{Version: mqtt.V31, ClientID: []byte("a"), KeepAlive: 1},
		{Version: mqtt.V311, CleanStart: true},
		{Version: mqtt.V311, Bridge: true, ClientID: []byte("b")},
		{Version: mqtt.V5, HasPassword: true, Password: []byte("p"), ClientID: []byte("c")},
	} {
		var out Connect
		if err := out.Decode(c.Append(nil)[2:]); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Append(nil), c.Append(nil)) {
			t.Errorf("got %+v, want %+v", out, c)
		}
	}
}

// Encoding a PUBLISH or an acknowledgement into a buffer with room is free.
func TestEncodeAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 4096)
	for v := mqtt.V31; v <= mqtt.V5; v++ {
		p := Publish{QoS: 1, ID: 7, Topic: []byte("a/b"), Payload: []byte("x"), Properties: full(PUBLISH, v)}
		if n := testing.AllocsPerRun(100, func() { buf = p.Append(buf[:0], v) }); n != 0 {
			t.Errorf("PUBLISH %v: %v allocations", v, n)
		}
		for ty := PUBACK; ty <= PUBCOMP; ty++ {
			a := Ack{Type: ty, ID: 7, Properties: full(ty, v)}
			if n := testing.AllocsPerRun(100, func() { buf = a.Append(buf[:0], v) }); n != 0 {
				t.Errorf("%v %v: %v allocations", ty, v, n)
			}
		}
	}
}

// A refusal is a packet that may not be, and the code it is answered with.
type refusal struct {
	why    string
	code   mqtt.ReasonCode
	decode func() error
}

func publishBody(v mqtt.Version, flags byte, b ...byte) func() error {
	return func() error { return new(Publish).Decode(v, flags, b) }
}

func ackBody(v mqtt.Version, ty Type, b ...byte) func() error {
	return func() error { return new(Ack).Decode(v, ty, b) }
}

func subscribeBody(v mqtt.Version, b ...byte) func() error {
	return func() error { return new(Subscribe).Decode(v, b) }
}

func connectBody(b string) func() error {
	return func() error { return new(Connect).Decode([]byte(b)) }
}

func TestRefusals(t *testing.T) {
	const v4, v5 = mqtt.V311, mqtt.V5
	for _, r := range []refusal{
		{"CONNECT under another name [MQTT-3.1.2-1]", mqtt.UnsupportedProtocolVersion, connectBody("\x00\x04MQTX\x04\x02\x00\x00\x00\x00")},
		{"CONNECT of an unknown level [MQTT-3.1.2-2]", mqtt.UnsupportedProtocolVersion, connectBody("\x00\x04MQTT\x06\x02\x00\x00\x00\x00")},
		{"level 3 as MQTT", mqtt.UnsupportedProtocolVersion, connectBody("\x00\x04MQTT\x03\x02\x00\x00\x00\x01a")},
		{"level 4 as MQIsdp", mqtt.UnsupportedProtocolVersion, connectBody("\x00\x06MQIsdp\x04\x02\x00\x00\x00\x01a")},
		{"reserved connect flag [MQTT-3.1.2-3]", mqtt.MalformedPacket, connectBody("\x00\x04MQTT\x04\x03\x00\x00\x00\x00")},
		{"will QoS 3 [MQTT-3.1.2-14, 3.1.1]", mqtt.MalformedPacket, connectBody("\x00\x04MQTT\x04\x1e\x00\x00\x00\x00\x00\x01w\x00\x00")},
		{"will retain without will [MQTT-3.1.2-15, 3.1.1]", mqtt.MalformedPacket, connectBody("\x00\x04MQTT\x04\x22\x00\x00\x00\x00")},
		{"password alone [MQTT-3.1.2-22, 3.1.1]", mqtt.MalformedPacket, connectBody("\x00\x04MQTT\x04\x42\x00\x00\x00\x00\x00\x00")},
		{"will topic with a wildcard", mqtt.TopicNameInvalid, connectBody("\x00\x04MQTT\x04\x06\x00\x00\x00\x00\x00\x01#\x00\x00")},
		{"bytes behind CONNECT", mqtt.MalformedPacket, connectBody("\x00\x04MQTT\x04\x02\x00\x00\x00\x00!")},
		{"CONNECT cut short", mqtt.MalformedPacket, connectBody("\x00\x04MQTT\x04\x02\x00")},
		{"will payload not UTF-8 [X5-3.1.3.2.3-a]", mqtt.PayloadFormatInvalid, connectBody("\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x00\x02\x01\x01\x00\x01w\x00\x01\xff")},

		{"PUBLISH without topic [MQTT-4.7.3-1, 3.1.1]", mqtt.MalformedPacket, publishBody(v4, 0, 0, 0)},
		{"PUBLISH without topic and alias [X5-3.3.2.1-a]", mqtt.ProtocolError, publishBody(v5, 0, 0, 0, 0)},
		{"PUBLISH to a wildcard [MQTT-3.3.2-2]", mqtt.TopicNameInvalid, publishBody(v5, 0, 0, 1, '+', 0)},
		{"PUBLISH with identifier 0 [MQTT-2.3.1-1, 3.1.1]", mqtt.MalformedPacket, publishBody(v4, 2, 0, 1, 'a', 0, 0)},
		{"PUBLISH without identifier", mqtt.MalformedPacket, publishBody(v4, 2, 0, 1, 'a')},
		{"PUBLISH with U+0000 [MQTT-1.5.3-2, 3.1.1]", mqtt.MalformedPacket, publishBody(v4, 0, 0, 1, 0)},
		{"PUBLISH with broken UTF-8 [MQTT-1.5.4-1, 5.0]", mqtt.MalformedPacket, publishBody(v5, 0, 0, 2, 0xC3, 0x28, 0)},

		{"PUBACK of three bytes", mqtt.MalformedPacket, ackBody(v4, PUBACK, 0, 1, 0)},
		{"PUBACK of identifier 0", mqtt.MalformedPacket, ackBody(v4, PUBACK, 0, 0)},
		{"PUBACK with a PUBREL code [MQTT-3.4.2-1, 5.0]", mqtt.MalformedPacket, ackBody(v5, PUBACK, 0, 1, 0x92)},
		{"PUBREL with a PUBACK code [MQTT-3.6.2-1, 5.0]", mqtt.MalformedPacket, ackBody(v5, PUBREL, 0, 1, 0x10)},
		{"PUBCOMP with bytes left over", mqtt.MalformedPacket, ackBody(v5, PUBCOMP, 0, 1, 0, 0, 9)},

		{"SUBSCRIBE without filter [MQTT-3.8.3-3, 3.1.1]", mqtt.ProtocolError, subscribeBody(v4, 0, 1)},
		{"SUBSCRIBE without filter [X5-3.8.3-a]", mqtt.ProtocolError, subscribeBody(v5, 0, 1, 0)},
		{"SUBSCRIBE without option byte", mqtt.MalformedPacket, subscribeBody(v5, 0, 1, 0, 0, 1, 'a')},
		{"options of 5.0 in 3.1.1 [MQTT-3.8.3-4, 3.1.1]", mqtt.MalformedPacket, subscribeBody(v4, 0, 1, 0, 1, 'a', 4)},
		{"QoS 3 in 3.1.1 [MQTT-3.8.3-4, 3.1.1]", mqtt.MalformedPacket, subscribeBody(v4, 0, 1, 0, 1, 'a', 3)},
		{"reserved options [MQTT-3.8.3-5, 5.0]", mqtt.MalformedPacket, subscribeBody(v5, 0, 1, 0, 0, 1, 'a', 0x40)},
		{"QoS 3 [X5-3.8.3.1-a]", mqtt.ProtocolError, subscribeBody(v5, 0, 1, 0, 0, 1, 'a', 3)},
		{"Retain Handling 3 [X5-3.8.3.1-b]", mqtt.ProtocolError, subscribeBody(v5, 0, 1, 0, 0, 1, 'a', 0x30)},
		{"No Local on $share [MQTT-3.8.3-4, 5.0]", mqtt.ProtocolError, subscribeBody(v5, append([]byte{0, 1, 0, 0, 10}, "$share/g/t\x04"...)...)},

		{"UNSUBSCRIBE without filter [X5-3.10.3-a]", mqtt.ProtocolError, func() error { return new(Unsubscribe).Decode(v5, []byte{0, 1, 0}) }},
		{"UNSUBSCRIBE cut short", mqtt.MalformedPacket, func() error { return new(Unsubscribe).Decode(v4, []byte{0, 1, 0, 5, 'a'}) }},
		{"DISCONNECT with a body in 3.1.1", mqtt.MalformedPacket, func() error { return new(Disconnect).Decode(v4, []byte{0}) }},
		{"DISCONNECT with a CONNACK code [MQTT-3.14.2-1, 5.0]", mqtt.MalformedPacket, func() error { return new(Disconnect).Decode(v5, []byte{0x85}) }},
		{"AUTH without method [X5-3.15.2.2.2-dup]", mqtt.ProtocolError, func() error { return new(Auth).Decode([]byte{0x18, 0}) }},
		{"AUTH of nothing", mqtt.ProtocolError, func() error { return new(Auth).Decode(nil) }},
		{"AUTH with another code [MQTT-3.15.2-1, 5.0]", mqtt.MalformedPacket, func() error { return new(Auth).Decode([]byte{0x01}) }},
		{"CONNACK flags [X311-3.2.2.1-a]", mqtt.MalformedPacket, func() error { return new(Connack).Decode(v4, []byte{2, 0}) }},
		{"session present with a refusal [MQTT-3.2.2-4, 3.1.1]", mqtt.ProtocolError, func() error { return new(Connack).Decode(v4, []byte{1, 5}) }},
		{"return code 6", mqtt.MalformedPacket, func() error { return new(Connack).Decode(v4, []byte{0, 6}) }},
		{"CONNACK with a DISCONNECT code [MQTT-3.2.2-8, 5.0]", mqtt.MalformedPacket, func() error { return new(Connack).Decode(v5, []byte{0, 0x8E, 0}) }},
		{"SUBACK code 3 [MQTT-3.9.3-2, 3.1.1]", mqtt.MalformedPacket, func() error { return new(Suback).Decode(v4, SUBACK, []byte{0, 1, 3}) }},
		{"SUBACK without codes", mqtt.ProtocolError, func() error { return new(Suback).Decode(v4, SUBACK, []byte{0, 1}) }},
		{"UNSUBACK with a SUBACK code [MQTT-3.11.3-2, 5.0]", mqtt.MalformedPacket, func() error { return new(Suback).Decode(v5, UNSUBACK, []byte{0, 1, 0, 1}) }},
		{"PINGREQ with a body", mqtt.MalformedPacket, func() error { return DecodePing([]byte{0}) }},
	} {
		wantCode(t, r.why, r.decode(), r.code)
	}
}

// [MQTT-2.1.3-1, 5.0] [MQTT-2.2.2-1, 3.1.1]: all 16 flag values of all types.
func TestHeaderFlags(t *testing.T) {
	for v := mqtt.V31; v <= mqtt.V5; v++ {
		for ty := CONNECT; ty <= AUTH; ty++ {
			for flags := range byte(16) {
				var want bool
				switch ty {
				case PUBLISH:
					want = flags&6 != 6 && (v == mqtt.V31 || flags&0x0E != 8)
				case PUBREL, SUBSCRIBE, UNSUBSCRIBE:
					want = flags == 2 || (v == mqtt.V31 && flags == 0x0A)
				case AUTH:
					want = v == mqtt.V5 && flags == 0
				default:
					want = flags == 0 || v == mqtt.V31
				}
				if got := (Header{Type: ty, Flags: flags}).Check(v) == nil; got != want {
					t.Errorf("%v %v with flags %04b is accepted: %v", v, ty, flags, got)
				}
			}
		}
	}
}

func TestReadHeader(t *testing.T) {
	for _, c := range []struct {
		in   string
		h    Header
		err  error
		code mqtt.ReasonCode
	}{
		{"", Header{}, ErrShort, 0},
		{"\x30", Header{}, ErrShort, 0},
		{"\x30\x80", Header{}, ErrShort, 0},
		{"\x30\xff\xff\xff", Header{}, ErrShort, 0},
		{"\x30\x00", Header{PUBLISH, 0, 2, 0}, nil, 0},
		{"\x3d\xff\xff\xff\x7f", Header{PUBLISH, 13, 5, mqtt.MaxRemainingLength}, nil, 0},
		{"\x30\xff\xff\xff\xff", Header{}, nil, mqtt.MalformedPacket},
		{"\x30\x80\x00", Header{}, nil, mqtt.MalformedPacket}, // [MQTT-1.5.5-1, 5.0]
		{"\x00", Header{}, nil, mqtt.MalformedPacket},
	} {
		h, err := ReadHeader([]byte(c.in))
		switch {
		case c.code != 0:
			wantCode(t, c.in, err, c.code)
		case err != c.err || (err == nil && h != c.h):
			t.Errorf("% x: %+v, %v", c.in, h, err)
		}
	}
}

// A string no length fits is a bug of the caller, and said so at once.
func TestTooLongStringsPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a topic of 65,536 bytes was encoded")
		}
	}()
	(&Publish{Topic: make([]byte, 65536)}).Append(nil, mqtt.V5)
}

func BenchmarkPublish(b *testing.B) {
	for v := mqtt.V311; v <= mqtt.V5; v++ {
		p := Publish{Topic: []byte("sensors/attic/temperature"), Payload: make([]byte, 64)}
		whole := p.Append(nil, v)
		b.Run("decode "+v.String(), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				h, _ := ReadHeader(whole)
				p.Decode(v, h.Flags, whole[h.Size:])
			}
		})
		b.Run("encode "+v.String(), func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 256)
			for range b.N {
				buf = p.Append(buf[:0], v)
			}
		})
	}
}
