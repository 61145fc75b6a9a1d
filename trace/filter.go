package trace

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/midgemq/midge/topic"
)

// A Filter says what a trace is about. An event has to fit every field of the
// first four that is set; none set is everything.
type Filter struct {
	Client  string // a client identifier
	User    string // a user name
	Address string // an IP address, or a network such as 192.0.2.0/24
	Topic   string // a topic filter: messages it matches, subscriptions that have topics in common with it

	// Packets adds every packet in and out. Without it there are connections and
	// their ends, subscriptions, messages that come in, and what becomes of each
	// for each subscriber.
	Packets bool

	// Payload is how many bytes of each payload are shown, [1, 65536]; 0: none.
	Payload int

	// The trace ends by itself. 0: 1 minute and 10,000 events; negative: never.
	For    time.Duration
	Events int

	network netip.Prefix
}

// The defaults of a Filter.
const (
	DefaultFor    = time.Minute
	DefaultEvents = 10_000
	MaxPayload    = 64 << 10
)

// Resolve checks f and fills in its defaults. The error names the field.
func (f Filter) Resolve() (Filter, error) {
	if f.Address != "" {
		var err error
		if f.network, err = network(f.Address); err != nil {
			return f, fmt.Errorf("trace: address: %w", err)
		}
	}
	if f.Topic != "" {
		if err := topic.CheckFilter(f.Topic); err != nil {
			return f, fmt.Errorf("trace: topic %q: %w", f.Topic, err)
		}
		f.Topic = plain(f.Topic)
	}
	if f.Payload < 0 || f.Payload > MaxPayload {
		return f, fmt.Errorf("trace: payload is %d, want 0 to %d bytes", f.Payload, MaxPayload)
	}
	if f.For == 0 {
		f.For = DefaultFor
	}
	if f.Events == 0 {
		f.Events = DefaultEvents
	}
	return f, nil
}

func network(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// String says in words what f is about.
func (f Filter) String() string {
	var words []string
	for _, part := range [][2]string{{"client", f.Client}, {"user", f.User}, {"address", f.Address}, {"topic", f.Topic}} {
		if part[1] != "" {
			words = append(words, part[0]+" "+strconv.Quote(part[1]))
		}
	}
	if len(words) == 0 {
		return "everything"
	}
	return strings.Join(words, ", ")
}

// OfPeer reports whether f asks about clients at all, and not about topics alone.
func (f *Filter) OfPeer() bool { return f.Client != "" || f.User != "" || f.Address != "" }

// Peer reports whether a client fits. f has been resolved; addr is asked for if
// f names addresses.
func (f *Filter) Peer(client, user string, addr func() netip.Addr) bool {
	return (f.Client == "" || f.Client == client) &&
		(f.User == "" || f.User == user) &&
		(f.Address == "" || f.network.Contains(addr()))
}

// Name reports whether a message's topic fits.
func (f *Filter) Name(name []byte) bool { return f.Topic == "" || topic.Match(f.Topic, name) }

// Shares reports whether a subscription's filter has topics in common with f's.
func (f *Filter) Shares(filter string) bool { return f.Topic == "" || overlap(f.Topic, plain(filter)) }

func plain(filter string) string {
	if _, rest, ok := topic.Shared(filter); ok {
		return rest
	}
	return filter
}

// overlap reports whether a topic can match both.
func overlap(a, b string) bool {
	if wildFirst(a) && strings.HasPrefix(b, "$") || wildFirst(b) && strings.HasPrefix(a, "$") {
		return false
	}
	for {
		l, restA, moreA := strings.Cut(a, "/")
		m, restB, moreB := strings.Cut(b, "/")
		switch {
		case l == "#" || m == "#":
			return true
		case l != m && l != "+" && m != "+":
			return false
		case !moreA && !moreB:
			return true
		case !moreA:
			return restB == "#"
		case !moreB:
			return restA == "#"
		}
		a, b = restA, restB
	}
}

func wildFirst(f string) bool { return f[0] == '#' || f[0] == '+' }
