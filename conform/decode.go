package conform

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/midgemq/midge/mqtt"
)

// A reply is a packet the broker sent, decoded strictly: what the standard
// forbids a server to send does not decode.
type reply struct {
	typ            byte
	flags          byte
	size           int // bytes on the wire
	sessionPresent bool
	code           byte // CONNACK, acknowledgements, DISCONNECT, AUTH
	id             uint16
	topic          string
	payload        string
	codes          []byte // SUBACK, UNSUBACK
	props          []prop
}

// A prop is one property of a reply.
type prop struct {
	id    byte
	num   uint32
	text  string // string, binary, or the name of a pair
	value string // the value of a pair
}

func (r *reply) qos() byte    { return r.flags >> 1 & 3 }
func (r *reply) retain() bool { return r.flags&1 != 0 }
func (r *reply) dup() bool    { return r.flags&8 != 0 }

func (r *reply) has(id byte) bool {
	return slices.ContainsFunc(r.props, func(p prop) bool { return p.id == id })
}

func (r *reply) num(id byte, absent uint32) uint32 {
	for _, p := range r.props {
		if p.id == id {
			return p.num
		}
	}
	return absent
}

func (r *reply) text(id byte) string {
	for _, p := range r.props {
		if p.id == id {
			return p.text
		}
	}
	return ""
}

func (r *reply) all(id byte) []prop {
	var out []prop
	for _, p := range r.props {
		if p.id == id {
			out = append(out, p)
		}
	}
	return out
}

func (r *reply) String() string {
	var b strings.Builder
	b.WriteString(typeNames[r.typ])
	switch r.typ {
	case typeCONNACK:
		fmt.Fprintf(&b, " code 0x%02X present %t", r.code, r.sessionPresent)
	case typePUBLISH:
		p := r.payload
		if len(p) > 40 {
			p = p[:40] + "..."
		}
		fmt.Fprintf(&b, " %q = %q qos %d id %d dup %t retain %t", r.topic, p, r.qos(), r.id, r.dup(), r.retain())
	case typeSUBACK, typeUNSUBACK:
		fmt.Fprintf(&b, " id %d codes % 02X", r.id, r.codes)
	case typeDISCONNECT, typeAUTH:
		fmt.Fprintf(&b, " code 0x%02X", r.code)
	case typePINGRESP:
	default:
		fmt.Fprintf(&b, " id %d code 0x%02X", r.id, r.code)
	}
	for _, p := range r.props {
		fmt.Fprintf(&b, " [%s %d %q %q]", propNames[p.id], p.num, p.text, p.value)
	}
	return b.String()
}

var errShort = errors.New("packet ends early")

// A cursor takes fields off a body; its first error sticks.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *cursor) take(n int) []byte {
	if len(c.b) < n {
		c.err = cmpErr(c.err, errShort)
		c.b = nil
		return make([]byte, n)
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func cmpErr(first, then error) error {
	if first != nil {
		return first
	}
	return then
}

func (c *cursor) byte() byte     { return c.take(1)[0] }
func (c *cursor) u16() uint16    { return binary.BigEndian.Uint16(c.take(2)) }
func (c *cursor) u32() uint32    { return binary.BigEndian.Uint32(c.take(4)) }
func (c *cursor) binary() string { return string(c.take(int(c.u16()))) }

func (c *cursor) string() string {
	s := c.binary()
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		c.fail("string %q is not UTF-8 without U+0000", s)
	}
	return s
}

func (c *cursor) varint() int {
	n, size, err := readVarint(c.b)
	if err != nil {
		c.err = cmpErr(c.err, err)
		c.b = nil
		return 0
	}
	c.b = c.b[size:]
	return n
}

var errVarint = errors.New("variable byte integer is over-long or too big")

// readVarint refuses all but the shortest encoding.
func readVarint(b []byte) (n, size int, err error) {
	for i := range 4 {
		if i >= len(b) {
			return 0, 0, errShort
		}
		n |= int(b[i]&0x7F) << (7 * i)
		if b[i]&0x80 == 0 {
			if i > 0 && b[i] == 0 {
				return 0, 0, errVarint
			}
			return n, i + 1, nil
		}
	}
	return 0, 0, errVarint
}

// props decodes a property section and holds it against what a server may put
// into that packet.
func (c *cursor) props(typ byte) []prop {
	n := c.varint()
	if n > len(c.b) {
		c.err = cmpErr(c.err, errShort)
		return nil
	}
	in := cursor{b: c.b[:n]}
	c.b = c.b[n:]
	var out []prop
	for len(in.b) > 0 && in.err == nil {
		p := in.prop()
		if !slices.Contains(serverProps[typ], p.id) {
			in.fail("property 0x%02X is not a server's to send in %s", p.id, typeNames[typ])
		}
		repeats := p.id == pUser || p.id == pSubscriptionID
		if !repeats && slices.ContainsFunc(out, func(q prop) bool { return q.id == p.id }) {
			in.fail("%s twice in one %s", propNames[p.id], typeNames[typ])
		}
		out = append(out, p)
	}
	c.err = cmpErr(c.err, in.err)
	return out
}

func (c *cursor) prop() prop {
	p := prop{id: byte(c.varint())}
	if int(p.id) >= len(propKinds) || propKinds[p.id] == 0 {
		c.fail("property 0x%02X does not exist", p.id)
		return p
	}
	switch propKinds[p.id] {
	case kindByte:
		p.num = uint32(c.byte())
	case kindU16:
		p.num = uint32(c.u16())
	case kindU32:
		p.num = c.u32()
	case kindVarint:
		p.num = uint32(c.varint())
	case kindString:
		p.text = c.string()
	case kindBinary:
		p.text = c.binary()
	case kindPair:
		p.text = c.string()
		p.value = c.string()
	}
	c.checkRange(p)
	return p
}

func (c *cursor) checkRange(p prop) {
	switch p.id {
	case pReceiveMaximum, pMaxPacketSize, pSubscriptionID, pTopicAlias:
		if p.num == 0 && c.err == nil {
			c.fail("%s is 0", propNames[p.id])
		}
	case pMaximumQoS, pRetainAvailable, pWildcards, pSubIDs, pShared, pPayloadFormat:
		if p.num > 1 {
			c.fail("%s is %d, not 0 or 1", propNames[p.id], p.num)
		}
	case pResponseTopic:
		if strings.ContainsAny(p.text, "+#") || p.text == "" {
			c.fail("Response Topic %q is no topic name", p.text)
		}
	}
}

// decode decodes one whole packet of a server.
func decode(v mqtt.Version, b []byte) (*reply, error) {
	r := &reply{typ: b[0] >> 4, flags: b[0] & 15, size: len(b)}
	_, n, err := readVarint(b[1:])
	if err != nil {
		return r, err
	}
	c := &cursor{b: b[1+n:]}
	if want := headerFlags(r.typ); r.typ != typePUBLISH && r.flags != want {
		c.fail("%s with header flags %04b, not %04b", typeNames[r.typ], r.flags, want)
	}
	switch r.typ {
	case typeCONNACK:
		c.connack(r, v)
	case typePUBLISH:
		c.publish(r, v)
	case typePUBACK, typePUBREC, typePUBREL, typePUBCOMP:
		r.id = c.u16()
		c.codeAndProps(r, v)
	case typeSUBACK, typeUNSUBACK:
		c.suback(r, v)
	case typePINGRESP:
	case typeDISCONNECT, typeAUTH:
		if v != mqtt.V5 {
			c.fail("a server of MQTT %s never sends %s", v, typeNames[r.typ])
		}
		c.codeAndProps(r, v)
	default:
		c.fail("a server never sends %s", typeNames[r.typ])
	}
	if c.err == nil && len(c.b) > 0 {
		c.fail("%d bytes after the end of %s", len(c.b), typeNames[r.typ])
	}
	return r, c.err
}

func headerFlags(typ byte) byte {
	if typ == typePUBREL {
		return 2
	}
	return 0
}

func (c *cursor) connack(r *reply, v mqtt.Version) {
	f := c.byte()
	if f > 1 {
		c.fail("CONNACK acknowledge flags 0x%02X: bits 7..1 are not 0", f)
	}
	r.sessionPresent = f&1 != 0
	r.code = c.byte()
	if v == mqtt.V5 {
		r.props = c.props(r.typ)
		c.checkCode(r, r.code)
	} else if r.code > 5 {
		c.fail("CONNACK return code %d is reserved", r.code)
	}
	if r.code != 0 && r.sessionPresent {
		c.fail("CONNACK 0x%02X with Session Present", r.code)
	}
}

func (c *cursor) publish(r *reply, v mqtt.Version) {
	r.topic = c.string()
	if r.qos() == 3 {
		c.fail("PUBLISH with QoS 3")
	}
	if r.qos() == 0 && r.dup() {
		c.fail("PUBLISH with QoS 0 and DUP")
	}
	if r.qos() > 0 {
		if r.id = c.u16(); r.id == 0 {
			c.fail("PUBLISH with packet identifier 0")
		}
	}
	if v == mqtt.V5 {
		r.props = c.props(r.typ)
	}
	if bytes.ContainsAny([]byte(r.topic), "+#") {
		c.fail("PUBLISH to %q: wildcards in a topic name", r.topic)
	}
	if r.topic == "" && !r.has(pTopicAlias) {
		c.fail("PUBLISH without topic name and topic alias")
	}
	r.payload = string(c.b)
	c.b = nil
}

// codeAndProps: a missing reason code is 0x00, missing properties are none.
func (c *cursor) codeAndProps(r *reply, v mqtt.Version) {
	if v != mqtt.V5 || len(c.b) == 0 {
		return
	}
	r.code = c.byte()
	c.checkCode(r, r.code)
	if len(c.b) > 0 {
		r.props = c.props(r.typ)
	}
}

func (c *cursor) suback(r *reply, v mqtt.Version) {
	r.id = c.u16()
	if v == mqtt.V5 {
		r.props = c.props(r.typ)
	}
	r.codes = slices.Clone(c.b) // the buffer is read into again
	c.b = nil
	for _, code := range r.codes {
		switch {
		case v == mqtt.V5:
			c.checkCode(r, code)
		case r.typ == typeUNSUBACK:
			c.fail("UNSUBACK with a payload")
		case code > 2 && code != 0x80:
			c.fail("SUBACK return code 0x%02X is reserved", code)
		}
	}
}

func (c *cursor) checkCode(r *reply, code byte) {
	if !slices.Contains(serverCodes[r.typ], code) {
		c.fail("reason code 0x%02X is not one a server puts into %s", code, typeNames[r.typ])
	}
}
