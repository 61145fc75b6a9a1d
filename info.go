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

// remote is where c comes from.
func (c *conn) remote() Remote {
	return Remote{Addr: c.nc.RemoteAddr(), Transport: c.nc.Kind(), Listener: c.listen.url, TLS: c.nc.TLS()}
}

// info is what there is to know of c, whose CONNECT has been let in.
func (c *conn) info() ClientInfo {
	return ClientInfo{
		Remote: c.remote(), ClientID: c.id(), Username: c.username(), Version: c.version,
		KeepAlive: c.timer.KeepAlive(), CleanStart: c.cleanStart, Since: time.Unix(0, c.since), Access: c.access(),
	}
}

// id is c's client identifier, "" before CONNECT.
func (c *conn) id() string {
	switch {
	case c.session != nil:
		return c.session.id
	case c.greeting() != nil:
		return c.greeting().hello.ClientID
	}
	return ""
}

// access is what c's client may do; nil: everything.
func (c *conn) access() Access {
	switch {
	case c.session != nil:
		if a := c.session.access.Load(); a != nil {
			return *a
		}
	case c.greeting() != nil:
		return c.greeting().hello.Access
	}
	return nil
}

// ClientStats describe a session, and count what passed on its connection. Of a
// client that is away little more than its identifier is known.
type ClientStats struct {
	ClientInfo
	Connected               bool
	Until                   time.Time // when the session ends if the client stays away; zero: never, or the client is here
	BytesIn, BytesOut       uint64
	PacketsIn, PacketsOut   uint64
	MessagesIn, MessagesOut uint64 // PUBLISH packets
	Dropped                 uint64 // messages for this client lost to a full queue
	Queued, Inflight        int    // QoS 1 and 2 messages
	QueuedBytes             int    // of these, and of what waits for the socket
	Subscriptions           int
	Stalled                 time.Duration // how long the write under way has been waiting for the client at least; up to a second more
}

// username is the name c's client is known by, "" if it has none.
func (c *conn) username() string {
	if c.user == nil {
		return ""
	}
	return *c.user
}
