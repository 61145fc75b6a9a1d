package packet

import "github.com/midgemq/midge/mqtt"

// A Suback is a SUBACK or UNSUBACK packet.
type Suback struct {
	Type       Type // SUBACK or UNSUBACK
	ID         mqtt.PacketID
	Properties *Properties
	Codes      []byte // a reason code for each filter; none in UNSUBACK before 5.0
}

var errNoCodes = protocol("packet without a reason code")

// Decode reads the body of a packet of type t.
func (p *Suback) Decode(v mqtt.Version, t Type, body []byte) error {
	p.Type, p.Codes = t, nil
	p.Properties = p.Properties.fresh()
	r := reader{b: body}
	p.ID = r.id()
	if v == mqtt.V5 {
		p.Properties.read(&r, t)
	}
	if t == UNSUBACK && v != mqtt.V5 {
		return r.end()
	}
	p.Codes = r.b
	if r.err == nil && len(r.b) == 0 {
		return errNoCodes
	}
	for _, c := range p.Codes {
		if !subackCode(v, t, mqtt.ReasonCode(c)) {
			return errCode
		}
	}
	return r.err
}

// subackCode reports whether c stands in the table of its packet
// [MQTT-3.9.3-2] [MQTT-3.11.3-2, 5.0].
func subackCode(v mqtt.Version, t Type, c mqtt.ReasonCode) bool {
	switch {
	case v != mqtt.V5:
		return c <= mqtt.GrantedQoS2 || c == mqtt.UnspecifiedError
	case t == UNSUBACK && c == mqtt.NoSubscriptionExisted:
		return true
	case t == SUBACK && c <= mqtt.GrantedQoS2:
		return true
	}
	switch c {
	case mqtt.QuotaExceeded, mqtt.SharedSubscriptionsNotSupported,
		mqtt.SubscriptionIdentifiersNotSupported, mqtt.WildcardSubscriptionsNotSupported:
		return t == SUBACK
	case mqtt.Success, mqtt.UnspecifiedError, mqtt.ImplementationSpecificError,
		mqtt.NotAuthorized, mqtt.TopicFilterInvalid, mqtt.PacketIdentifierInUse:
		return true
	}
	return false
}

// Append appends p as a packet.
func (p *Suback) Append(dst []byte, v mqtt.Version) []byte {
	codes := p.Codes
	if p.Type == UNSUBACK && v != mqtt.V5 {
		codes = nil
	}
	n := 2 + len(codes)
	if v == mqtt.V5 {
		n += p.Properties.size()
	}
	dst = AppendHeader(dst, p.Type, 0, n)
	dst = appendUint16(dst, uint16(p.ID))
	if v == mqtt.V5 {
		dst = p.Properties.append(dst)
	}
	return append(dst, codes...)
}
