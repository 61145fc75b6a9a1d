package conform

import (
	"slices"

	"github.com/midgemq/midge/mqtt"
)

var malformedChecks = slices.Concat([]Check{
	check("malformed/BOM is part of a string", bomKept, on311("1.5.3-3 4.7.3-4"), on5("1.5.4-3 4.7.3-4")),
	check("malformed/discouraged characters", discouraged, on311("X311-1.5.3-a"), on5("X5-1.5.4-b")),
	check("malformed/Remaining Length of five bytes", lengthTooLong, on31, on311("4.8.0-1"), on5("1.5.5-1")),
	check("malformed/over-long Remaining Length", overLongLength, on5("1.5.5-1")),
	check("malformed/over-long property varints", overLongVarint, on5("1.5.5-1")),
	check("malformed/packet identifier 0", zeroID, on31, on311("2.3.1-1"), on5("2.2.1-3")),
	check("malformed/PUBLISH with QoS 3", publishQoS3, on31, on311("3.3.1-4"), on5("3.3.1-4 X5-3.3.1.2-a")),
	check("malformed/packet types a client never sends", wrongTypes, on31, on311("4.8.0-1"), on5("4.13.1-1")),
	check("malformed/truncated packets", truncated, on31, on311("4.8.0-1"), on5("4.13.1-1")),
	check("malformed/trailing bytes", trailing, on311("4.8.0-1"), on5("4.13.1-1")),
	check("malformed/SUBSCRIBE without option byte", noOptionByte, on31, on311("3.8.3-3 4.8.0-1"), on5("3.8.3-2 4.13.1-1")),
	check("malformed/others are not disturbed", othersUndisturbed, on31, on311("4.8.0-1"), on5("4.13.1-1")),
	check("malformed/DISCONNECT says why", saysWhy, on5("X5-4.13.1-b 4.13.2-1 3.14.2-1 3.14.2-2 X5-3.14.2.2.3-dup X5-3.14.2.2.5-dup X5-3.14.2.2.2-dup")),
	check("malformed/packets byte by byte", byteByByte, on31, on311("7.1.1-1"), on5("4.2.0-1")),
	check("malformed/many packets in one write", manyInOne, on31, on311("3.12.4-1"), on5("3.12.4-1")),
}, stringChecks(), headerFlagChecks())

// offend connects, sends what no client may send and wants to be cut off.
func (t *T) offend(why string, e encoder, codes ...byte) {
	p := t.connect("bad", connect{})
	p.send(e)
	p.wantClose("a close: "+why, codes...)
}

// badStrings are not UTF-8.
var badStrings = map[string]string{
	"a stray byte":         "a\xffb",
	"an overlong slash":    "a\xc0\xaf",
	"a surrogate":          "a\xed\xa0\x80b",
	"above U+10FFFF":       "\xf4\x90\x80\x80",
	"a truncated sequence": "a\xe2\x82",
}

// A stringField is a place for a string that a client sends.
type stringField struct {
	name   string
	on311  string // statements besides those on UTF-8 and U+0000 themselves
	on5    string
	v5only bool
	packet func(t *T, s string) raw
}

func connectWith(t *T, edit func(*connect)) raw {
	c := t.fill("bad", connect{})
	edit(&c)
	return c.encode(t.version)
}

func publishWith(t *T, ps propList) raw {
	return publish{topic: t.topic("t"), payload: "x", props: ps}.encode(t.version)
}

var stringFields = []stringField{
	{"client identifier", "3.1.3-4", "3.1.3-4", false, func(t *T, s string) raw {
		return connectWith(t, func(c *connect) { c.id = s })
	}},
	{"will topic", "3.1.3-10", "3.1.3-11", false, func(t *T, s string) raw {
		return connectWith(t, func(c *connect) { c.will = &will{topic: s, payload: "x"} })
	}},
	{"user name", "3.1.3-11", "3.1.3-12", false, func(t *T, s string) raw {
		return connectWith(t, func(c *connect) { c.user = s })
	}},
	{"topic name", "3.3.2-1 4.7.3-3", "3.3.2-1 4.7.3-3", false, func(t *T, s string) raw {
		return publish{topic: s, payload: "x"}.encode(t.version)
	}},
	{"SUBSCRIBE filter", "3.8.3-1 4.7.3-3", "3.8.3-1 4.7.3-3", false, func(t *T, s string) raw {
		return subscribe{id: 1, subs: []sub{{s, 0}}}.encode(t.version)
	}},
	{"UNSUBSCRIBE filter", "3.10.3-1", "3.10.3-1", false, func(t *T, s string) raw {
		return unsubscribe{id: 1, filters: []string{s}}.encode(t.version)
	}},
	{"Response Topic", "", "3.3.2-13", true, func(t *T, s string) raw {
		return publishWith(t, property(pResponseTopic, s))
	}},
	{"Content Type", "", "3.3.2-19", true, func(t *T, s string) raw {
		return publishWith(t, property(pContentType, s))
	}},
	{"User Property name", "", "1.5.7-1", true, func(t *T, s string) raw { return publishWith(t, user(s, "v")) }},
	{"User Property value", "", "1.5.7-1", true, func(t *T, s string) raw { return publishWith(t, user("n", s)) }},
	{"CONNECT User Property", "", "1.5.7-1", true, func(t *T, s string) raw {
		return connectWith(t, func(c *connect) { c.props = user(s, s) })
	}},
	{"Will Content Type", "", "", true, func(t *T, s string) raw {
		return connectWith(t, func(c *connect) {
			c.will = &will{topic: t.topic("w"), payload: "x", props: property(pContentType, s)}
		})
	}},
	{"SUBSCRIBE User Property", "", "1.5.7-1", true, func(t *T, s string) raw {
		return subscribe{id: 1, subs: []sub{{t.topic("t"), 0}}, props: user("n", s)}.encode(t.version)
	}},
	{"DISCONNECT Reason String", "", "", true, func(t *T, s string) raw {
		return disconnect{code: 0x04, props: property(pReasonString, s)}.encode(t.version)
	}},
}

// stringChecks makes two checks of each field: bad UTF-8, and U+0000.
func stringChecks() []Check {
	var all []Check
	for _, f := range stringFields {
		utf := []checkOption{on5("1.5.4-1 X5-1.5.4-a " + f.on5)}
		nul := []checkOption{on5("1.5.4-2 X5-1.5.4-a 4.7.3-2")}
		if !f.v5only {
			utf = append(utf, on311("1.5.3-1 "+f.on311))
			nul = append(nul, on311("1.5.3-2 4.7.3-2"))
		}
		all = append(all,
			check("malformed/bad UTF-8 in "+f.name, func(t *T) {
				for what, s := range badStrings {
					t.badField(f, what, s)
				}
			}, utf...),
			check("malformed/U+0000 in "+f.name, func(t *T) { t.badField(f, "U+0000", "a\x00b") }, nul...))
	}
	return all
}

func (t *T) badField(f stringField, what, s string) {
	b := f.packet(t, s)
	if b[0]>>4 == typeCONNECT {
		t.refuse(what+" in "+f.name, b, 0x80, 0x81, 0x82, 0x85)
		return
	}
	t.offend(what+" in "+f.name, b, 0x81, 0x82, 0x90)
}

// headerFlagChecks makes a check of each packet's fixed flags.
func headerFlagChecks() []Check {
	rows := []struct {
		name, on311, on5 string
		good             byte
		packet           func(t *T) raw
	}{
		{"CONNECT", "", "", 0, func(t *T) raw { return connectWith(t, func(*connect) {}) }},
		{"PUBACK", "", "", 0, func(t *T) raw { return ack{typ: typePUBACK, id: 1}.encode(t.version) }},
		{"PUBREC", "", "", 0, func(t *T) raw { return ack{typ: typePUBREC, id: 1}.encode(t.version) }},
		{"PUBREL", "3.6.1-1", "3.6.1-1", 2, func(t *T) raw { return ack{typ: typePUBREL, id: 1}.encode(t.version) }},
		{"PUBCOMP", "", "", 0, func(t *T) raw { return ack{typ: typePUBCOMP, id: 1}.encode(t.version) }},
		{"SUBSCRIBE", "3.8.1-1", "3.8.1-1", 2, func(t *T) raw {
			return subscribe{id: 1, subs: []sub{{t.topic("t"), 0}}}.encode(t.version)
		}},
		{"UNSUBSCRIBE", "3.10.1-1", "3.10.1-1", 2, func(t *T) raw {
			return unsubscribe{id: 1, filters: []string{t.topic("t")}}.encode(t.version)
		}},
		{"PINGREQ", "", "", 0, func(*T) raw { return pingreq }},
		{"DISCONNECT", "3.14.1-1", "3.14.1-1", 0, func(t *T) raw { return disconnect{}.encode(t.version) }},
	}
	var all []Check
	for _, r := range rows {
		all = append(all, check("malformed/header flags of "+r.name, func(t *T) {
			for flags := range byte(16) {
				if flags == r.good {
					continue
				}
				b := slices.Clone(r.packet(t))
				b[0] = b[0]&0xF0 | flags
				t.badHeader(r.name, b)
			}
		}, on311("2.2.2-1 2.2.2-2 "+r.on311), on5("2.1.3-1 "+r.on5)))
	}
	return all
}

func (t *T) badHeader(name string, b raw) {
	if b[0]>>4 == typeCONNECT {
		t.refuse("reserved header flags of "+name, b, 0x81, 0x82)
		return
	}
	t.offend("reserved header flags of "+name, b, 0x81)
}

// bomKept: U+FEFF is a character like any other, at the start as well.
func bomKept(t *T) {
	sub := t.connect("sub", connect{})
	with, without := t.prefix+"/\ufeffx", t.prefix+"/x"
	sub.subscribe(with, 0)
	pub := t.connect("pub", connect{})
	pub.say(without, "other")
	pub.say(with, "same")
	sub.take("only the topic with U+FEFF matches", with, "same")
	sub.subscribe("\ufeff"+t.prefix, 0)
	pub.say(t.prefix, "stripped")
	pub.say("\ufeff"+t.prefix, "kept")
	sub.take("U+FEFF at the very start is not stripped", "\ufeff"+t.prefix, "kept")
}

// discouraged: a receiver may close on them; if it does not, they pass unchanged.
func discouraged(t *T) {
	for _, c := range []string{"\x01", "\x1f", "\u007f", "\u009f", "\ufdd0", "\uffff"} {
		name := t.topic("c" + c + "d")
		p := t.connect("c", connect{})
		p.send(subscribe{id: 1, subs: []sub{{name, 0}}})
		r, err := p.next(t.target.patience(), anything)
		if r == nil && err != nil || r != nil && r.typ == typeDISCONNECT {
			continue
		}
		if r == nil || r.typ != typeSUBACK {
			t.failf("want SUBACK or a close for a filter with %q, got %s", c, p.describe(r, err))
		}
		if r.codes[0] >= 0x80 {
			continue
		}
		p.send(publish{topic: name, payload: "x"})
		p.take("a discouraged character that is let in is not altered", name, "x")
		p.bye()
	}
}

func lengthTooLong(t *T) {
	t.offend("Remaining Length of five bytes", raw{0x30, 0x80, 0x80, 0x80, 0x80, 0x01}, 0x81, 0x82, 0x95)
	t.offend("Remaining Length of four bytes that go on", raw{0xC0, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, 0x81, 0x82, 0x95)
}

func overLongLength(t *T) {
	t.offend("PINGREQ with its length in two bytes", raw{0xC0, 0x80, 0x00}, 0x81)
}

func overLongVarint(t *T) {
	head := join(str(t.topic("t")))
	t.offend("Property Length 0 in two bytes", frame(0x30, head, one(0x80, 0x00), []byte("x")), 0x81, 0x82)
	t.offend("Subscription Identifier 1 in two bytes",
		frame(0x82, u16(1), one(3, pSubscriptionID, 0x81, 0x00), str(t.topic("t")), one(0)), 0x81, 0x82)
	t.offend("Subscription Identifier of five bytes",
		frame(0x82, u16(1), one(6, pSubscriptionID, 0x80, 0x80, 0x80, 0x80, 0x01), str(t.topic("t")), one(0)), 0x81, 0x82)
}

func zeroID(t *T) {
	t.offend("QoS 1 PUBLISH with identifier 0", publish{topic: t.topic("t"), qos: 1}, 0x81, 0x82)
	t.offend("QoS 2 PUBLISH with identifier 0", publish{topic: t.topic("t"), qos: 2}, 0x81, 0x82)
	t.offend("SUBSCRIBE with identifier 0", subscribe{subs: []sub{{t.topic("t"), 0}}}, 0x81, 0x82)
	t.offend("UNSUBSCRIBE with identifier 0", unsubscribe{filters: []string{t.topic("t")}}, 0x81, 0x82)
}

func publishQoS3(t *T) {
	for _, first := range []byte{0x36, 0x3E, 0x37} {
		t.offend("QoS bits 11", frame(first, str(t.topic("t")), u16(1), propList{}.section(t.version)), 0x81)
	}
}

func wrongTypes(t *T) {
	packets := map[string]raw{
		"packet type 0": {0x00, 0x00},
		"CONNACK":       frame(0x20, one(0, 0), propList{}.section(t.version)),
		"SUBACK":        frame(0x90, u16(1), propList{}.section(t.version), one(0)),
		"UNSUBACK":      frame(0xB0, u16(1), propList{}.section(t.version), one(0)),
		"PINGRESP":      {0xD0, 0x00},
	}
	if !t.v5() {
		packets["packet type 15"] = raw{0xF0, 0x00}
	}
	for name, b := range packets {
		t.offend(name+" from a client", b, 0x81, 0x82)
	}
}

// truncated: packets whose Remaining Length is right and whose fields run out.
func truncated(t *T) {
	for name, b := range map[string]raw{
		"PUBLISH with an empty body":            frame(0x30),
		"PUBLISH whose topic is too long":       frame(0x30, u16(100), []byte("abc")),
		"QoS 1 PUBLISH without identifier":      frame(0x32, str(t.topic("t"))),
		"QoS 1 PUBLISH with half an identifier": frame(0x32, str(t.topic("t")), one(0)),
		"PUBACK with an empty body":             frame(0x40),
		"PUBREC of one byte":                    frame(0x50, one(0)),
		"PUBREL of one byte":                    frame(0x62, one(0)),
		"SUBSCRIBE with an empty body":          frame(0x82),
		"SUBSCRIBE whose filter is too long":    frame(0x82, u16(1), propList{}.section(t.version), u16(50), []byte("abc")),
		"UNSUBSCRIBE whose filter is too long":  frame(0xA2, u16(1), propList{}.section(t.version), u16(50), []byte("abc")),
		"UNSUBSCRIBE with half a length":        frame(0xA2, u16(1), propList{}.section(t.version), one(0)),
	} {
		t.offend(name, b, 0x81, 0x82)
	}
	if t.v5() {
		t.offend("Property Length beyond the packet", frame(0x30, str(t.topic("t")), one(9), property(pTopicAlias, 1)), 0x81, 0x82)
		t.offend("property value cut short", frame(0x30, str(t.topic("t")), one(2, pMessageExpiry, 0)), 0x81, 0x82)
	}
}

func trailing(t *T) {
	t.offend("PINGREQ with a body", frame(0xC0, one(0)), 0x81, 0x82)
	if !t.v5() {
		t.offend("PUBREL of three bytes", frame(0x62, u16(1), one(0)))
		t.offend("DISCONNECT with a body", frame(0xE0, one(0)))
		return
	}
	t.offend("PUBREL with bytes after its properties", frame(0x62, u16(1), one(0, 0, 0)), 0x81, 0x82)
}

// noOptionByte crashed a rival: the filter is whole, its QoS byte is missing.
func noOptionByte(t *T) {
	body := join(u16(1), propList{}.section(t.version), str(t.topic("t")))
	t.offend("SUBSCRIBE without option byte", frame(0x82, body), 0x81, 0x82)
	second := join(body, one(0), str(t.topic("u")))
	t.offend("second filter without option byte", frame(0x82, second), 0x81, 0x82)
}

func othersUndisturbed(t *T) {
	sub, pub := t.pair(1)
	for _, b := range []raw{{0x00, 0x00}, {0x36, 0x02, 0, 0}, {0x82, 0x01, 0}, {0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}} {
		t.offend("malformed packet", b)
	}
	pub.say(t.topic("t"), "still here")
	sub.take("other connections go on", t.topic("t"), "still here")
}

// saysWhy: SHOULD, before the close.
func saysWhy(t *T) {
	for _, bad := range []struct {
		packet raw
		codes  []byte
	}{
		{raw{0x00, 0x00}, []byte{0x81, 0x82}},
		{frame(0x36, str(t.topic("t")), u16(1), one(0)), []byte{0x81}},
		{frame(0x80, u16(1), one(0), str(t.topic("t")), one(0)), []byte{0x81}},
		{frame(0x82, u16(1), one(0)), []byte{0x81, 0x82}},
		{frame(0xE0, one(0x00), propList(join(property(pSessionExpiry, 1), property(pSessionExpiry, 1))).section(mqtt.V5)), []byte{0x82}},
	} {
		p := t.connect("bad", connect{})
		p.send(bad.packet)
		p.wantDisconnect("DISCONNECT with the reason before the close", bad.codes...)
	}
}

func byteByByte(t *T) {
	p := t.dial("c")
	stream := join(
		t.fill("c", connect{}).encode(t.version),
		subscribe{id: 1, subs: []sub{{t.topic("t"), 0}}}.encode(t.version),
		publish{topic: t.topic("t"), payload: "slowly", qos: 1, id: 2}.encode(t.version),
	)
	for _, b := range stream {
		p.send(raw{b})
	}
	p.want("CONNACK for a CONNECT in single bytes", typeCONNACK, code(0))
	p.want("SUBACK", typeSUBACK, id(1), codes(0))
	p.pick("PUBACK", typePUBACK, id(2))
	p.take("a message sent in single bytes", t.topic("t"), "slowly")
}

func manyInOne(t *T) {
	p := t.connect("c", connect{})
	var batch []encoder
	for range 100 {
		batch = append(batch, pingreq)
	}
	p.send(batch...)
	for range 100 {
		p.want("one PINGRESP for each PINGREQ", typePINGRESP)
	}
	p.wantIdle("no PINGRESP more")
}
