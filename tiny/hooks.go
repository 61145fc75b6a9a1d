package tiny

import "github.com/midgemq/midge/mqtt"

// Hooks are the program's own code inside a Broker. Every field may be nil.
// What a hook is handed is valid during the call only. A hook must not call
// the Broker; Publish, Subscribe and Unsubscribe then return ErrBusy.
type Hooks struct {
	// Authenticate is asked about a CONNECT; without it everyone is let in.
	// password is nil without one. mqtt.Success lets the client in, a failure
	// is what it is told.
	Authenticate func(c *Client, password []byte) mqtt.ReasonCode

	// Connected and Disconnected frame a session's time online; the reason is
	// mqtt.Success for a client that said goodbye.
	Connected    func(c *Client)
	Disconnected func(c *Client, reason mqtt.ReasonCode)

	// Publish is asked about every message a client publishes, and about every
	// will, before anybody gets it.
	Publish func(c *Client, m *Message) mqtt.ReasonCode

	// Subscribe is asked about every filter and returns the QoS to grant, or a
	// failure.
	Subscribe func(c *Client, filter []byte, q mqtt.QoS) mqtt.ReasonCode

	// Message gets what the program's own subscriptions match, retained
	// messages first.
	Message func(m *Message)
}

// A Client is who a hook is asked about.
type Client struct {
	Slot      Slot // of no meaning for an absent client's will
	Version   mqtt.Version
	ID        []byte
	Username  []byte // in Authenticate only
	KeepAlive uint16 // seconds; in Authenticate only
}

// A Message is an application message as programs see it.
type Message struct {
	Topic   []byte
	Payload []byte
	QoS     mqtt.QoS
	Retain  bool
}

// introduce fills in who is behind a slot.
func (b *Broker) introduce(at Slot) *Client {
	c := &b.conns[at]
	b.client = Client{Slot: at, Version: c.in.Version(), ID: b.slab.bytes(b.of(c).id)}
	return &b.client
}

// Client returns who is connected at a slot; false is nobody yet. ID is a view,
// good until the next call.
func (b *Broker) Client(at Slot) (Client, bool) {
	if b.conns[at].session == 0 {
		return Client{}, false
	}
	return *b.introduce(at), true
}
