package packet

import "iter"

// Properties are the property section of one packet, any packet. The []byte
// fields of a decoded one are views into the packet.
//
// Present tells what a decoded section held. Appending writes a property
// whose field is not zero, and one whose zero must be said if Present has it.
//
// A packet points to its properties: nil is none. Decode sets the pointer if it
// is nil and otherwise reuses what it points to, so packets that are never
// decoded at the same time can share one.
type Properties struct {
	Present PropertySet

	MessageExpiryInterval  uint32 // seconds
	SessionExpiryInterval  uint32 // seconds
	WillDelayInterval      uint32 // seconds
	MaximumPacketSize      uint32 // bytes
	SubscriptionIdentifier uint32 // the first, where PUBLISH has several
	ReceiveMaximum         uint16
	TopicAliasMaximum      uint16
	TopicAlias             uint16
	ServerKeepAlive        uint16 // seconds

	PayloadFormatIndicator          byte
	RequestProblemInformation       byte
	RequestResponseInformation      byte
	MaximumQoS                      byte
	RetainAvailable                 byte
	WildcardSubscriptionAvailable   byte
	SubscriptionIdentifierAvailable byte
	SharedSubscriptionAvailable     byte

	ContentType              []byte
	ResponseTopic            []byte
	CorrelationData          []byte
	AssignedClientIdentifier []byte
	AuthenticationMethod     []byte
	AuthenticationData       []byte
	ResponseInformation      []byte
	ServerReference          []byte
	ReasonString             []byte

	Users UserProperties
	IDs   SubscriptionIDs // all Subscription Identifiers of a PUBLISH
}

// Has reports whether a decoded section held the property.
func (p *Properties) Has(id PropertyID) bool {
	return p != nil && p.Present != 0 && p.Present.Has(id)
}

// fresh returns p emptied, or a new one for nil; most packets have no
// properties, and then it costs nothing.
func (p *Properties) fresh() *Properties {
	if p == nil {
		return new(Properties)
	}
	if p.Present != 0 {
		*p = Properties{}
	}
	return p
}

// read takes a property section off the front of r, for a packet of type t.
func (p *Properties) read(r *reader, t Type) {
	n := r.varint()
	if n == 0 {
		return
	}
	if n > len(r.b) {
		r.fail(errPropLength)
		return
	}
	section := reader{b: r.take(n)}
	all := section.b
	for len(section.b) > 0 {
		p.readOne(&section, t)
	}
	switch {
	case section.err != nil:
		r.fail(section.err.(*Error))
		return
	case p.AuthenticationData != nil && !p.Has(PropAuthenticationMethod): // [X5-3.1.2.11.10-dup]
		r.fail(errAuthData)
	case p.Has(PropResponseTopic) && (len(p.ResponseTopic) == 0 || hasWildcard(p.ResponseTopic)):
		r.fail(errResponseName) // [MQTT-3.3.2-14, 5.0]
	}
	if p.Has(PropUserProperty) {
		p.Users = all
	}
	if p.Has(PropSubscriptionIdentifier) {
		p.IDs = all
	}
}

// readOne reads one property.
func (p *Properties) readOne(r *reader, t Type) {
	id := PropertyID(min(r.varint(), 0xFF)) // longer ones exist on the wire, but mean nothing
	switch {
	case r.err != nil:
		return
	case id.kind() == kindNone:
		r.fail(errPropUnknown)
		return
	case !legal[t].Has(id): // [X5-2.2.2.2-a]
		r.fail(errPropIllegal)
		return
	case p.Present.Has(id) && id != PropUserProperty && (id != PropSubscriptionIdentifier || t != PUBLISH):
		r.fail(errPropTwice)
		return
	}
	first := !p.Present.Has(id)
	p.Present = p.Present.With(id)
	switch id.kind() {
	case kindPair:
		r.string()
		r.string()
	case kindVarint:
		v := uint32(r.varint())
		if r.err == nil && v == 0 { // [X5-3.8.2.1.2-dup] [X5-3.3.2.3.8-a]
			r.fail(errPropRange)
		}
		if first {
			p.SubscriptionIdentifier = v
		}
	case kindBinary:
		*p.bytesField(id) = nonNil(r.bytes())
	case kindString:
		*p.bytesField(id) = nonNil(r.string())
	default:
		p.readNumber(r, id)
	}
}

// nonNil keeps an empty field apart from an absent one.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// bytesField returns where a string or binary property is kept, nil for others.
func (p *Properties) bytesField(id PropertyID) *[]byte {
	switch id {
	case PropContentType:
		return &p.ContentType
	case PropResponseTopic:
		return &p.ResponseTopic
	case PropCorrelationData:
		return &p.CorrelationData
	case PropAssignedClientIdentifier:
		return &p.AssignedClientIdentifier
	case PropAuthenticationMethod:
		return &p.AuthenticationMethod
	case PropAuthenticationData:
		return &p.AuthenticationData
	case PropResponseInformation:
		return &p.ResponseInformation
	case PropServerReference:
		return &p.ServerReference
	case PropReasonString:
		return &p.ReasonString
	}
	return nil
}

// byteField returns where a one-byte property is kept, nil for others. All
// are 0 or 1.
func (p *Properties) byteField(id PropertyID) *byte {
	switch id {
	case PropPayloadFormatIndicator:
		return &p.PayloadFormatIndicator
	case PropRequestProblemInformation:
		return &p.RequestProblemInformation
	case PropRequestResponseInformation:
		return &p.RequestResponseInformation
	case PropMaximumQoS:
		return &p.MaximumQoS
	case PropRetainAvailable:
		return &p.RetainAvailable
	case PropWildcardSubscriptionAvailable:
		return &p.WildcardSubscriptionAvailable
	case PropSubscriptionIdentifierAvailable:
		return &p.SubscriptionIdentifierAvailable
	case PropSharedSubscriptionAvailable:
		return &p.SharedSubscriptionAvailable
	}
	return nil
}

func (p *Properties) uint16Field(id PropertyID) *uint16 {
	switch id {
	case PropReceiveMaximum:
		return &p.ReceiveMaximum
	case PropTopicAliasMaximum:
		return &p.TopicAliasMaximum
	case PropTopicAlias:
		return &p.TopicAlias
	case PropServerKeepAlive:
		return &p.ServerKeepAlive
	}
	return nil
}

func (p *Properties) uint32Field(id PropertyID) *uint32 {
	switch id {
	case PropMessageExpiryInterval:
		return &p.MessageExpiryInterval
	case PropSessionExpiryInterval:
		return &p.SessionExpiryInterval
	case PropWillDelayInterval:
		return &p.WillDelayInterval
	case PropMaximumPacketSize:
		return &p.MaximumPacketSize
	}
	return nil
}

func (p *Properties) readNumber(r *reader, id PropertyID) {
	switch id.kind() {
	case kindByte:
		f := p.byteField(id)
		if *f = r.byte(); *f > 1 {
			r.fail(errPropRange)
		}
	case kindUint16:
		f := p.uint16Field(id)
		*f = r.uint16()
		switch {
		case r.err != nil || *f != 0:
		case id == PropTopicAlias: // [MQTT-3.3.2-8, 5.0] [X5-3.3.4-b]
			r.fail(errAliasZero)
		case id == PropReceiveMaximum: // [X5-3.1.2.11.3-dup]
			r.fail(errPropRange)
		}
	case kindUint32:
		f := p.uint32Field(id)
		*f = r.uint32()
		if r.err == nil && *f == 0 && id == PropMaximumPacketSize { // [X5-3.1.2.11.4-dup]
			r.fail(errPropRange)
		}
	}
}

// ids is the order properties are written in.
var ids = [...]PropertyID{
	PropPayloadFormatIndicator, PropMessageExpiryInterval, PropContentType, PropResponseTopic,
	PropCorrelationData, PropSubscriptionIdentifier, PropSessionExpiryInterval,
	PropAssignedClientIdentifier, PropServerKeepAlive, PropAuthenticationMethod,
	PropAuthenticationData, PropRequestProblemInformation, PropWillDelayInterval,
	PropRequestResponseInformation, PropResponseInformation, PropServerReference,
	PropReasonString, PropReceiveMaximum, PropTopicAliasMaximum, PropTopicAlias, PropMaximumQoS,
	PropRetainAvailable, PropUserProperty, PropMaximumPacketSize,
	PropWildcardSubscriptionAvailable, PropSubscriptionIdentifierAvailable,
	PropSharedSubscriptionAvailable,
}

// append appends the section with its length in front.
func (p *Properties) append(dst []byte) []byte {
	return p.appendOnly(AppendVarint(dst, p.bodySize(everything)), ^PropertySet(0))
}

// size is what append appends.
func (p *Properties) size() int {
	n := p.bodySize(everything)
	return VarintSize(n) + n
}

// empty reports whether append would write nothing but a length of 0.
func (p *Properties) empty() bool { return p.bodySize(everything) == 0 }

const everything = ^PropertySet(0)

// appendOnly appends those properties that are in which, without a length.
func (p *Properties) appendOnly(dst []byte, which PropertySet) []byte {
	if p == nil {
		return dst
	}
	for _, id := range ids {
		if !which.Has(id) {
			continue
		}
		say := p.Present.Has(id)
		switch id.kind() {
		case kindPair:
			dst = p.Users.appendTo(dst)
		case kindVarint:
			dst = p.appendIDs(dst)
		case kindString, kindBinary:
			if f := *p.bytesField(id); f != nil {
				dst = appendString(append(dst, byte(id)), f)
			}
		case kindByte:
			if f := *p.byteField(id); f != 0 || say {
				dst = append(dst, byte(id), f)
			}
		case kindUint16:
			if f := *p.uint16Field(id); f != 0 || say {
				dst = appendUint16(append(dst, byte(id)), f)
			}
		case kindUint32:
			if f := *p.uint32Field(id); f != 0 || say {
				dst = appendUint32(append(dst, byte(id)), f)
			}
		}
	}
	return dst
}

func (p *Properties) appendIDs(dst []byte) []byte {
	if p.IDs == nil {
		if p.SubscriptionIdentifier != 0 {
			dst = AppendVarint(append(dst, byte(PropSubscriptionIdentifier)), int(p.SubscriptionIdentifier))
		}
		return dst
	}
	for rest := p.IDs; len(rest) > 0; {
		var id uint32
		if id, rest = rest.cut(); id != 0 {
			dst = AppendVarint(append(dst, byte(PropSubscriptionIdentifier)), int(id))
		}
	}
	return dst
}

// bodySize is what appendOnly appends.
func (p *Properties) bodySize(which PropertySet) (n int) {
	if p == nil {
		return 0
	}
	for _, id := range ids {
		if !which.Has(id) {
			continue
		}
		say := p.Present.Has(id)
		switch id.kind() {
		case kindPair:
			n += p.Users.size()
		case kindVarint:
			if p.IDs == nil && p.SubscriptionIdentifier != 0 {
				n += 1 + VarintSize(int(p.SubscriptionIdentifier))
			}
			for rest := p.IDs; len(rest) > 0; {
				var id uint32
				if id, rest = rest.cut(); id != 0 {
					n += 1 + VarintSize(int(id))
				}
			}
		case kindString, kindBinary:
			if f := *p.bytesField(id); f != nil {
				n += 3 + len(f)
			}
		case kindByte:
			if *p.byteField(id) != 0 || say {
				n += 2
			}
		case kindUint16:
			if *p.uint16Field(id) != 0 || say {
				n += 3
			}
		case kindUint32:
			if *p.uint32Field(id) != 0 || say {
				n += 5
			}
		}
	}
	return n
}

// UserProperties are encoded User Properties in their order. In a decoded
// packet other properties may stand between them, which All passes over.
type UserProperties []byte

// All returns the name and value of each pair, as views.
func (u UserProperties) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for b := []byte(u); len(b) > 0; {
			id, n := step(b)
			if id == PropUserProperty {
				r := reader{b: b[1:n]}
				name, value := r.bytes(), r.bytes()
				if !yield(name, value) {
					return
				}
			}
			b = b[n:]
		}
	}
}

// Len returns the number of pairs.
func (u UserProperties) Len() (n int) {
	for range u.All() {
		n++
	}
	return n
}

// Add returns u with one pair more. It may allocate; u must not be a view.
func (u UserProperties) Add(name, value string) UserProperties {
	return appendString(appendString(append(u, byte(PropUserProperty)), name), value)
}

func (u UserProperties) appendTo(dst []byte) []byte {
	for b := []byte(u); len(b) > 0; {
		id, n := step(b)
		if id == PropUserProperty {
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return dst
}

func (u UserProperties) size() (size int) {
	for b := []byte(u); len(b) > 0; {
		id, n := step(b)
		if id == PropUserProperty {
			size += n
		}
		b = b[n:]
	}
	return size
}

// SubscriptionIDs are the Subscription Identifiers in an encoded section.
type SubscriptionIDs []byte

// All returns each identifier.
func (s SubscriptionIDs) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for rest := s; len(rest) > 0; {
			var id uint32
			if id, rest = rest.cut(); id != 0 && !yield(id) {
				return
			}
		}
	}
}

// cut takes the first property off; id is 0 if it is another one. A loop over it
// costs no closure, which a small compiler would allocate.
func (s SubscriptionIDs) cut() (id uint32, rest SubscriptionIDs) {
	p, n := step(s)
	if p == PropSubscriptionIdentifier {
		v, _, _ := readVarint(s[1:n])
		id = uint32(v)
	}
	return id, s[n:]
}

// step returns the identifier of the first property of a valid section and
// the bytes it takes.
func step(b []byte) (id PropertyID, n int) {
	id = PropertyID(b[0])
	r := reader{b: b[1:]}
	switch id.kind() {
	case kindPair:
		r.bytes()
		r.bytes()
	case kindVarint:
		r.varint()
	case kindString, kindBinary:
		r.bytes()
	case kindByte:
		r.byte()
	case kindUint16:
		r.uint16()
	case kindUint32:
		r.uint32()
	}
	return id, len(b) - len(r.b)
}
