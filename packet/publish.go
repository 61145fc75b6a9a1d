package packet

import (
	"unicode/utf8"

	"github.com/midgemq/midge/mqtt"
)

// A Publish is a PUBLISH packet.
type Publish struct {
	Dup        bool
	Retain     bool
	QoS        mqtt.QoS
	ID         mqtt.PacketID // 0 at QoS 0
	Topic      []byte        // empty where a Topic Alias stands for it
	Payload    []byte
	Properties *Properties
}

var (
	errNoTopic   = malformed("PUBLISH with an empty Topic Name")
	errNoAlias   = protocol("PUBLISH with neither Topic Name nor Topic Alias")
	errTopicName = &Error{mqtt.TopicNameInvalid, "Topic Name with a wildcard character"}
)

// Decode reads the body of a PUBLISH whose fixed header had flags.
func (p *Publish) Decode(v mqtt.Version, flags byte, body []byte) error {
	p.Dup, p.Retain, p.QoS = flags&8 != 0, flags&1 != 0, mqtt.QoS(flags>>1&3)
	p.ID = 0
	r := reader{b: body}
	topic, wild := r.topic() // [MQTT-3.3.2-1]
	p.Topic = topic
	if p.QoS > mqtt.AtMostOnce {
		p.ID = r.id() // [MQTT-2.2.1-2, 5.0] [MQTT-2.3.1-5, 3.1.1]
	}
	if p.Properties == nil || p.Properties.Present != 0 {
		p.Properties = p.Properties.fresh()
	}
	switch {
	case v != mqtt.V5:
	case len(r.b) > 0 && r.b[0] == 0: // none, as in most
		r.b = r.b[1:]
	default:
		p.Properties.read(&r, PUBLISH)
	}
	p.Payload = r.b
	switch {
	case r.err != nil:
		return r.err
	case wild: // [MQTT-3.3.2-2]
		return errTopicName
	case len(p.Topic) > 0:
		return nil
	case v != mqtt.V5: // [MQTT-4.7.3-1, 3.1.1]
		return errNoTopic
	case p.Properties.TopicAlias == 0: // [X5-3.3.2.1-a]
		return errNoAlias
	}
	return nil
}

// PayloadFormatOK reports whether the payload is what its Payload Format
// Indicator says. It reads the whole payload.
func (p *Publish) PayloadFormatOK() bool {
	return p.Properties == nil || p.Properties.PayloadFormatIndicator == 0 || checkUTF8(p.Payload) == nil
}

// checkUTF8 accepts any well-formed text, U+0000 included: a payload is not a
// UTF-8 Encoded String.
func checkUTF8(b []byte) *Error {
	if !utf8.Valid(b) {
		return errUTF8
	}
	return nil
}

// Size returns the length of what Append appends.
func (p *Publish) Size(v mqtt.Version) int {
	n := p.bodySize(v)
	return 1 + VarintSize(n) + n
}

func (p *Publish) bodySize(v mqtt.Version) int {
	n := 2 + len(p.Topic) + len(p.Payload)
	if p.QoS > mqtt.AtMostOnce {
		n += 2
	}
	if v == mqtt.V5 {
		n += p.Properties.size()
	}
	return n
}

func publishFlags(dup, retain bool, q mqtt.QoS) byte {
	f := byte(q) << 1
	if dup {
		f |= 8
	}
	if retain {
		f |= 1
	}
	return f
}

// Append appends p as a packet.
func (p *Publish) Append(dst []byte, v mqtt.Version) []byte {
	dst = AppendHeader(dst, PUBLISH, publishFlags(p.Dup, p.Retain, p.QoS), p.bodySize(v))
	dst = appendString(dst, p.Topic)
	if p.QoS > mqtt.AtMostOnce {
		dst = appendUint16(dst, uint16(p.ID))
	}
	if v == mqtt.V5 {
		dst = p.Properties.append(dst)
	}
	return append(dst, p.Payload...)
}
