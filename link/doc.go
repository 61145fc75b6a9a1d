// Package link holds the rules of one connection, for both ends: what may
// come when, in which version, within which announced limits, and what it
// means. Bytes and the time come in, packets and deadlines come out; there is
// no socket, goroutine or clock here, and nothing is allocated per packet.
//
// A connection has two halves, since two owners use it. The [Reader] belongs
// to whoever reads the socket; it cuts packets out of the bytes, checks them
// and resolves topic aliases. The [Writer] belongs to whoever holds the
// session's lock; it encodes what goes to the peer within what the peer
// announced. The windows of QoS 1 and 2 outlive the connection and so are
// package flow's; an engine (tiny, midge, client) owns one pair a session.
package link

import "github.com/midgemq/midge/packet"

// A Side is the end of the connection this program is.
type Side uint8

const (
	Server Side = iota
	Client
)

// Packets is where a Reader decodes to. One serves every connection a
// goroutine reads, one at a time: the next packet overwrites it. All its packets
// share one set of properties. It must not be copied.
type Packets struct {
	Connect     packet.Connect
	Connack     packet.Connack
	Publish     packet.Publish
	Ack         packet.Ack
	Subscribe   packet.Subscribe
	Suback      packet.Suback
	Unsubscribe packet.Unsubscribe
	Disconnect  packet.Disconnect
	Auth        packet.Auth

	properties, will packet.Properties
}

// Blank returns the properties the packets share, emptied, for one that is to
// be written: those of a decoded packet are lost.
func (p *Packets) Blank() *packet.Properties {
	p.properties = packet.Properties{}
	return &p.properties
}
