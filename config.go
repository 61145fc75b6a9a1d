package midge

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/topic"
	"github.com/midgemq/midge/transport"
)

// DefaultListen is where a broker listens when it is told nothing: loopback only.
const DefaultListen = "tcp://127.0.0.1:1883"

// A Listener is one address a broker serves.
type Listener struct {
	// URL is one of tcp://host:port, tls://host:port, ws://host:port/path,
	// wss://host:port/path and unix:///path; see package transport.
	URL string

	// Options say how: certificates, origins, file modes.
	Options transport.Options
}

// A Config says what a broker is and does. The zero value is a complete
// broker on loopback port 1883.
//
// In every number the zero is the default its comment names, and a negative
// value turns the thing off. New refuses what is out of range.
type Config struct {
	// Listeners; nil is one on DefaultListen. Empty but not nil is none:
	// connections then come through Broker.Serve alone.
	Listeners []Listener

	// Hooks are the program's own code in the broker's; see Hooks.
	Hooks Hooks

	// Logger takes what an operator should know; nil is slog.Default. Its handler
	// may ask the broker; while it blocks, so do other clients.
	Logger *slog.Logger

	// Store is where what is to outlive the broker is kept: sessions with their
	// queues, retained messages, delayed wills. nil: nothing outlives it. What
	// a store holds is taken over by New; an acknowledgement leaves once what
	// it promises is as durable as the store was told to make things. One
	// broker uses it at a time, and does not close it: close it after the broker.
	Store store.Store

	// Announced limits: a 5.0 client learns them in CONNACK, everyone is
	// held to them.

	MaxPacketSize     int // bytes, [256, 268435460]; 0: 2 MiB
	ReceiveMaximum    int // QoS 1 and 2 messages in flight from one client, [1, 65535]; 0: 1024
	TopicAliasMaximum int // topic aliases a client may use, [1, 65535]; 0: 64; negative: none
	MaxQoS            int // [1, 2]; 0: 2; negative: QoS 0 alone

	NoRetain          bool // refuse retained messages
	NoWildcards       bool // refuse filters with + or #
	NoSubscriptionIDs bool // refuse subscription identifiers
	NoShared          bool // refuse $share

	// MaxKeepAlive is imposed on 5.0 clients that ask for longer or none
	// (Server Keep Alive), whole seconds, [1s, 65535s]; 0: the client's choice.
	MaxKeepAlive time.Duration

	// MaxSessionExpiry bounds how long a session outlives its connection,
	// whole seconds; 0: no bound; negative: no session does.
	MaxSessionExpiry time.Duration

	// ResponseInformation is what a 5.0 client that asks gets as the base of
	// its response topics; empty: nothing.
	ResponseInformation string

	// Bounds of what one client can make the broker hold. What is over them is
	// dropped and counted. QoS 1 and 2 messages count while they wait and until
	// they are acknowledged; QoS 0 messages, while the client is connected and
	// slow, have the same room once more.

	MaxInflight       int // QoS 1 and 2 messages in flight to one client, [1, 65535]; 0: 128
	MaxQueuedMessages int // for one client, [1, 1<<30]; 0: 100,000
	MaxQueuedBytes    int // for one client, [1024, 1<<40]; 0: 64 MiB
	MaxAliasesOut     int // topic aliases used towards one client, [1, 65535]; 0: 16; negative: none
	MaxTopicLevels    int // of a topic or a filter, [1, 65535]; 0: 128
	MaxTopicLength    int // of a topic or a filter, bytes, [1, 65535]; 0: 65535
	MaxSubscriptions  int // of one client, [1, 1<<30]; 0: 10,000. One more is refused with "quota exceeded"

	// Bounds of what all together can make it hold.

	MaxConnections int // [1, 1<<30]; 0: as many as the system allows

	// MaxSessions is how many sessions may outlive their connections, those of
	// the connected included, [1, 1<<30]; 0: 1,000,000. A 5.0 client that comes
	// when there are as many is told that its session ends with its connection
	// (Session Expiry Interval 0); an older one, which cannot be told, is
	// refused as if the server were unavailable.
	MaxSessions int

	// Retained messages, $-topics left out. One that would go beyond is not
	// accepted: "quota exceeded" at QoS 1 and 2.
	MaxRetained      int // messages, [1, 1<<30]; 0: 1,000,000
	MaxRetainedBytes int // with their topics and some 160 bytes each, [1024, 1<<40]; 0: 1 GiB

	// What retained messages may do to those who have not asked for them.
	MaxReplay  int // that one subscription may bring, [1, 1<<30]; more is refused with "quota exceeded"; 0: any number
	ReplayRate int // that all replays together look at in a second, [100, 1e9]; 0: as many as go

	// MaxMemory is how much may be held for clients in all, bytes, [16 MiB,
	// 1<<50]; 0: no bound but the others. Counted are queues, messages in flight,
	// retained ones, subscriptions, sessions, wills, connections and what waits
	// for slow sockets; a message that waits for several counts for each. From
	// three quarters on retained messages and sessions to be kept are refused
	// ("quota exceeded") and QoS 0 goes to nobody who lags; from seven eighths on
	// every new session and subscription, and messages of QoS 1 or 2 that
	// somebody would have to wait for; beyond, nobody may connect. What
	// several loops do at once may take it over the bound, by no more than 8 KiB
	// a connection. What is there already stays.
	MaxMemory int

	// How fast messages may come: each client's, those of all who came by one
	// listener, and those of all clients. ListenerRate says it of the listener
	// with that URL, as in Remote.Listener; New, Serve and Adjust ask it. Of
	// each, as much as comes in RateBurst, [500ms, 1h], may come at once; 0: 1 s.
	// OverRate says what becomes of more: by default the client is held back.

	ClientRate   Rate
	ListenerRate func(url string) Rate
	Rate         Rate
	RateBurst    time.Duration
	OverRate     OverRate

	// Patience.

	ConnectTimeout time.Duration // from accept to CONNACK, hooks included; 0: 10 s
	WriteTimeout   time.Duration // a client that takes no byte for so long is cut off; 0: 30 s

	// SysInterval is how often $SYS topics are renewed; 0: 10 s; negative: no $SYS.
	SysInterval time.Duration
}

// settings is a Config with every default in place. Immutable.
type settings struct {
	Config
	limits       mqtt.Limits // announced to clients
	rated        bool        // there is a rate for each client, or for all
	expiryMax    uint32      // seconds
	keepAliveMax uint16      // seconds; 0: the client's choice
}

// WithDefaults returns c with every default in place, as New would use it. The
// error names every value that is out of range.
func (c Config) WithDefaults() (Config, error) {
	s, err := c.resolve()
	if err != nil {
		return c, err
	}
	return s.Config, nil
}

// resolve puts defaults in place and names every value that is out of range.
func (c Config) resolve() (*settings, error) {
	s := &settings{Config: c}
	var errs []error
	number := func(name string, v *int, def, low, high int) {
		switch {
		case *v == 0:
			*v = def
		case *v < low || *v > high:
			errs = append(errs, fmt.Errorf("%s is %d, want %d to %d", name, *v, low, high))
		}
	}
	number("MaxPacketSize", &s.MaxPacketSize, 2<<20, 256, mqtt.MaxPacketSize)
	number("ReceiveMaximum", &s.ReceiveMaximum, 1024, 1, 65535)
	number("MaxInflight", &s.MaxInflight, 128, 1, 65535)
	number("MaxQueuedMessages", &s.MaxQueuedMessages, 100_000, 1, 1<<30)
	number("MaxQueuedBytes", &s.MaxQueuedBytes, 64<<20, 1024, min(1<<40, math.MaxInt))
	number("MaxTopicLevels", &s.MaxTopicLevels, 128, 1, 65535)
	number("MaxTopicLength", &s.MaxTopicLength, 65535, 1, 65535)
	number("MaxSubscriptions", &s.MaxSubscriptions, 10_000, 1, 1<<30)
	number("MaxSessions", &s.MaxSessions, 1_000_000, 1, 1<<30)
	number("MaxRetained", &s.MaxRetained, 1_000_000, 1, 1<<30)
	number("MaxRetainedBytes", &s.MaxRetainedBytes, 1<<30, 1024, min(1<<40, math.MaxInt))
	number("MaxReplay", &s.MaxReplay, 0, 1, 1<<30)
	number("ReplayRate", &s.ReplayRate, 0, 100, 1e9)
	number("MaxMemory", &s.MaxMemory, 0, 16<<20, min(1<<50, math.MaxInt))
	number("MaxConnections", &s.MaxConnections, 0, 1, 1<<30)
	number("TopicAliasMaximum", &s.TopicAliasMaximum, 64, -1<<31, 65535)
	number("MaxAliasesOut", &s.MaxAliasesOut, 16, -1<<31, 65535)
	number("MaxQoS", &s.MaxQoS, 2, -1<<31, 2)

	span := func(name string, v *time.Duration, def, low time.Duration) {
		switch {
		case *v == 0:
			*v = def
		case *v < low:
			errs = append(errs, fmt.Errorf("%s is %v, want at least %v", name, *v, low))
		}
	}
	span("ConnectTimeout", &s.ConnectTimeout, 10*time.Second, time.Millisecond)
	span("WriteTimeout", &s.WriteTimeout, 30*time.Second, time.Millisecond)
	span("RateBurst", &s.RateBurst, time.Second, 500*time.Millisecond)
	span("MaxKeepAlive", &s.MaxKeepAlive, 0, time.Second)
	if s.MaxKeepAlive > 65535*time.Second {
		errs = append(errs, fmt.Errorf("MaxKeepAlive is %v, want at most 65535s", s.MaxKeepAlive))
	}
	if s.SysInterval == 0 {
		s.SysInterval = 10 * time.Second
	}
	errs = append(errs, s.checkRates()...)
	if errors.Join(errs...) != nil {
		return nil, fmt.Errorf("midge: config: %w", errors.Join(errs...))
	}
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	if s.Listeners == nil {
		s.Listeners = []Listener{{URL: DefaultListen}}
	}
	s.derive()
	return s, nil
}

// outsized is why a topic or a filter is not taken, nil if it is.
func (s *settings) outsized(name []byte) *Refusal {
	switch {
	case len(name) > s.MaxTopicLength:
		return errTopicLong
	case len(name) >= s.MaxTopicLevels && topic.Levels(name) > s.MaxTopicLevels: // a level takes a byte
		return errTopicDeep
	}
	return nil
}

var (
	errTopicLong = &Refusal{Code: mqtt.TopicNameInvalid, Reason: "the topic is too long"}
	errTopicDeep = &Refusal{Code: mqtt.TopicNameInvalid, Reason: "the topic has too many levels"}
)

func (s *settings) derive() {
	s.rated = !s.ClientRate.none() || !s.Rate.none()
	s.limits = mqtt.Limits{
		ReceiveMaximum:    uint16(s.ReceiveMaximum),
		MaxPacketSize:     uint32(s.MaxPacketSize),
		TopicAliasMaximum: uint16(max(s.TopicAliasMaximum, 0)),
		MaxQoS:            mqtt.QoS(max(s.MaxQoS, 0)),
		RetainAvailable:   !s.NoRetain,
		WildcardAvailable: !s.NoWildcards,
		SubscriptionIDs:   !s.NoSubscriptionIDs,
		SharedAvailable:   !s.NoShared,
	}
	s.keepAliveMax = uint16(s.MaxKeepAlive / time.Second)
	s.expiryMax = mqtt.NeverExpires
	switch max := s.MaxSessionExpiry; {
	case max < 0:
		s.expiryMax = 0
	case max > 0 && max/time.Second < mqtt.NeverExpires:
		s.expiryMax = uint32(max / time.Second)
	}
}
