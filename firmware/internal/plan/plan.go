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
	// Buffer is the size of a connection's receive and send buffer, each, in
	// bytes: the largest packet, and what TCP may have under way.
	Buffer = 512
)

// Limits returns the broker's limits. Bytes are read where TCP put them, so it
// has no receive buffers of its own.
func Limits() tiny.Limits {
	return tiny.Limits{
		Clients: Clients, Sessions: Clients, Filters: 32,
		MaxTopic: 64, MaxPayload: 256, MaxPacket: Buffer,
		Queue: 4, Inflight: 4, Retained: 16, RetainedBytes: 2048,
	}
}
