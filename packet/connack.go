package packet

import "github.com/midgemq/midge/mqtt"

// A Connack is a CONNACK packet. Code is 5.0's answer, Return the older one.
type Connack struct {
	SessionPresent bool
	Code           mqtt.ReasonCode
	Return         mqtt.ReturnCode
	Properties     *Properties
}

var (
	errAckFlags       = malformed("CONNACK with reserved flag bits set")
	errPresentRefused = protocol("CONNACK with Session Present and a refusal")
	errCode           = malformed("reason code this packet may not carry")
)

// Decode reads the body of a CONNACK.
func (p *Connack) Decode(v mqtt.Version, body []byte) error {
	p.Properties = p.Properties.fresh()
	p.Code, p.Return = 0, 0
	r := reader{b: body}
	flags, code := r.byte(), r.byte()
	// [MQTT-3.2.2-1, 5.0] [X311-3.2.2.1-a]
	if flags > 1 || (v == mqtt.V31 && flags != 0) {
		r.fail(errAckFlags)
	}
	p.SessionPresent = flags == 1
	if p.SessionPresent && code != 0 { // [MQTT-3.2.2-6, 5.0] [MQTT-3.2.2-4, 3.1.1]
		r.fail(errPresentRefused)
	}
	if v == mqtt.V5 {
		p.Code = mqtt.ReasonCode(code)
		p.Properties.read(&r, CONNACK)
	} else {
		p.Return = mqtt.ReturnCode(code)
	}
	if r.err == nil && !connackCode(v, code) {
		r.fail(errCode)
	}
	return r.end()
}

// connackCode reports whether CONNACK may carry code [MQTT-3.2.2-8, 5.0].
func connackCode(v mqtt.Version, code byte) bool {
	if v != mqtt.V5 {
		return code <= byte(mqtt.RefusedNotAuthorized)
	}
	switch mqtt.ReasonCode(code) {
	case mqtt.Success, mqtt.UnspecifiedError, mqtt.MalformedPacket, mqtt.ProtocolError,
		mqtt.ImplementationSpecificError, mqtt.UnsupportedProtocolVersion,
		mqtt.ClientIdentifierNotValid, mqtt.BadUserNameOrPassword, mqtt.NotAuthorized,
		mqtt.ServerUnavailable, mqtt.ServerBusy, mqtt.Banned, mqtt.BadAuthenticationMethod,
		mqtt.TopicNameInvalid, mqtt.PacketTooLarge, mqtt.QuotaExceeded,
		mqtt.PayloadFormatInvalid, mqtt.RetainNotSupported, mqtt.QoSNotSupported,
		mqtt.UseAnotherServer, mqtt.ServerMoved, mqtt.ConnectionRateExceeded:
		return true
	}
	return false
}

// Append appends p as a packet.
func (p *Connack) Append(dst []byte, v mqtt.Version) []byte {
	var present byte
	if p.SessionPresent {
		present = 1
	}
	if v != mqtt.V5 {
		return append(AppendHeader(dst, CONNACK, 0, 2), present, byte(p.Return))
	}
	dst = AppendHeader(dst, CONNACK, 0, 2+p.Properties.size())
	return p.Properties.append(append(dst, present, byte(p.Code)))
}
