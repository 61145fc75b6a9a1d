package trace

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A Kind is what an Event tells of.
type Kind string

// The kinds there are.
const (
	Began        Kind = "began"        // the trace is in force; Detail says what it is of
	In           Kind = "in"           // a packet came
	Out          Kind = "out"          // a packet is on its way to the socket
	Connected    Kind = "connected"    // CONNACK said yes
	Refused      Kind = "refused"      // a connection ended before that, or a message may not be published
	Disconnected Kind = "disconnected" // a session's connection is over
	Routed       Kind = "routed"       // what became of a message for one subscriber, or that there was none
	Lost         Kind = "lost"         // a message did not reach a subscriber
	Missed       Kind = "missed"       // events came faster than they were taken: Count of them are not here
	Over         Kind = "over"         // the trace is at its end; Detail says why
)

// An Event is one thing that happened. Its JSON form leaves out what is zero or
// does not apply.
type Event struct {
	Time   time.Time `json:"time"`
	Kind   Kind      `json:"event"`
	Client string    `json:"client,omitempty"` // whose connection it is; of Routed and Lost, who published. Empty: not known yet, or the program
	User   string    `json:"user,omitempty"`
	Remote string    `json:"remote,omitempty"` // the client's address

	// Of packets, and of messages that are routed.

	Packet  string        `json:"packet,omitempty"` // PUBLISH, ...
	Size    int           `json:"size,omitempty"`   // bytes of the packet
	ID      mqtt.PacketID `json:"id,omitempty"`
	QoS     mqtt.QoS      `json:"qos,omitempty"`
	Retain  bool          `json:"retain,omitempty"`
	Dup     bool          `json:"dup,omitempty"`
	Alias   uint16        `json:"alias,omitempty"` // the Topic Alias it went by
	Topic   string        `json:"topic,omitempty"`
	Filters []string      `json:"filters,omitempty"` // of SUBSCRIBE and UNSUBSCRIBE
	Codes   []string      `json:"codes,omitempty"`   // of SUBACK and UNSUBACK, one for each filter
	Bytes   int           `json:"bytes,omitempty"`   // of the payload
	Payload string        `json:"payload,omitempty"` // its beginning, if asked for: text, or hex: and digits

	Code   *uint8 `json:"code,omitempty"`   // a reason code
	Reason string `json:"reason,omitempty"` // its name
	To     string `json:"to,omitempty"`     // the subscriber
	Fate   string `json:"fate,omitempty"`   // of the message there; see Fate
	Detail string `json:"detail,omitempty"` // more about it, for people
	Count  uint64 `json:"count,omitempty"`  // of events that are missing
}

// Say sets the reason code.
func (e *Event) Say(code mqtt.ReasonCode) {
	c := uint8(code)
	e.Code, e.Reason = &c, code.String()
}

// LogValue is e as a group of attributes.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("event", string(e.Kind))}
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	number := func(key string, n int) {
		if n != 0 {
			attrs = append(attrs, slog.Int(key, n))
		}
	}
	text("client", e.Client)
	text("user", e.User)
	text("remote", e.Remote)
	text("packet", e.Packet)
	number("id", int(e.ID))
	number("size", e.Size)
	if e.Topic != "" {
		attrs = append(attrs, slog.Int("qos", int(e.QoS)))
	}
	if e.Retain {
		attrs = append(attrs, slog.Bool("retain", true))
	}
	if e.Dup {
		attrs = append(attrs, slog.Bool("dup", true))
	}
	number("alias", int(e.Alias))
	text("topic", e.Topic)
	text("filters", strings.Join(e.Filters, " "))
	text("codes", strings.Join(e.Codes, ", "))
	number("bytes", e.Bytes)
	text("payload", e.Payload)
	text("to", e.To)
	text("fate", e.Fate)
	text("reason", e.Reason)
	text("detail", e.Detail)
	number("count", int(e.Count))
	return slog.GroupValue(attrs...)
}

// A Fate is what became of a message for one subscriber.
type Fate uint8

// The fates there are.
const (
	Sent       Fate = iota
	Queued          // it waits: the window is closed, or the client is away
	Full            // no room in the queue
	Away            // QoS 0, and the client is not connected
	Ending          // the connection is about to end
	TooLarge        // for the client's Maximum Packet Size
	Expired         // its Message Expiry Interval has passed
	Denied          // the subscriber may not read the topic
	NoLocal         // the subscriber published it and has No Local
	Gone            // the session has ended
	Nobody          // no subscription matches
	Superseded      // a newer retained message has taken its place
)

var fates = [...]string{
	"sent", "queued", "queue full", "client away", "connection ending", "too large for the client", "expired",
	"access denied", "no local", "session ended", "no subscriber", "superseded",
}

func (f Fate) String() string { return fates[f] }

// Lost reports whether the subscriber will not get the message.
func (f Fate) Lost() bool { return f > Queued }

// text is the beginning of a payload as people, and JSON, can have it.
func text(b []byte, n int) string {
	if n <= 0 || len(b) == 0 {
		return ""
	}
	cut := b[:min(n, len(b))]
	for k := 0; len(cut) < len(b) && k < utf8.UTFMax-1 && !utf8.Valid(cut); k++ { // not in the middle of a character
		cut = cut[:len(cut)-1]
	}
	if len(cut) > 0 && utf8.Valid(cut) && strings.IndexFunc(string(cut), unreadable) < 0 {
		return string(cut)
	}
	const digits = "0123456789abcdef"
	out := []byte("hex:")
	for _, c := range b[:min(n, len(b))] {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

func unreadable(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' && r != '\r' }

// Describe makes an Event of a packet as it stands on the wire, with at most
// payload bytes of what a PUBLISH carries. False is what is no packet of v.
func Describe(v mqtt.Version, raw []byte, payload int) (Event, bool) {
	h, err := packet.ReadHeader(raw)
	if err != nil || h.Size+h.Len != len(raw) {
		return Event{}, false
	}
	e := Event{Packet: h.Type.String(), Size: len(raw)}
	return e, e.decode(v, h, raw[h.Size:], payload) == nil
}

// Host is the address part of a network address, invalid for one that has none.
func Host(addr string) netip.Addr {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}
