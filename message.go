package midge

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/topic"
)

// A message is one application message on its way. It is immutable once it
// has been kept; while its connection's batch runs it may be a view into the
// read buffer, and whoever wants it for longer calls scratch.keep.
type message struct {
	topic   []byte
	payload []byte
	props   []byte // the 5.0 properties a subscriber gets, encoded, expiry left out
	origin  string // client identifier of the publisher; empty: the program
	arrived int64  // Unix ns
	expiry  uint32
	expires bool
	qos     mqtt.QoS
	retain  bool            // as its publisher set it
	number  store.MessageID // of a retained one: its place among them, that of the store if there is one
}

// remaining returns the Message Expiry Interval left at now, in seconds, and
// whether the message is still worth anything. Where it need not wait at all,
// it is, even with an interval of 0.
// [MQTT-3.3.2-5, 5.0] [MQTT-3.3.2-6, 5.0]
func (m *message) remaining(now int64) (uint32, bool) {
	if !m.expires || now <= m.arrived {
		return m.expiry, true
	}
	waited := (now - m.arrived) / int64(time.Second)
	if waited >= int64(m.expiry) {
		return 0, false
	}
	return m.expiry - uint32(waited), true
}

// size is what the message costs a queue, in bytes.
func (m *message) size() int { return len(m.topic) + len(m.payload) + len(m.props) + messageCost }

// messageCost is a message's fixed part and a queue's slot for it.
const messageCost = 160

// clone copies a message out of the read buffer, in one piece of memory.
func (m *message) clone() *message {
	k, b := newMessage(len(m.topic) + len(m.payload) + len(m.props))
	*k = *m
	n := copy(b, m.topic)
	k.topic = b[:n:n]
	p := n + copy(b[n:], m.payload)
	k.payload = b[n:p:p]
	copy(b[p:], m.props)
	k.props = b[p:]
	return k
}

// A backed is a message with room for what it is made of.
type backed[Room any] struct {
	message
	room Room
}

// newMessage returns a message with n bytes behind it. Together they fill one of
// the allocator's size classes; beyond those here two allocations are no dearer.
func newMessage(n int) (*message, []byte) {
	switch {
	case n <= 32:
		m := new(backed[[32]byte])
		return &m.message, m.room[:n]
	case n <= 64:
		m := new(backed[[64]byte])
		return &m.message, m.room[:n]
	case n <= 96:
		m := new(backed[[96]byte])
		return &m.message, m.room[:n]
	case n <= 144:
		m := new(backed[[144]byte])
		return &m.message, m.room[:n]
	case n <= 208:
		m := new(backed[[208]byte])
		return &m.message, m.room[:n]
	case n <= 400:
		m := new(backed[[400]byte])
		return &m.message, m.room[:n]
	}
	return new(message), make([]byte, n)
}

// public is the message as programs see it. It shares m's bytes.
func (m *message) public(now int64) mqtt.Message {
	out := mqtt.Message{Topic: string(m.topic), Payload: m.payload, QoS: m.qos, Retain: m.retain}
	if len(m.props) > 0 {
		out.Properties = packet.Public(m.props)
	}
	if m.expires {
		out.HasExpiry = true
		out.MessageExpiry, _ = m.remaining(now)
	}
	return out
}

// checkPublic says what keeps a program's message from being published.
func checkPublic(m *mqtt.Message) error {
	if err := topic.CheckName(m.Topic); err != nil {
		return err
	}
	if !m.QoS.Valid() {
		return fmt.Errorf("QoS %d", m.QoS)
	}
	if err := checkText("content type", m.ContentType); err != nil {
		return err
	}
	if m.ResponseTopic != "" {
		if err := topic.CheckName(m.ResponseTopic); err != nil {
			return fmt.Errorf("response topic: %w", err)
		}
	}
	for _, u := range m.User {
		if err := errors.Join(checkText("user property", u.Name), checkText("user property", u.Value)); err != nil {
			return err
		}
	}
	if n := len(m.CorrelationData); n > 65535 {
		return fmt.Errorf("correlation data has %d bytes, the most is 65535", n)
	}
	if n := len(m.Payload); n > mqtt.MaxRemainingLength {
		return fmt.Errorf("payload has %d bytes, no packet holds them", n)
	}
	return nil
}

// checkText holds a string to what every string in a packet has to be.
func checkText(what, s string) error {
	if len(s) > 65535 || !utf8.ValidString(s) || strings.Contains(s, "\x00") {
		return fmt.Errorf("%s: want at most 65535 bytes of UTF-8 without U+0000", what)
	}
	return nil
}

// fromPublic makes a kept message of what a program publishes and checkPublic
// has passed. publishKept says when it arrived.
func fromPublic(in *mqtt.Message) *message {
	return &message{
		topic:   []byte(in.Topic),
		payload: append([]byte(nil), in.Payload...),
		props:   packet.AppendPublic(nil, &in.Properties),
		expiry:  in.MessageExpiry,
		expires: in.HasExpiry,
		qos:     in.QoS,
		retain:  in.Retain,
	}
}

// A form is a way a PUBLISH stands on the wire. Everything else that differs
// from subscriber to subscriber is patched.
type form int

const (
	form3QoS0 form = iota // 3.1 and 3.1.1
	form3Acked
	form5QoS0
	form5Acked
	forms
)

func formOf(v mqtt.Version, q mqtt.QoS) form {
	f := form3QoS0
	if v == mqtt.V5 {
		f = form5QoS0
	}
	if q > mqtt.AtMostOnce {
		f++
	}
	return f
}

// A variant is what one subscriber's copy of a PUBLISH has of its own.
type variant struct {
	qos    mqtt.QoS
	retain bool
	dup    bool
	id     mqtt.PacketID
	ids    []uint32 // Subscription Identifiers; 5.0 only
	alias  uint16   // Topic Alias; 0: none
	known  bool     // the alias alone names the topic
}

// forward is m as x wants it, with expiry as what is left of its Message
// Expiry Interval.
func (m *message) forward(x *variant, expiry uint32) packet.Forward {
	f := packet.Forward{
		Dup: x.dup, Retain: x.retain, QoS: x.qos, ID: x.id, Topic: m.topic, Payload: m.payload,
		Section: m.props, Expires: m.expires, Expiry: expiry, Alias: x.alias, IDs: x.ids,
	}
	if x.known {
		f.Topic = nil
	}
	return f
}

// fits reports whether the peer takes m as x.
func (c *conn) fits(m *message, x *variant) bool {
	f := m.forward(x, 0)
	return c.w.Fits(f.Size(c.w.Version()))
}
