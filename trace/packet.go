package trace

import (
	"fmt"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// decode says what stands in a packet's body.
func (e *Event) decode(v mqtt.Version, h packet.Header, body []byte, payload int) error {
	switch h.Type {
	case packet.CONNECT:
		return e.connect(body)
	case packet.CONNACK:
		return e.connack(v, body)
	case packet.PUBLISH:
		return e.publish(v, h.Flags, body, payload)
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		var p packet.Ack
		err := p.Decode(v, h.Type, body)
		e.ID = p.ID
		e.outcome(v, p.Code, p.Properties)
		return err
	case packet.SUBSCRIBE:
		return e.subscribe(v, body)
	case packet.UNSUBSCRIBE:
		var p packet.Unsubscribe
		err := p.Decode(v, body)
		e.ID = p.ID
		for f := range p.Filters.All() {
			e.Filters = append(e.Filters, string(f))
		}
		return err
	case packet.SUBACK, packet.UNSUBACK:
		return e.suback(v, h.Type, body)
	case packet.DISCONNECT:
		var p packet.Disconnect
		err := p.Decode(v, body)
		e.outcome(v, p.Code, p.Properties)
		return err
	case packet.AUTH:
		var p packet.Auth
		err := p.Decode(body)
		e.outcome(v, p.Code, p.Properties)
		if p.Properties != nil {
			e.Detail = join(e.Detail, string(p.Properties.AuthenticationMethod)) // and not its data
		}
		return err
	}
	return packet.DecodePing(body)
}

// outcome is a reason code with the words that go with it.
func (e *Event) outcome(v mqtt.Version, code mqtt.ReasonCode, p *packet.Properties) {
	if v == mqtt.V5 {
		e.Say(code)
	}
	if p != nil && len(p.ReasonString) > 0 {
		e.Detail = string(p.ReasonString)
	}
}

func (e *Event) connect(body []byte) error {
	var p packet.Connect
	err := p.Decode(body)
	e.Client, e.User = string(p.ClientID), string(p.Username)
	e.Detail = fmt.Sprintf("MQTT %s, keep alive %ds", p.Version, p.KeepAlive)
	if p.CleanStart {
		e.Detail += ", clean start"
	}
	if p.HasPassword {
		e.Detail += ", with a password"
	}
	if p.HasWill {
		e.Topic, e.QoS, e.Retain, e.Bytes = string(p.Will.Topic), p.Will.QoS, p.Will.Retain, len(p.Will.Payload)
		e.Detail += ", with a will"
	}
	return err
}

// returns are the codes of CONNACK before 5.0.
var returns = [...]string{
	"accepted", "unacceptable protocol version", "identifier rejected", "server unavailable",
	"bad user name or password", "not authorized", "",
}

func (e *Event) connack(v mqtt.Version, body []byte) error {
	var p packet.Connack
	err := p.Decode(v, body)
	if v == mqtt.V5 {
		e.outcome(v, p.Code, p.Properties)
	} else {
		c := uint8(p.Return)
		e.Code, e.Reason = &c, returns[min(int(c), len(returns)-1)]
	}
	if p.SessionPresent {
		e.Detail = join(e.Detail, "session present")
	}
	if p.Properties != nil && len(p.Properties.AssignedClientIdentifier) > 0 {
		e.Detail = join(e.Detail, "assigned "+string(p.Properties.AssignedClientIdentifier))
	}
	return err
}

func (e *Event) publish(v mqtt.Version, flags byte, body []byte, payload int) error {
	var p packet.Publish
	err := p.Decode(v, flags, body)
	e.ID, e.QoS, e.Retain, e.Dup = p.ID, p.QoS, p.Retain, p.Dup
	e.Topic, e.Bytes, e.Payload = string(p.Topic), len(p.Payload), text(p.Payload, payload)
	if p.Properties != nil {
		e.Alias = p.Properties.TopicAlias
		if p.Properties.Has(packet.PropMessageExpiryInterval) {
			e.Detail = fmt.Sprintf("expires in %ds", p.Properties.MessageExpiryInterval)
		}
		if len(p.Properties.ResponseTopic) > 0 {
			e.Detail = join(e.Detail, "answer to "+string(p.Properties.ResponseTopic))
		}
	}
	return err
}

func (e *Event) subscribe(v mqtt.Version, body []byte) error {
	var p packet.Subscribe
	err := p.Decode(v, body)
	e.ID = p.ID
	for s := range p.Filters.All() {
		e.Filters = append(e.Filters, string(s.Filter))
		e.QoS = max(e.QoS, s.QoS)
	}
	return err
}

func (e *Event) suback(v mqtt.Version, t packet.Type, body []byte) error {
	var p packet.Suback
	err := p.Decode(v, t, body)
	e.ID = p.ID
	for _, c := range p.Codes {
		code := mqtt.ReasonCode(c)
		switch {
		case t == packet.SUBACK && !code.Failed():
			e.Codes = append(e.Codes, fmt.Sprintf("QoS %d", c))
		case v != mqtt.V5:
			e.Codes = append(e.Codes, "failure")
		default:
			e.Codes = append(e.Codes, code.String())
		}
	}
	if p.Properties != nil && len(p.Properties.ReasonString) > 0 {
		e.Detail = string(p.Properties.ReasonString)
	}
	return err
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", " + b
}
