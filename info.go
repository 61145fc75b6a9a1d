package midge

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// A Remote is where a connection comes from.
type Remote struct {
	Addr      net.Addr
	Transport transport.Kind
	Listener  string               // the listener's URL
	TLS       *tls.ConnectionState // nil without TLS, and in Hooks.Accept
}

// A ClientInfo describes a connected client. It is a copy.
type ClientInfo struct {
	Remote
	ClientID   string
	Username   string
	Version    mqtt.Version
	KeepAlive  uint16 // seconds; 0: none
	CleanStart bool
	Since      time.Time
	Access     Access // what Hooks.Authenticate gave it; nil: everything is allowed
}

// ClientStats count what passed on one connection.
type ClientStats struct {
	ClientInfo
	BytesIn, BytesOut       uint64
	PacketsIn, PacketsOut   uint64
	MessagesIn, MessagesOut uint64 // PUBLISH packets
	Dropped                 uint64 // messages for this client lost to a full queue
	Queued, Inflight        int    // QoS 1 and 2 messages
	QueuedBytes             int    // of these, and of what waits for the socket
	Subscriptions           int
}
