package client

import (
	"context"

	"github.com/midgemq/midge/mqtt"
)

// A Handler gets messages, never in the goroutine that reads the connection:
// it may block, and call anything of the client, Close included. Messages of
// one topic come one after the other; see Options.Concurrency. ctx ends with
// the client. The handler may keep m and its Payload for good.
type Handler func(ctx context.Context, m Message)

// A Message is one that was received.
type Message struct {
	mqtt.Message

	Dup bool // the server may have sent it before (QoS 1)

	// Offset and Total say where Payload belongs in the whole, which takes
	// Total bytes. Only messages above Options.StreamAbove come in parts, in
	// order, each with the topic and properties of all; the last is the one
	// with Offset+len(Payload) == Total. A part with Total -1 says that the
	// connection broke and the parts before it are to be forgotten.
	Offset, Total int

	from *Conn
	id   mqtt.PacketID
	era  uint32 // which session of the server it belongs to
}

// ID is the packet identifier it came under: 0 at QoS 0, and good for logs.
func (m Message) ID() mqtt.PacketID { return m.id }

// Last reports whether nothing of the message follows.
func (m Message) Last() bool { return m.Total < 0 || m.Offset+len(m.Payload) >= m.Total }

// Ack acknowledges a message under Options.ManualAck, when it has been taken
// care of; acknowledgements reach the server in the order the messages came.
// It returns ErrStaleAck if the connection the message came by has ended: it
// will come again. Of a message in parts it wants the last. At QoS 0 and for a
// message acknowledged already it does nothing.
func (m Message) Ack() error { return m.Refuse(mqtt.Success) }

// Refuse is Ack with a failure code, which a 5.0 server gets to see.
func (m Message) Refuse(code mqtt.ReasonCode) error {
	switch {
	case m.QoS == mqtt.AtMostOnce || m.from == nil:
		return nil
	case m.Total < 0:
		return ErrStaleAck
	case !m.Last():
		return errPartAck
	}
	return m.from.s.acknowledge(&m, code)
}

// A Result is the server's answer to a message.
type Result struct {
	Code   mqtt.ReasonCode // such as NoMatchingSubscribers
	Reason string
	User   []mqtt.UserProperty
}
