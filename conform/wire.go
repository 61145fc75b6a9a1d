package conform

import (
	"encoding/binary"

	"github.com/midgemq/midge/mqtt"
)

// Packet types, as the high four bits of the first byte.
const (
	typeCONNECT = iota + 1
	typeCONNACK
	typePUBLISH
	typePUBACK
	typePUBREC
	typePUBREL
	typePUBCOMP
	typeSUBSCRIBE
	typeSUBACK
	typeUNSUBSCRIBE
	typeUNSUBACK
	typePINGREQ
	typePINGRESP
	typeDISCONNECT
	typeAUTH
)

var typeNames = [16]string{
	"type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// An encoder is anything a peer can send.
type encoder interface {
	encode(v mqtt.Version) []byte
}

// raw is bytes as they are: how malformed packets are sent.
type raw []byte

func (r raw) encode(mqtt.Version) []byte { return r }

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// frame puts a fixed header with the right Remaining Length before the parts.
func frame(first byte, parts ...[]byte) raw {
	body := join(parts...)
	return join([]byte{first}, varint(len(body)), body)
}

func varint(n int) []byte {
	var b []byte
	for {
		d := byte(n % 128)
		n /= 128
		if n == 0 {
			return append(b, d)
		}
		b = append(b, d|0x80)
	}
}

func u16(n uint16) []byte  { return binary.BigEndian.AppendUint16(nil, n) }
func u32(n uint32) []byte  { return binary.BigEndian.AppendUint32(nil, n) }
func str(s string) []byte  { return join(u16(uint16(len(s))), []byte(s)) }
func one(b ...byte) []byte { return b }

// A propList is encoded properties without their length.
type propList []byte

// property encodes a property by its id's data type: value is an int, a string
// or, for a user property, a [2]string.
func property(id byte, value any) propList {
	b := varint(int(id))
	switch v := value.(type) {
	case string:
		return join(b, str(v))
	case [2]string:
		return join(b, str(v[0]), str(v[1]))
	case int:
		switch propKinds[id] {
		case kindByte:
			return append(b, byte(v))
		case kindU16:
			return join(b, u16(uint16(v)))
		case kindU32:
			return join(b, u32(uint32(v)))
		case kindVarint:
			return join(b, varint(v))
		}
	}
	panic("conform: no such property value")
}

func user(name, value string) propList { return property(pUser, [2]string{name, value}) }

func props(ps ...propList) propList {
	var all propList
	for _, p := range ps {
		all = append(all, p...)
	}
	return all
}

// section is a property list with its length, or nothing before 5.0.
func (p propList) section(v mqtt.Version) []byte {
	if v != mqtt.V5 {
		return nil
	}
	return join(varint(len(p)), p)
}

type will struct {
	topic, payload string
	qos            byte
	retain         bool
	props          propList
}

// connect is a CONNECT packet. Its zero value asks for a clean session.
type connect struct {
	id         string
	keep       bool // Clean Session / Clean Start 0
	keepAlive  uint16
	will       *will
	user, pass string // empty: absent
	props      propList
	noID       bool // send the empty client identifier
}

// lasts reports whether the session may outlive the connection.
func (c connect) lasts() bool {
	for in := (cursor{b: c.props}); len(in.b) > 0 && in.err == nil; {
		if p := in.prop(); p.id == pSessionExpiry && p.num > 0 {
			return true
		}
	}
	return c.keep
}

func (c connect) flags() byte {
	var f byte
	if !c.keep {
		f |= 0x02
	}
	if w := c.will; w != nil {
		f |= 0x04 | w.qos<<3
		if w.retain {
			f |= 0x20
		}
	}
	if c.pass != "" {
		f |= 0x40
	}
	if c.user != "" {
		f |= 0x80
	}
	return f
}

func (c connect) encode(v mqtt.Version) []byte { return c.with(v, c.flags()) }

// with encodes with connect flags of the caller's choice, right or wrong.
func (c connect) with(v mqtt.Version, flags byte) raw {
	return frame(0x10, connectHead(v, byte(v), flags, c.keepAlive), c.props.section(v), c.payload(v))
}

func connectHead(v mqtt.Version, level, flags byte, keepAlive uint16) []byte {
	name := "MQTT"
	if v == mqtt.V31 {
		name = "MQIsdp"
	}
	return join(str(name), one(level, flags), u16(keepAlive))
}

func (c connect) payload(v mqtt.Version) []byte {
	b := str(c.id)
	if w := c.will; w != nil {
		b = join(b, w.props.section(v), str(w.topic), str(w.payload))
	}
	if c.user != "" {
		b = join(b, str(c.user))
	}
	if c.pass != "" {
		b = join(b, str(c.pass))
	}
	return b
}

type publish struct {
	topic, payload string
	qos            byte
	id             uint16
	retain, dup    bool
	props          propList
}

func (p publish) encode(v mqtt.Version) []byte {
	first := 0x30 | p.qos<<1
	if p.dup {
		first |= 0x08
	}
	if p.retain {
		first |= 0x01
	}
	var id []byte
	if p.qos > 0 {
		id = u16(p.id)
	}
	return frame(first, str(p.topic), id, p.props.section(v), []byte(p.payload))
}

// ack is PUBACK, PUBREC, PUBREL or PUBCOMP.
type ack struct {
	typ   byte
	id    uint16
	code  byte
	props propList
}

func (a ack) encode(v mqtt.Version) []byte {
	first := a.typ << 4
	if a.typ == typePUBREL {
		first |= 0x02
	}
	if v != mqtt.V5 || a.code == 0 && a.props == nil {
		return frame(first, u16(a.id))
	}
	return frame(first, u16(a.id), one(a.code), a.props.section(v))
}

// A sub is one topic filter with its subscription options byte.
type sub struct {
	filter string
	opts   byte
}

// Subscription options of 5.0, beside the QoS in the low two bits.
const (
	optNoLocal           = 0x04
	optRetainAsPublished = 0x08
	optRetainIfNew       = 0x10
	optRetainNever       = 0x20
)

type subscribe struct {
	id    uint16
	subs  []sub
	props propList
}

func (s subscribe) encode(v mqtt.Version) []byte {
	var b []byte
	for _, f := range s.subs {
		b = join(b, str(f.filter), one(f.opts))
	}
	return frame(0x82, u16(s.id), s.props.section(v), b)
}

type unsubscribe struct {
	id      uint16
	filters []string
	props   propList
}

func (u unsubscribe) encode(v mqtt.Version) []byte {
	var b []byte
	for _, f := range u.filters {
		b = join(b, str(f))
	}
	return frame(0xA2, u16(u.id), u.props.section(v), b)
}

type disconnect struct {
	code  byte
	props propList
}

func (d disconnect) encode(v mqtt.Version) []byte {
	if v != mqtt.V5 || d.code == 0 && d.props == nil {
		return frame(0xE0)
	}
	return frame(0xE0, one(d.code), d.props.section(v))
}

type auth struct {
	code  byte
	props propList
}

func (a auth) encode(v mqtt.Version) []byte { return frame(0xF0, one(a.code), a.props.section(v)) }

var pingreq = raw{0xC0, 0}
