package packet

import "github.com/midgemq/midge/mqtt"

// forwarded are the properties of a PUBLISH or a Will that reach a subscriber
// as they are. Message Expiry counts down on the way; aliases and
// identifiers belong to one connection.
// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17]
// [MQTT-3.3.2-18] [MQTT-3.3.2-20, 5.0]
var forwarded = setOf(PropPayloadFormatIndicator, PropContentType, PropResponseTopic,
	PropCorrelationData, PropUserProperty)

// AppendForward appends those properties of a PUBLISH or Will that reach a
// subscriber unchanged, without a length.
func AppendForward(dst []byte, p *Properties) []byte {
	if p == nil || p.Present&forwarded == 0 {
		return dst
	}
	return p.appendOnly(dst, forwarded&p.Present)
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
