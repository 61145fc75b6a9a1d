package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/topic"
)

// DefaultServer is where a client goes that is told nothing.
const DefaultServer = "mqtt://127.0.0.1:1883"

// A Will is the message the server publishes when the connection ends without
// DISCONNECT.
type Will struct {
	mqtt.Message

	// Delay is how long a 5.0 server waits with it, whole seconds; a
	// connection made meanwhile calls it off.
	Delay time.Duration
}

// Options shape a connection. The zero value is a 5.0 connection (3.1.1 with
// a server that knows no other) under an identifier made up for it.
//
// In every number the zero is the default its comment names, and a negative
// value turns the thing off. What is out of range is refused.
type Options struct {
	// Version is the only one to speak; 0: 5.0, or 3.1.1 where the server
	// refuses that.
	Version mqtt.Version

	// ClientID; empty: a random one, the same for the life of the client.
	ClientID string

	// AssignedID true asks the server for an identifier (an empty ClientID on
	// the wire) and keeps what a 5.0 server assigns.
	AssignedID bool

	// Username and Password; empty: those in the server's URL, if any. A
	// password alone goes with an empty user name before 5.0.
	Username string
	Password []byte

	// CleanStart true discards what the server has kept under ClientID.
	CleanStart bool

	// SessionExpiry is how long the server keeps the session when the
	// connection is gone, whole seconds. 0: 5 minutes, to survive a broken
	// connection, and no longer than this program: Close ends the session
	// (before 5.0 there is no such middle way, and the session ends with each
	// connection). Positive: the session outlives the program too and is
	// taken up by the next one with the same ClientID. Negative: none.
	SessionExpiry time.Duration

	// KeepAlive is how long the connection may be silent, whole seconds,
	// [1s, 65535s]; 0: 60 s; negative: no limit.
	KeepAlive time.Duration

	Will *Will // nil: none

	// What is announced to a 5.0 server, and enforced.

	ReceiveMaximum      int // QoS 1 and 2 messages unacknowledged at a time, [1, 65535]; 0: 256
	MaxPacketSize       int // bytes, [64, 268435460]; 0: 16 MiB; older servers are cut off when they exceed it
	TopicAliasMaximum   int // aliases the server may use, [1, 65535]; 0: 16; negative: none
	RequestResponseInfo bool
	NoProblemInfo       bool // ask for no Reason Strings and User Properties
	User                []mqtt.UserProperty

	// Auth takes part in enhanced authentication, 5.0 only; nil: none.
	Auth Authenticator

	// Bounds of what goes to the server.

	MaxInflight int // QoS 1 and 2 messages unacknowledged at a time, [1, 65535]; 0: 64
	MaxAliases  int // topic aliases used, where offered, [1, 65535]; 0: 16; negative: none

	// The outbox: messages that wait for the server, and those in flight.

	MaxQueuedMessages int      // [1, 1<<30]; 0: 100,000
	MaxQueuedBytes    int      // [1024, 1<<40]; 0: 64 MiB
	Overflow          Overflow // what Enqueue does when it is full

	// Receiving.

	// Handler gets the messages no other handler matches.
	Handler Handler

	// Concurrency is how many handlers may run at once, [1, 1024]; 0: 1.
	// Messages of one topic are always handled in order, one at a time.
	Concurrency int

	// ManualAck true leaves QoS 1 and 2 messages unacknowledged until
	// Message.Ack or Refuse; false acknowledges them when their handlers have
	// returned.
	ManualAck bool

	// StreamAbove, if positive, hands payloads of more bytes over in parts as
	// they come; see Message.Offset.
	StreamAbove int

	// MaxUnhandled bounds the bytes received that wait for a handler, for each
	// of Concurrency, [1024, 1<<40]; 0: 16 MiB. Above it reading stops, and the server waits; unless
	// the server owes an answer to a call or a message of the outbox, which a
	// handler may be waiting for: then reading goes on, and QoS 0 messages
	// there is no room for are dropped and counted.
	MaxUnhandled int

	// The network.

	// TLS is for mqtts and wss; nil verifies the server against the system's
	// roots.
	TLS *TLS

	// Dial opens the connection in place of everything below: own transports,
	// TLS with pre-shared keys, a pipe. The URL is without user and password.
	Dial func(ctx context.Context, server *url.URL) (net.Conn, error)

	// Header adds to the WebSocket request.
	Header http.Header

	// Interface and LocalAddr say where connections leave from: a network
	// interface (Linux), and an address without port. Empty: the system's choice.
	Interface, LocalAddr string

	// TCPKeepAlive sets TCP's own probes; the zero value is net.Dialer's
	// default, every 15 s.
	TCPKeepAlive net.KeepAliveConfig

	// Proxy is socks5://, socks5h:// or http://, with user and password where
	// needed; empty: ALL_PROXY, less NO_PROXY and this machine; "none": none.
	Proxy string

	// ConnectTimeout bounds an attempt, from the first packet of TCP to
	// CONNACK; 0: 30 s. WriteTimeout is how long the server may take no byte;
	// 0: 30 s.
	ConnectTimeout, WriteTimeout time.Duration

	// Logger takes what a developer may want to know; nil: nobody is told.
	Logger *slog.Logger
}

// Overflow is what Enqueue does with a full outbox. Publish waits for room.
type Overflow uint8

const (
	RefuseNew  Overflow = iota // Enqueue returns ErrQueueFull
	DropOldest                 // the messages that have waited longest make room
)

// settings are Options with every default in place. Immutable.
type settings struct {
	Options
	limits    mqtt.Limits // announced
	keepAlive uint16      // seconds
	expiry    uint32      // Session Expiry Interval on the wire, seconds
	keeps     bool        // the session outlives a connection (5.0)
	durable   bool        // and the program, in every version
	log       *slog.Logger
}

func (o Options) resolve() (*settings, error) {
	s := &settings{Options: o, log: o.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	errs := s.numbers()
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Version != 0 && !o.Version.Known() {
		fault("Version is %d", o.Version)
	}
	errs = append(errs, checkString("ClientID", o.ClientID), checkString("Username", o.Username), checkUsers(o.User))
	if len(o.Password) > mqtt.MaxStringLen {
		fault("Password is above 65,535 bytes")
	}
	if o.Will != nil {
		if err := o.Will.check(); err != nil {
			fault("Will: %w", err)
		}
	}
	if o.TLS != nil {
		if _, err := o.TLS.Config(); err != nil {
			fault("TLS: %w", err)
		}
	}
	if o.SessionExpiry > 0 && o.ClientID == "" {
		fault("a session that outlives the program needs a ClientID")
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("client: options: %w", err)
	}
	if s.ClientID == "" && !s.AssignedID {
		s.ClientID = RandomID("midge")
	}
	s.derive()
	return s, nil
}

func (s *settings) numbers() (errs []error) {
	number := func(name string, v *int, def, low, high int) {
		switch {
		case *v == 0:
			*v = def
		case *v < low || *v > high:
			errs = append(errs, fmt.Errorf("%s is %d, want %d to %d", name, *v, low, high))
		}
	}
	number("ReceiveMaximum", &s.ReceiveMaximum, 256, 1, 65535)
	number("MaxPacketSize", &s.MaxPacketSize, 16<<20, 64, mqtt.MaxPacketSize)
	number("TopicAliasMaximum", &s.TopicAliasMaximum, 16, math.MinInt32, 65535)
	number("MaxInflight", &s.MaxInflight, 64, 1, 65535)
	number("MaxAliases", &s.MaxAliases, 16, math.MinInt32, 65535)
	number("MaxQueuedMessages", &s.MaxQueuedMessages, 100_000, 1, 1<<30)
	number("MaxQueuedBytes", &s.MaxQueuedBytes, 64<<20, 1024, min(1<<40, math.MaxInt))
	number("Concurrency", &s.Concurrency, 1, 1, 1024)
	number("MaxUnhandled", &s.MaxUnhandled, 16<<20, 1024, min(1<<40, math.MaxInt))
	number("StreamAbove", &s.StreamAbove, 0, 1, math.MaxInt32)
	span := func(name string, v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		} else if *v < 0 {
			errs = append(errs, fmt.Errorf("%s is negative", name))
		}
	}
	span("ConnectTimeout", &s.ConnectTimeout, 30*time.Second)
	span("WriteTimeout", &s.WriteTimeout, 30*time.Second)
	if s.KeepAlive == 0 {
		s.KeepAlive = time.Minute
	}
	if s.KeepAlive > 0 && (s.KeepAlive < time.Second || s.KeepAlive > 65535*time.Second) {
		errs = append(errs, fmt.Errorf("KeepAlive is %v, want 1s to 65535s", s.KeepAlive))
	}
	return errs
}

func (s *settings) derive() {
	s.limits = mqtt.Unlimited()
	s.limits.ReceiveMaximum = uint16(s.ReceiveMaximum)
	s.limits.MaxPacketSize = uint32(s.MaxPacketSize)
	s.limits.TopicAliasMaximum = uint16(max(s.TopicAliasMaximum, 0))
	s.keepAlive = uint16(max(s.KeepAlive, 0) / time.Second)
	s.keeps, s.durable = s.SessionExpiry >= 0, s.SessionExpiry > 0
	switch e := s.SessionExpiry; {
	case e == 0:
		s.expiry = 300
	case e > 0 && e/time.Second < mqtt.NeverExpires:
		s.expiry = uint32(max(e/time.Second, 1))
	case e > 0:
		s.expiry = mqtt.NeverExpires
	}
}

// Forever is a SessionExpiry without end.
const Forever = mqtt.NeverExpires * time.Second

// RandomID returns prefix and 18 random letters and digits, an identifier
// every server accepts if prefix has at most 5 bytes.
func RandomID(prefix string) string { return prefix + rand.Text()[:18] }

func (w *Will) check() error {
	switch {
	case len(w.Payload) > mqtt.MaxStringLen:
		return errors.New("the payload is above 65,535 bytes")
	case w.Delay < 0 || w.Delay/time.Second > mqtt.NeverExpires:
		return fmt.Errorf("the Delay is %v", w.Delay)
	}
	return checkMessage(&w.Message)
}

// checkMessage is about the program's own mistakes.
func checkMessage(m *mqtt.Message) error {
	if err := topic.CheckName(m.Topic); err != nil {
		return fmt.Errorf("client: topic %q: %w", m.Topic, err)
	}
	if !m.QoS.Valid() {
		return fmt.Errorf("client: there is no QoS %d", m.QoS)
	}
	if len(m.Payload) > mqtt.MaxRemainingLength {
		return ErrTooLarge
	}
	p := &m.Properties
	if p.PayloadUTF8 && !utf8.Valid(m.Payload) {
		return errors.New("client: PayloadUTF8, and the payload is no UTF-8")
	}
	if p.ResponseTopic != "" {
		if err := topic.CheckName(p.ResponseTopic); err != nil {
			return fmt.Errorf("client: response topic %q: %w", p.ResponseTopic, err)
		}
	}
	if len(p.CorrelationData) > mqtt.MaxStringLen {
		return errors.New("client: CorrelationData is above 65,535 bytes")
	}
	if err := checkString("content type", p.ContentType); err != nil {
		return err
	}
	return checkUsers(p.User)
}

func checkUsers(all []mqtt.UserProperty) error {
	for _, u := range all {
		if err := errors.Join(checkString("user property", u.Name), checkString("user property", u.Value)); err != nil {
			return err
		}
	}
	return nil
}

func checkString(what, s string) error {
	if len(s) > mqtt.MaxStringLen || !utf8.ValidString(s) {
		return fmt.Errorf("client: %s is no string MQTT can carry", what)
	}
	for i := range len(s) {
		if s[i] == 0 {
			return fmt.Errorf("client: %s holds U+0000", what)
		}
	}
	return nil
}
