package client

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A record is a message of the outbox as one piece of memory, which is also
// what a Store gets: a fixed head, the topic, its 5.0 properties encoded, the
// payload. Topic aliases are none of its business: they die with a connection.
type record []byte

const (
	recordFormat = 1
	recordHead   = 24

	flagRetain  = 4 // below it: the QoS
	flagExpires = 8
)

var errRecord = errors.New("client: a stored message is no message")

// newRecord takes the message in. expires is in Unix nanoseconds.
func newRecord(m *mqtt.Message, queued, expires int64) record {
	var scratch [128]byte
	props := scratch[:0]
	if hasProperties(&m.Properties) {
		props = packet.AppendPublic(props, &m.Properties)
	}
	r := make(record, recordHead, recordHead+len(m.Topic)+len(props)+len(m.Payload))
	r[0] = recordFormat
	r[1] = byte(m.QoS)
	if m.Retain {
		r[1] |= flagRetain
	}
	if m.HasExpiry {
		r[1] |= flagExpires
	}
	binary.BigEndian.PutUint16(r[2:], uint16(len(m.Topic)))
	binary.BigEndian.PutUint32(r[4:], uint32(len(props)))
	binary.BigEndian.PutUint64(r[8:], uint64(queued))
	binary.BigEndian.PutUint64(r[16:], uint64(expires))
	r = append(r, m.Topic...)
	r = append(r, props...)
	return append(r, m.Payload...)
}

func hasProperties(p *mqtt.Properties) bool {
	return p.PayloadUTF8 || p.ContentType != "" || p.ResponseTopic != "" || p.CorrelationData != nil || p.User != nil
}

// check is for what comes out of a store.
func (r record) check() error {
	if len(r) < recordHead || r[0] != recordFormat || len(r) < recordHead+r.topicLen()+r.propsLen() ||
		!r.qos().Valid() || r.qos() == mqtt.AtMostOnce {
		return errRecord
	}
	return nil
}

func (r record) topicLen() int   { return int(binary.BigEndian.Uint16(r[2:])) }
func (r record) propsLen() int   { return int(binary.BigEndian.Uint32(r[4:])) }
func (r record) qos() mqtt.QoS   { return mqtt.QoS(r[1] & 3) }
func (r record) retain() bool    { return r[1]&flagRetain != 0 }
func (r record) expires() bool   { return r[1]&flagExpires != 0 }
func (r record) topic() []byte   { return r[recordHead : recordHead+r.topicLen()] }
func (r record) payload() []byte { return r[recordHead+r.topicLen()+r.propsLen():] }

func (r record) section() []byte {
	at := recordHead + r.topicLen()
	return r[at : at+r.propsLen()]
}
func (r record) queued() time.Time  { return time.Unix(0, int64(binary.BigEndian.Uint64(r[8:]))) }
func (r record) deadline() int64    { return int64(binary.BigEndian.Uint64(r[16:])) }
func (r record) late(n int64) bool  { return r.expires() && n >= r.deadline() }
func (r record) left(n int64) int64 { return max(r.deadline()-n, 0) }

// forward is the PUBLISH that carries the message at now. What is left of its
// expiry is rounded up: a message still worth sending is not sent as dead.
func (r record) forward(now int64) packet.Forward {
	f := packet.Forward{
		Retain: r.retain(), QoS: r.qos(), Topic: r.topic(), Payload: r.payload(), Section: r.section(), Expires: r.expires(),
	}
	if f.Expires {
		f.Expiry = uint32((r.left(now) + int64(time.Second) - 1) / int64(time.Second))
	}
	return f
}

// public is the message as programs see it; it shares the record's bytes.
func (r record) public(now int64) mqtt.Message {
	m := mqtt.Message{Topic: string(r.topic()), Payload: r.payload(), QoS: r.qos(), Retain: r.retain()}
	if r.propsLen() > 0 {
		m.Properties = packet.Public(r.section())
	}
	if r.expires() {
		f := r.forward(now)
		m.HasExpiry, m.MessageExpiry = true, f.Expiry
	}
	return m
}
