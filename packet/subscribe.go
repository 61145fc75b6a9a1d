package packet

import (
	"iter"

	"github.com/midgemq/midge/mqtt"
)

// A Subscribe is a SUBSCRIBE packet.
type Subscribe struct {
	ID         mqtt.PacketID
	Properties *Properties
	Filters    Filters
}

// A Subscription is one filter of a SUBSCRIBE and its options.
type Subscription struct {
	Filter            []byte
	QoS               mqtt.QoS
	NoLocal           bool // this and the rest: 5.0 only
	RetainAsPublished bool
	RetainHandling    byte // 0: send retained; 1: if new; 2: never
}

// Filters are the encoded filters of a SUBSCRIBE, at least one.
type Filters []byte

// All returns each filter with its options; Filter is a view.
func (f Filters) All() iter.Seq[Subscription] {
	return func(yield func(Subscription) bool) {
		for rest := f; len(rest) > 0; {
			var s Subscription
			if s, rest = rest.Cut(); !yield(s) {
				return
			}
		}
	}
}

// Cut returns the first of at least one filter, and the rest.
func (f Filters) Cut() (Subscription, Filters) {
	r := reader{b: f}
	filter := r.bytes()
	return subscriptionOf(filter, r.byte()), r.b
}

// Len returns how many there are.
func (f Filters) Len() (n int) {
	for ; len(f) > 0; n++ {
		_, f = f.Cut()
	}
	return n
}

// Add returns f with one subscription more. It may allocate; f must not be a view.
func (f Filters) Add(s Subscription) Filters {
	o := byte(s.QoS) | s.RetainHandling<<4
	if s.NoLocal {
		o |= 4
	}
	if s.RetainAsPublished {
		o |= 8
	}
	return append(appendString(f, s.Filter), o)
}

func subscriptionOf(filter []byte, o byte) Subscription {
	return Subscription{
		Filter:            filter,
		QoS:               mqtt.QoS(o & 3),
		NoLocal:           o&4 != 0,
		RetainAsPublished: o&8 != 0,
		RetainHandling:    o >> 4 & 3,
	}
}

var (
	errNoFilter      = protocol("packet without a Topic Filter")
	errOptionBits    = malformed("reserved subscription option bits set")
	errOptionQoS     = protocol("subscription asks for QoS 3")
	errOptionQoSOld  = malformed("subscription asks for QoS 3")
	errHandling      = protocol("Retain Handling 3")
	errSharedNoLocal = protocol("No Local on a shared subscription")
)

// Decode reads the body of a SUBSCRIBE. Whether its filters are well-formed
// is left to the receiver, who answers for each of them.
func (p *Subscribe) Decode(v mqtt.Version, body []byte) error {
	p.Properties = p.Properties.fresh()
	r := reader{b: body}
	p.ID = r.id()
	if v == mqtt.V5 {
		p.Properties.read(&r, SUBSCRIBE)
	}
	p.Filters = r.b
	if r.err == nil && len(r.b) == 0 { // [MQTT-3.8.3-2, 5.0] [MQTT-3.8.3-3, 3.1.1] [X5-3.8.3-a]
		return errNoFilter
	}
	for r.err == nil && len(r.b) > 0 {
		filter := r.string() // [MQTT-3.8.3-1]
		checkOptions(&r, v, filter, r.byte())
	}
	return r.end()
}

func checkOptions(r *reader, v mqtt.Version, filter []byte, o byte) {
	qos3 := o&3 == 3
	switch {
	case r.err != nil:
	case v != mqtt.V5:
		if o > 2 { // [MQTT-3.8.3-4, 3.1.1]
			r.fail(errOptionBits)
			if qos3 {
				r.fail(errOptionQoSOld)
			}
		}
	case o&0xC0 != 0: // [MQTT-3.8.3-5, 5.0]
		r.fail(errOptionBits)
	case qos3: // [X5-3.8.3.1-a]
		r.fail(errOptionQoS)
	case o>>4&3 == 3: // [X5-3.8.3.1-b]
		r.fail(errHandling)
	case o&4 != 0 && len(filter) > 7 && mqtt.Text(filter[:7]) == "$share/": // [MQTT-3.8.3-4, 5.0]
		r.fail(errSharedNoLocal)
	}
}

// Append appends p as a packet.
func (p *Subscribe) Append(dst []byte, v mqtt.Version) []byte {
	n := 2 + len(p.Filters)
	if v == mqtt.V5 {
		n += p.Properties.size()
	}
	dst = AppendHeader(dst, SUBSCRIBE, 2, n)
	dst = appendUint16(dst, uint16(p.ID))
	if v == mqtt.V5 {
		dst = p.Properties.append(dst)
	}
	return append(dst, p.Filters...)
}
