// Package plan is what the boards offer: the broker's limits and the buffers of
// its connections, sized to each other.
package plan

import "github.com/midgemq/midge/tiny"

const (
	// Port is MQTT's.
	Port = 1883
	// Clients is how many may be connected at once.
	Clients = 8
	// Conns has one connection to spare, in which a client too many is told so
	// and a client that comes back takes its session over.
	Conns = Clients + 1
	// In is a connection's receive buffer in bytes, which is TCP's window too:
	// the largest packet.
	In = 512
	// Out is a connection's send buffer in bytes: the largest packet with the
	// most subscription identifiers, which is tiny.Limits.MaxOutgoing.
	Out = In + 44
)

// Limits returns the broker's limits. Bytes are read where TCP put them, so it
// has no receive buffers of its own.
func Limits() tiny.Limits {
	return tiny.Limits{Clients: Clients, MaxPacket: In, ReceiveBuffer: -1}
}
