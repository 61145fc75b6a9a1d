package link_test

import (
	"bytes"
	"testing"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

func serverWriter(v mqtt.Version, max uint32, problemInfo bool, aliases uint16) *link.Writer {
	var w link.Writer
	w.Init(link.Server, 0)
	l := mqtt.Unlimited()
	l.MaxPacketSize, l.TopicAliasMaximum = max, aliases
	w.Greet(v, l, problemInfo)
	w.Connack(nil, &packet.Connack{})
	w.Open()
	return &w
}

func wordy() *packet.Properties {
	return &packet.Properties{
		ReasonString: []byte("because of a long story"),
		Users:        packet.UserProperties(nil).Add("some", "more words"),
	}
}

// [MQTT-3.4.2-2] [MQTT-3.4.2-3, 5.0] and their like: first the Reason String
// goes, then the User Properties, then the packet and the connection with it.
func TestAnswersShrink(t *testing.T) {
	ack := packet.Ack{Type: packet.PUBACK, ID: 1, Code: mqtt.NotAuthorized, Properties: wordy()}
	whole := ack.Size(mqtt.V5)
	for _, c := range []struct {
		max          int
		reason, user bool
	}{{whole, true, true}, {whole - 1, false, true}, {8, false, false}} {
		w := serverWriter(mqtt.V5, uint32(c.max), true, 0)
		a := packet.Ack{Type: packet.PUBACK, ID: 1, Code: mqtt.NotAuthorized, Properties: wordy()}
		out := w.AckWith(nil, &a)
		var got packet.Ack
		if err := got.Decode(mqtt.V5, packet.PUBACK, out[2:]); err != nil || len(out) > c.max {
			t.Fatalf("% x for a client that takes %d: %v", out, c.max, err)
		}
		if r, u := got.Properties.ReasonString != nil, got.Properties.Users.Len() > 0; r != c.reason || u != c.user {
			t.Errorf("within %d bytes: Reason String %v, User Property %v", c.max, r, u)
		}
	}
	w := serverWriter(mqtt.V5, 30, true, 0)
	out := w.Suback(nil, &packet.Suback{Type: packet.SUBACK, ID: 1, Codes: make([]byte, 40)})
	if want := []byte{0xE0, 1, byte(mqtt.PacketTooLarge)}; !bytes.Equal(out, want) || !w.Closed() {
		t.Errorf("% x in place of a SUBACK that is too large", out)
	}
}

// A client that has no room for CONNACK is told so where even that fits, and
// has no session.
func TestConnackWithoutRoom(t *testing.T) {
	for max, want := range map[uint32][]byte{5: {0x20, 3, 0, byte(mqtt.PacketTooLarge), 0}, 4: nil} {
		var w link.Writer
		w.Init(link.Server, 0)
		l := mqtt.Unlimited()
		l.MaxPacketSize = max
		w.Greet(mqtt.V5, l, true)
		out := w.Connack(nil, &packet.Connack{Properties: &packet.Properties{TopicAliasMaximum: 9}})
		if w.Open(); !bytes.Equal(out, want) || !w.Closed() {
			t.Errorf("% x for a client that takes %d bytes", out, max)
		}
	}
}

// Whatever code an engine chooses, no packet carries one that is not in its
// table [MQTT-3.2.2-8, 5.0] [MQTT-3.4.2-1, 5.0] [MQTT-3.5.2-1, 5.0]
// [MQTT-3.6.2-1, 5.0] [MQTT-3.7.2-1, 5.0] [MQTT-3.9.3-2, 5.0]
// [MQTT-3.11.3-2, 5.0] [MQTT-3.14.2-1, 5.0].
func TestCodesFromTheTables(t *testing.T) {
	for c := range 256 {
		code := mqtt.ReasonCode(c)
		greeting := func() *link.Writer {
			w := new(link.Writer)
			w.Init(link.Server, 0)
			w.Greet(mqtt.V5, mqtt.Unlimited(), true)
			return w
		}
		w := serverWriter(mqtt.V5, 1000, true, 0)
		for _, out := range [][]byte{
			greeting().Connack(nil, &packet.Connack{Code: code}),
			greeting().Refuse(nil, code, ""),
			greeting().Refuse(nil, code, "why"),
			w.Ack(nil, packet.PUBACK, 1, code), w.Ack(nil, packet.PUBREC, 1, code),
			w.Ack(nil, packet.PUBREL, 1, code), w.Ack(nil, packet.PUBCOMP, 1, code),
			w.AckWith(nil, &packet.Ack{Type: packet.PUBACK, ID: 1, Code: code, Properties: wordy()}),
			w.Suback(nil, &packet.Suback{Type: packet.SUBACK, ID: 1, Codes: []byte{byte(c), 0}}),
			w.Suback(nil, &packet.Suback{Type: packet.UNSUBACK, ID: 1, Codes: []byte{byte(c)}}),
			serverWriter(mqtt.V5, 1000, true, 0).Refuse(nil, code, ""),
		} {
			var r link.Reader
			r.Init(link.Client, mqtt.V5, 1000)
			if out[0]>>4 != byte(packet.CONNACK) {
				r.Open(mqtt.Unlimited())
			}
			if _, n, _, err := r.Next(out, new(link.Packets)); n != len(out) || err != nil {
				t.Errorf("0x%02X: % x: %v", c, out, err)
			}
		}
	}
}

// [MQTT-3.1.2-29, 5.0]
func TestNoProblemInformation(t *testing.T) {
	w := serverWriter(mqtt.V5, 1000, false, 0)
	ack := packet.Ack{Type: packet.PUBREC, ID: 1, Code: mqtt.NotAuthorized, Properties: wordy()}
	sub := packet.Suback{Type: packet.SUBACK, ID: 1, Codes: []byte{0x87}, Properties: wordy()}
	for _, out := range [][]byte{w.AckWith(nil, &ack), w.Suback(nil, &sub)} {
		if bytes.Contains(out, []byte("story")) || bytes.Contains(out, []byte("words")) {
			t.Errorf("% x", out)
		}
	}
	d := packet.Disconnect{Code: mqtt.ProtocolError, Properties: wordy()}
	if out := w.Disconnect(nil, &d); !bytes.Contains(out, []byte("story")) {
		t.Errorf("DISCONNECT may say why, and says % x", out)
	}
}

// [MQTT-3.14.0-1, 5.0] [MQTT-3.1.4-1, 3.1.1] [MQTT-3.14.4-1]: which last word
// there is, by version and phase.
func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		name  string
		w     func() *link.Writer
		code  mqtt.ReasonCode
		want  []byte
		level mqtt.Version
	}{
		{"5.0 before CONNACK", nil, mqtt.BadUserNameOrPassword, []byte{0x20, 3, 0, 0x86, 0}, mqtt.V5},
		{"3.1.1 before CONNACK", nil, mqtt.BadUserNameOrPassword, []byte{0x20, 2, 0, 4}, mqtt.V311},
		{"3.1 before CONNACK", nil, mqtt.ClientIdentifierNotValid, []byte{0x20, 2, 0, 2}, mqtt.V31},
		{"3.1.1, malformed", nil, mqtt.MalformedPacket, nil, mqtt.V311},
		{"before CONNECT", nil, mqtt.ProtocolError, nil, 0},
		{"an unknown level", nil, mqtt.UnsupportedProtocolVersion, []byte{0x20, 2, 0, 1}, 9},
		{"5.0 in session", func() *link.Writer { return serverWriter(mqtt.V5, 100, true, 0) }, mqtt.KeepAliveTimeout, []byte{0xE0, 1, 0x8D}, 0},
		{
			"5.0 with a code DISCONNECT may not carry", func() *link.Writer { return serverWriter(mqtt.V5, 100, true, 0) },
			mqtt.BadUserNameOrPassword,
			[]byte{0xE0, 1, 0x80},
			0,
		},
		{"3.1.1 in session", func() *link.Writer { return serverWriter(mqtt.V311, 100, true, 0) }, mqtt.KeepAliveTimeout, nil, 0},
	} {
		w := new(link.Writer)
		if c.w != nil {
			w = c.w()
		} else {
			w.Init(link.Server, 0)
			w.Answer(c.level, 0)
		}
		if got := w.Refuse(nil, c.code, ""); !bytes.Equal(got, c.want) {
			t.Errorf("%s: % x, want % x", c.name, got, c.want)
		}
		if !w.Closed() || len(w.Refuse(nil, c.code, "")) != 0 {
			t.Errorf("%s: something may follow the last word", c.name)
		}
	}
}

// [MQTT-3.1.2-25, 5.0] [MQTT-3.1.2-26, 5.0] [MQTT-3.1.2-27, 5.0]: aliases are
// defined by what is sent, and only by that.
func TestAliasesOut(t *testing.T) {
	w := serverWriter(mqtt.V5, 60, true, 1)
	read := func(topic string, size int) (string, uint16, bool) {
		p := packet.Publish{Topic: []byte(topic), Payload: make([]byte, size)}
		out, ok := w.Publish(nil, &p)
		if !ok {
			return "", 0, false
		}
		var in packet.Publish
		if err := in.Decode(mqtt.V5, out[0]&15, out[2:]); err != nil {
			t.Fatal(err)
		}
		if string(p.Topic) != topic || p.Properties != nil && p.Properties.TopicAlias != 0 {
			t.Error("the caller's packet was changed")
		}
		return string(in.Topic), in.Properties.TopicAlias, true
	}
	if _, _, ok := read("t", 100); ok {
		t.Error("100 bytes for a client that takes 60")
	}
	for i, want := range []struct {
		topic, sent string
		alias       uint16
	}{{"t", "t", 1}, {"t", "", 1}, {"other", "other", 0}, {"t", "", 1}} {
		if topic, alias, _ := read(want.topic, 1); topic != want.sent || alias != want.alias {
			t.Errorf("step %d: topic %q alias %d, want %q %d", i, topic, alias, want.sent, want.alias)
		}
	}
	exact := packet.Publish{Topic: []byte("t"), Payload: make([]byte, 20)}
	tight := serverWriter(mqtt.V5, uint32(exact.Size(mqtt.V5)), true, 1)
	if out, ok := tight.Publish(nil, &exact); !ok || len(out) != exact.Size(mqtt.V5) {
		t.Errorf("a packet that fits without an alias: %d bytes, %v", len(out), ok)
	}
	none := serverWriter(mqtt.V5, 60, true, 0)
	p := packet.Publish{Topic: []byte("t")}
	if out, _ := none.Publish(nil, &p); bytes.Contains(out, []byte{byte(packet.PropTopicAlias), 0}) || none.Aliasing() {
		t.Errorf("an alias for a client that takes none: % x", out)
	}
}

func TestWriterAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 256)
	for v := mqtt.V31; v <= mqtt.V5; v++ {
		w := serverWriter(v, 1000, true, 4)
		p := packet.Publish{Topic: []byte("a/b"), Payload: []byte("x"), QoS: 1, ID: 1}
		if n := testing.AllocsPerRun(100, func() {
			buf = w.Ack(buf[:0], packet.PUBACK, 1, mqtt.Success)
			buf, _ = w.Publish(buf, &p)
			buf = w.Pingresp(buf)
		}); n != 0 {
			t.Errorf("%v: %v allocations", v, n)
		}
	}
}
