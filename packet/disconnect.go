package packet

import "github.com/midgemq/midge/mqtt"

// A Disconnect is a DISCONNECT packet.
type Disconnect struct {
	Code       mqtt.ReasonCode // 5.0 only
	Properties *Properties
}

// Decode reads the body of a DISCONNECT. Which codes which side may send is
// the link's to know.
func (p *Disconnect) Decode(v mqtt.Version, body []byte) error {
	p.Code = mqtt.Success
	p.Properties = p.Properties.fresh()
	if v != mqtt.V5 {
		return DecodePing(body)
	}
	return decodeCode(&p.Code, p.Properties, DISCONNECT, body)
}

// decodeCode reads what DISCONNECT and AUTH share: a code and properties that
// may both be left out from the end.
func decodeCode(code *mqtt.ReasonCode, props *Properties, t Type, body []byte) error {
	r := reader{b: body}
	if len(r.b) > 0 {
		*code = mqtt.ReasonCode(r.byte())
	}
	if len(r.b) > 0 {
		props.read(&r, t)
	}
	ok := disconnectCode(*code)
	if t == AUTH {
		ok = *code == mqtt.Success || *code == mqtt.ContinueAuthentication || *code == mqtt.Reauthenticate
	}
	if r.err == nil && !ok {
		return errCode
	}
	return r.end()
}

// disconnectCode reports whether DISCONNECT of either side may carry c
// [MQTT-3.14.2-1, 5.0].
func disconnectCode(c mqtt.ReasonCode) bool {
	switch c {
	case mqtt.Success, mqtt.DisconnectWithWill:
		return true
	case mqtt.UnsupportedProtocolVersion, mqtt.ClientIdentifierNotValid, mqtt.BadUserNameOrPassword,
		mqtt.ServerUnavailable, mqtt.Banned, mqtt.BadAuthenticationMethod,
		mqtt.PacketIdentifierInUse, mqtt.PacketIdentifierNotFound:
		return false
	}
	return c >= mqtt.UnspecifiedError && c <= mqtt.WildcardSubscriptionsNotSupported
}

// appendCode appends what decodeCode reads, in its shortest form.
func appendCode(dst []byte, t Type, code mqtt.ReasonCode, props *Properties) []byte {
	switch {
	case !props.empty():
		dst = append(AppendHeader(dst, t, 0, 1+props.size()), byte(code))
		return props.append(dst)
	case code != mqtt.Success:
		return append(AppendHeader(dst, t, 0, 1), byte(code))
	}
	return AppendHeader(dst, t, 0, 0)
}

// Append appends p as a packet, in its shortest form.
func (p *Disconnect) Append(dst []byte, v mqtt.Version) []byte {
	if v != mqtt.V5 {
		return AppendHeader(dst, DISCONNECT, 0, 0)
	}
	return appendCode(dst, DISCONNECT, p.Code, p.Properties)
}
