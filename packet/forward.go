package packet

import "github.com/midgemq/midge/mqtt"

// forwarded are the properties of a PUBLISH or a Will that reach a subscriber
// as they are. Message Expiry counts down on the way; aliases and
// identifiers belong to one connection.
// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17]
// [MQTT-3.3.2-18] [MQTT-3.3.2-20, 5.0]
var forwarded = setOf(PropPayloadFormatIndicator, PropContentType, PropResponseTopic,
	PropCorrelationData, PropUserProperty)

// ForwardSize is the length of what AppendForward appends.
func ForwardSize(p *Properties) int {
	if p == nil || p.Present&forwarded == 0 {
		return 0
	}
	return p.bodySize(forwarded & p.Present)
}

// AppendForward appends those properties of a PUBLISH or Will that reach a
// subscriber unchanged, without a length.
func AppendForward(dst []byte, p *Properties) []byte {
	if p == nil || p.Present&forwarded == 0 {
		return dst
	}
	return p.appendOnly(dst, forwarded&p.Present)
}

// A Forward is a PUBLISH on its way to a subscriber, from the parts a server
// keeps of a message: what AppendForward made, and what differs from one
// delivery to the next.
type Forward struct {
	Dup     bool
	Retain  bool
	QoS     mqtt.QoS
	ID      mqtt.PacketID // 0 at QoS 0
	Topic   []byte        // empty where Alias stands for it
	Payload []byte

	// 5.0 only.
	Section []byte   // by AppendForward or AppendPublic
	Expires bool     // there is a Message Expiry Interval
	Expiry  uint32   // seconds left of it
	Alias   uint16   // Topic Alias; 0: none
	IDs     []uint32 // Subscription Identifiers
}

// Size returns the length of what Append appends.
func (p *Forward) Size(v mqtt.Version) int {
	n := p.bodySize(v)
	return 1 + VarintSize(n) + n
}

func (p *Forward) bodySize(v mqtt.Version) int { return p.bodyWith(p.sectionSize(v)) }

// sectionSize is the length of the property section, its own length left out; -1
// is no section, before 5.0.
func (p *Forward) sectionSize(v mqtt.Version) int {
	switch {
	case v != mqtt.V5:
		return -1
	case p.bare():
		return 0
	}
	return p.propertiesSize()
}

func (p *Forward) bodyWith(section int) int {
	n := 2 + len(p.Topic) + len(p.Payload)
	if p.QoS > mqtt.AtMostOnce {
		n += 2
	}
	switch {
	case section == 0:
		n++
	case section > 0:
		n += VarintSize(section) + section
	}
	return n
}

// bare reports whether there are no properties.
func (p *Forward) bare() bool {
	return len(p.Section)|len(p.IDs)|int(p.Alias) == 0 && !p.Expires
}

func (p *Forward) propertiesSize() int {
	n := len(p.Section)
	if p.Expires {
		n += 5
	}
	if p.Alias > 0 {
		n += 3
	}
	for _, id := range p.IDs {
		n += 1 + VarintSize(int(id))
	}
	return n
}

// Append appends p as a packet. It writes into place rather than appends: this
// is what a broker does most.
func (p *Forward) Append(dst []byte, v mqtt.Version) []byte {
	section := p.sectionSize(v)
	n := p.bodyWith(section)
	at, size := len(dst), 1+VarintSize(n)+n
	if cap(dst)-at < size {
		dst = append(dst, make([]byte, size)...)
	}
	dst = dst[:at+size]
	b := dst[at:]
	b[0] = byte(PUBLISH)<<4 | publishFlags(p.Dup, p.Retain, p.QoS)
	i := 2
	if b[1] = byte(n); n >= 0x80 {
		i = 1 + putVarint(b[1:], n)
	}
	b[i], b[i+1] = byte(len(p.Topic)>>8), byte(len(p.Topic))
	i += 2 + copy(b[i+2:], p.Topic)
	if p.QoS > mqtt.AtMostOnce {
		b[i], b[i+1] = byte(p.ID>>8), byte(p.ID)
		i += 2
	}
	if section == 0 {
		b[i] = 0
		i++
	} else if section > 0 {
		i += len(p.appendProperties(b[i:i], section))
	}
	copy(b[i:], p.Payload)
	return dst
}

// appendProperties appends the section of n bytes with its length in front.
func (p *Forward) appendProperties(dst []byte, n int) []byte {
	dst = AppendVarint(dst, n)
	if p.Expires {
		dst = appendUint32(append(dst, byte(PropMessageExpiryInterval)), p.Expiry)
	}
	if p.Alias > 0 {
		dst = appendUint16(append(dst, byte(PropTopicAlias)), p.Alias)
	}
	for _, id := range p.IDs {
		dst = AppendVarint(append(dst, byte(PropSubscriptionIdentifier)), int(id))
	}
	return append(dst, p.Section...)
}

// putVarint writes v in its shortest form and returns how many bytes it is.
func putVarint(b []byte, v int) (n int) {
	for ; v >= 0x80; n++ {
		b[n] = byte(v) | 0x80
		v >>= 7
	}
	b[n] = byte(v)
	return n + 1
}

// AppendPublic is AppendForward for a program's message. It panics on
// strings no packet can hold.
func AppendPublic(dst []byte, in *mqtt.Properties) []byte {
	var p Properties
	if in.PayloadUTF8 {
		p.PayloadFormatIndicator = 1
	}
	if in.ContentType != "" {
		p.ContentType = []byte(in.ContentType)
	}
	if in.ResponseTopic != "" {
		p.ResponseTopic = []byte(in.ResponseTopic)
	}
	p.CorrelationData = in.CorrelationData
	for _, u := range in.User {
		p.Users = p.Users.Add(u.Name, u.Value)
	}
	return p.appendOnly(dst, forwarded)
}

// Public is a section that AppendForward or AppendPublic made, as programs
// see it. Its CorrelationData is a view.
func Public(section []byte) (out mqtt.Properties) {
	var p Properties
	r := reader{b: section}
	for len(r.b) > 0 {
		p.readOne(&r, PUBLISH)
	}
	out.PayloadUTF8 = p.PayloadFormatIndicator == 1
	out.ContentType = string(p.ContentType)
	out.ResponseTopic = string(p.ResponseTopic)
	out.CorrelationData = p.CorrelationData
	for name, value := range UserProperties(section).All() {
		out.User = append(out.User, mqtt.UserProperty{Name: string(name), Value: string(value)})
	}
	return out
}
