package conform

import (
	"strings"
	"testing"

	"github.com/midgemq/midge/mqtt"
)

// The decoder is the judge: what it lets through no check sees.
func TestDecodeRefuses(t *testing.T) {
	v5, v4 := mqtt.V5, mqtt.V311
	connackWith := func(ps ...propList) raw { return frame(0x20, one(0, 0), props(ps...).section(v5)) }
	for _, c := range []struct {
		name string
		v    mqtt.Version
		b    raw
		want string
	}{
		{"acknowledge flags", v4, frame(0x20, one(2, 0)), "bits 7..1"},
		{"return code 6", v4, frame(0x20, one(0, 6)), "reserved"},
		{"session present and refused", v4, frame(0x20, one(1, 5)), "Session Present"},
		{"CONNACK reason code", v5, frame(0x20, one(0, 1, 0)), "reason code 0x01"},
		{"CONNACK without property length", v5, frame(0x20, one(0, 0)), "ends early"},
		{"header flags", v4, frame(0x21, one(0, 0)), "header flags"},
		{"trailing byte", v4, frame(0x20, one(0, 0, 0)), "after the end"},
		{"twice", v5, connackWith(property(pReceiveMaximum, 1), property(pReceiveMaximum, 1)), "twice"},
		{"Receive Maximum 0", v5, connackWith(property(pReceiveMaximum, 0)), "is 0"},
		{"Maximum QoS 2", v5, connackWith(property(pMaximumQoS, 2)), "not 0 or 1"},
		{"a client's property", v5, connackWith(property(pWillDelay, 1)), "not a server's"},
		{"no such property", v5, frame(0x20, one(0, 0, 2, 0x7F, 0)), "does not exist"},
		{"bad string", v5, connackWith(property(pReasonString, "\xff")), "UTF-8"},
		{"U+0000", v5, connackWith(user("a\x00", "b")), "UTF-8"},
		{"over-long length", v5, frame(0x20, one(0, 0, 0x80, 0)), "over-long"},
		{"over-long Remaining Length", v5, raw{0xD0, 0x80, 0x00}, "over-long"},
		{"QoS 3", v4, frame(0x36, str("t"), u16(1)), "QoS 3"},
		{"QoS 0 with DUP", v4, frame(0x38, str("t")), "DUP"},
		{"identifier 0", v4, frame(0x32, str("t"), u16(0)), "identifier 0"},
		{"wildcard in a topic name", v4, frame(0x30, str("a/#")), "wildcards"},
		{"no topic, no alias", v5, frame(0x30, str(""), one(0)), "without topic name"},
		{"Subscription Identifier 0", v5, frame(0x30, str("t"), property(pSubscriptionID, 0).section(v5)), "is 0"},
		{"Response Topic with wildcard", v5, frame(0x30, str("t"), property(pResponseTopic, "+").section(v5)), "no topic name"},
		{"PUBACK code in 3.1.1", v4, frame(0x40, u16(1), one(0)), "after the end"},
		{"PUBACK code", v5, frame(0x40, u16(1), one(0x92)), "0x92"},
		{"PUBREL flags", v4, frame(0x60, u16(1)), "header flags"},
		{"SUBACK code in 3.1.1", v4, frame(0x90, u16(1), one(0x87)), "reserved"},
		{"SUBACK code", v5, frame(0x90, u16(1), one(0, 0x11)), "0x11"},
		{"UNSUBACK payload in 3.1.1", v4, frame(0xB0, u16(1), one(0)), "payload"},
		{"PINGRESP with a body", v4, frame(0xD0, one(0)), "after the end"},
		{"DISCONNECT in 3.1.1", v4, frame(0xE0), "never sends"},
		{"a client's DISCONNECT code", v5, frame(0xE0, one(0x04)), "0x04"},
		{"Session Expiry Interval in DISCONNECT", v5, frame(0xE0, one(0x80), property(pSessionExpiry, 1).section(v5)), "not a server's"},
		{"AUTH code", v5, frame(0xF0, one(0x19), one(0)), "0x19"},
		{"a client's packet", v4, frame(0xC0), "never sends"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := decode(c.v, c.b)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("decoded % x to %s, error %v; want an error about %q", c.b, r, err, c.want)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	ps := props(property(pReasonString, "why"), user("a", "1"), user("a", "2"))
	for _, c := range []struct {
		b    raw
		want string
	}{
		{frame(0x20, one(1, 0), property(pReceiveMaximum, 7).section(mqtt.V5)), `CONNACK code 0x00 present true [Receive Maximum 7 "" ""]`},
		{
			publish{topic: "t", payload: "x", qos: 2, id: 5, retain: true, dup: true}.encode(mqtt.V5),
			`PUBLISH "t" = "x" qos 2 id 5 dup true retain true`,
		},
		{
			ack{typ: typePUBREL, id: 9, code: 0x92, props: ps}.encode(mqtt.V5),
			`PUBREL id 9 code 0x92 [Reason String 0 "why" ""] [User Property 0 "a" "1"] [User Property 0 "a" "2"]`,
		},
		{frame(0x90, u16(3), one(0, 1, 0x87)), "SUBACK id 3 codes 01 87"},
		{frame(0xE0), "DISCONNECT code 0x00"},
		{raw{0xD0, 0}, "PINGRESP"},
	} {
		r, err := decode(mqtt.V5, c.b)
		if err != nil || r.String() != c.want {
			t.Errorf("% x: got %s, %v; want %s", c.b, r, err, c.want)
		}
	}
}

func TestVarint(t *testing.T) {
	for _, n := range []int{0, 127, 128, 16383, 16384, 2097151, 2097152, 268435455} {
		got, size, err := readVarint(varint(n))
		if got != n || size != len(varint(n)) || err != nil {
			t.Errorf("%d became %d, %d bytes, %v", n, got, size, err)
		}
	}
}
