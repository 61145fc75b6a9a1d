package packet

import "github.com/midgemq/midge/mqtt"

// An Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP packet.
type Ack struct {
	Type       Type
	ID         mqtt.PacketID
	Code       mqtt.ReasonCode // 5.0 only
	Properties *Properties
}

// Decode reads the body of a packet of type t.
func (p *Ack) Decode(v mqtt.Version, t Type, body []byte) error {
	p.Type, p.Code = t, mqtt.Success
	p.Properties = p.Properties.fresh()
	r := reader{b: body}
	p.ID = r.id()
	if v != mqtt.V5 || len(r.b) == 0 {
		return r.end()
	}
	p.Code = mqtt.ReasonCode(r.byte())
	if len(r.b) > 0 { // the property length may be left out (3.4.2.2.1)
		p.Properties.read(&r, t)
	}
	if r.err == nil && !ackCode(t, p.Code) {
		return errCode
	}
	return r.end()
}

// ackCode reports whether a packet of type t may carry c
// [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1, 5.0].
func ackCode(t Type, c mqtt.ReasonCode) bool {
	if t == PUBREL || t == PUBCOMP {
		return c == mqtt.Success || c == mqtt.PacketIdentifierNotFound
	}
	switch c {
	case mqtt.Success, mqtt.NoMatchingSubscribers, mqtt.UnspecifiedError,
		mqtt.ImplementationSpecificError, mqtt.NotAuthorized, mqtt.TopicNameInvalid,
		mqtt.PacketIdentifierInUse, mqtt.QuotaExceeded, mqtt.PayloadFormatInvalid:
		return true
	}
	return false
}

// Size returns the length of what Append appends.
func (p *Ack) Size(v mqtt.Version) int {
	n := p.bodySize(v)
	return 1 + VarintSize(n) + n
}

func (p *Ack) bodySize(v mqtt.Version) int {
	switch {
	case v != mqtt.V5:
		return 2
	case !p.Properties.empty():
		return 3 + p.Properties.size()
	case p.Code != mqtt.Success:
		return 3
	}
	return 2
}

// Append appends p as a packet, in its shortest form.
func (p *Ack) Append(dst []byte, v mqtt.Version) []byte {
	var flags byte
	if p.Type == PUBREL {
		flags = 2
	}
	n := p.bodySize(v)
	dst = AppendHeader(dst, p.Type, flags, n)
	dst = appendUint16(dst, uint16(p.ID))
	if n > 2 {
		dst = append(dst, byte(p.Code))
	}
	if n > 3 {
		dst = p.Properties.append(dst)
	}
	return dst
}
