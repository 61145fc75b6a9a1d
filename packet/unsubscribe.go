package packet

import (
	"iter"

	"github.com/midgemq/midge/mqtt"
)

// An Unsubscribe is an UNSUBSCRIBE packet.
type Unsubscribe struct {
	ID         mqtt.PacketID
	Properties *Properties
	Filters    TopicFilters
}

// TopicFilters are the encoded filters of an UNSUBSCRIBE, at least one.
type TopicFilters []byte

// All returns each filter, as a view.
func (f TopicFilters) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := f; len(rest) > 0; {
			var filter []byte
			if filter, rest = rest.Cut(); !yield(filter) {
				return
			}
		}
	}
}

// Cut returns the first of at least one filter, and the rest.
func (f TopicFilters) Cut() ([]byte, TopicFilters) {
	r := reader{b: f}
	return r.bytes(), r.b
}

// Len returns how many there are.
func (f TopicFilters) Len() (n int) {
	for ; len(f) > 0; n++ {
		_, f = f.Cut()
	}
	return n
}

// Add returns f with one filter more. It may allocate; f must not be a view.
func (f TopicFilters) Add(filter string) TopicFilters { return appendString(f, filter) }

// Decode reads the body of an UNSUBSCRIBE.
func (p *Unsubscribe) Decode(v mqtt.Version, body []byte) error {
	p.Properties = p.Properties.fresh()
	r := reader{b: body}
	p.ID = r.id()
	if v == mqtt.V5 {
		p.Properties.read(&r, UNSUBSCRIBE)
	}
	p.Filters = r.b
	if r.err == nil && len(r.b) == 0 { // [MQTT-3.10.3-2] [X5-3.10.3-a]
		return errNoFilter
	}
	for r.err == nil && len(r.b) > 0 {
		r.string() // [MQTT-3.10.3-1]
	}
	return r.end()
}

// Append appends p as a packet.
func (p *Unsubscribe) Append(dst []byte, v mqtt.Version) []byte {
	n := 2 + len(p.Filters)
	if v == mqtt.V5 {
		n += p.Properties.size()
	}
	dst = AppendHeader(dst, UNSUBSCRIBE, 2, n)
	dst = appendUint16(dst, uint16(p.ID))
	if v == mqtt.V5 {
		dst = p.Properties.append(dst)
	}
	return append(dst, p.Filters...)
}
