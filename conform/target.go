package conform

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// A Target is a broker to judge and what the suite has to know about it.
// Only Dial is required.
type Target struct {
	Name string // for reports

	// Dial opens a byte stream to the broker: TCP, TLS, WebSocket, a unix
	// socket or an in-memory pipe. It may block until ctx ends.
	Dial func(ctx context.Context) (net.Conn, error)

	// DialHTTP opens a raw stream to the broker's WebSocket listener; the suite
	// does the opening handshake itself. nil: the broker offers no WebSocket.
	DialHTTP func(ctx context.Context) (net.Conn, error)
	HTTPPath string // request path of the handshake; empty: "/mqtt"

	Versions []mqtt.Version // protocols offered; empty: 3.1, 3.1.1 and 5.0

	// MaxPacket is the largest packet the broker takes, in bytes, which a client
	// before 5.0 is not told; 0: more than the suite ever sends.
	MaxPacket int

	// User and Password go into every CONNECT that is not about credentials.
	// Empty: the broker lets anonymous clients in.
	User, Password string

	// Patience is how long an expected packet or close may take; 0: 2 s.
	// Idle is how long silence must last to count as silence; 0: 150 ms.
	Patience, Idle time.Duration

	// NoSlow leaves out the checks that wait for seconds (keep alive, will
	// delay, expiry); they cost nothing in fake time.
	NoSlow bool

	// With starts a broker configured as o asks and returns it as a target, or
	// reports false when this broker cannot. The returned target's Close is
	// called when the check ends. nil: the broker is as it is, and the checks
	// that need a special configuration are skipped.
	With func(o Options) (Target, bool)

	// Close stops what With started; nil: nothing to stop.
	Close func()
}

// Options ask for a broker of a special configuration; zero fields ask for
// nothing. A target that cannot meet every non-zero field refuses the whole.
type Options struct {
	MaxQoS            *mqtt.QoS // highest QoS the broker accepts and announces
	NoRetain          bool      // Retain Available 0
	NoWildcard        bool      // Wildcard Subscription Available 0
	NoSubscriptionIDs bool      // Subscription Identifiers Available 0
	NoShared          bool      // Shared Subscription Available 0

	MaxPacketSize        uint32        // bytes, announced and enforced
	ReceiveMaximum       uint16        // announced and enforced
	TopicAliasMaximum    uint16        // aliases the broker accepts, announced
	ServerKeepAlive      uint16        // seconds, announced whatever the client asked
	SessionExpiryMaximum uint32        // seconds; longer requests are cut to it
	ConnectTimeout       time.Duration // a connection without CONNECT is closed after it

	// AuthMethod offers enhanced authentication under this name, always
	// [EchoMethod]: the server answers the CONNECT with AUTH 0x18 and some
	// challenge as Authentication Data, and lets in a client whose AUTH 0x18
	// repeats that challenge. Re-authentication (AUTH 0x19) goes the same way.
	AuthMethod string

	DenyUser            string // a CONNECT with this user name is not authorized
	DenyPublish         string // publishing to topics this filter matches is not authorized
	DenySubscribe       string // subscribing to exactly this filter is not authorized
	RefuseEmptyClientID bool   // an empty client identifier is refused
	ResponseInformation string // given to 5.0 clients that ask for it
}

// EchoMethod is the name of the authentication method of [Options.AuthMethod].
const EchoMethod = "conform-echo"

const (
	defaultPatience = 2 * time.Second
	defaultIdle     = 150 * time.Millisecond
)

func (t Target) offers(v mqtt.Version) bool {
	return len(t.Versions) == 0 || slices.Contains(t.Versions, v)
}

func (t Target) patience() time.Duration {
	if t.Patience > 0 {
		return t.Patience
	}
	return defaultPatience
}

func (t Target) idle() time.Duration {
	if t.Idle > 0 {
		return t.Idle
	}
	return defaultIdle
}
