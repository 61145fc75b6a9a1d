package tiny

import (
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// connect answers CONNECT: a session and CONNACK, or a refusal.
func (b *Broker) connect(at Slot, c *conn, p *packet.Connect) {
	peer := mqtt.Unlimited()
	peer.TopicAliasMaximum = 0 // this end defines none
	expiry := uint32(0)
	if p.Version == mqtt.V5 {
		expiry = p.Properties.SessionExpiryInterval
		if p.Properties.ReceiveMaximum > 0 {
			peer.ReceiveMaximum = p.Properties.ReceiveMaximum
		}
		if p.Properties.MaximumPacketSize > 0 {
			peer.MaxPacketSize = p.Properties.MaximumPacketSize
		}
	} else if !p.CleanStart {
		expiry = mqtt.NeverExpires // [MQTT-3.1.2-4, 3.1.1]
	}
	c.out.Greet(p.Version, peer, true)

	code := b.judge(at, c, p)
	if code == mqtt.Success {
		code = b.admit(at, c, p, expiry)
	}
	if code.Failed() {
		b.end(at, code)
		return
	}
	limits := b.announced()
	c.in.Open(limits)
	c.timer.Open(b.now, p.KeepAlive)
	if at, ok := c.timer.Next(); ok {
		b.wake(at)
	}
	s := b.of(c)
	s.in.Resume(limits.ReceiveMaximum)
	s.out.Resume(min(peer.ReceiveMaximum, uint16(b.limits.Inflight)))
	c.stage, c.connack = open, true
	b.stats.Connects++
	if hook := b.hooks.Connected; hook != nil {
		b.busy = true
		hook(b.introduce(at))
		b.busy = false
	}
}

// announced are the limits CONNACK speaks of.
func (b *Broker) announced() mqtt.Limits {
	return mqtt.Limits{
		ReceiveMaximum:    uint16(b.limits.ReceiveMaximum),
		MaxPacketSize:     uint32(b.limits.MaxPacket),
		MaxQoS:            mqtt.QoS(orNone(b.limits.MaxQoS)),
		RetainAvailable:   b.limits.Retained > 0,
		WildcardAvailable: true,
		SubscriptionIDs:   true,
	}
}

// judge refuses what is well-formed but not to be had here, and gives a name
// to a client that has none.
func (b *Broker) judge(at Slot, c *conn, p *packet.Connect) mqtt.ReasonCode {
	switch w := &p.Will; {
	case p.Version == mqtt.V31 && (len(p.ClientID) == 0 || len(p.ClientID) > 23):
		return mqtt.ClientIdentifierNotValid // 3.1, 3.1
	case p.Version == mqtt.V311 && len(p.ClientID) == 0 && !p.CleanStart:
		return mqtt.ClientIdentifierNotValid // [MQTT-3.1.3-8, 3.1.1]
	case p.Properties.Has(packet.PropAuthenticationMethod):
		return mqtt.BadAuthenticationMethod // [MQTT-4.12.0-1, 5.0]
	case p.HasWill && w.Topic[0] == '$':
		return mqtt.NotAuthorized
	case p.HasWill && int(w.QoS) > orNone(b.limits.MaxQoS):
		return mqtt.QoSNotSupported // [MQTT-3.2.2-12, 5.0]
	case p.HasWill && w.Retain && b.limits.Retained < 0:
		return mqtt.RetainNotSupported // [MQTT-3.2.2-13, 5.0]
	}
	if len(p.ClientID) == 0 {
		// [MQTT-3.1.3-6, 5.0] [MQTT-3.1.3-7, 5.0] [MQTT-3.1.3-6, 3.1.1]
		p.ClientID, c.given = b.name(), true
	}
	hook := b.hooks.Authenticate
	if hook == nil {
		return mqtt.Success
	}
	b.client = Client{Slot: at, Version: p.Version, ID: p.ClientID, Username: p.Username, KeepAlive: p.KeepAlive}
	var password []byte
	if p.HasPassword {
		password = p.Password
	}
	b.busy = true
	code := hook(&b.client, password)
	b.busy = false
	if code.Failed() {
		b.stats.Denied++
	}
	return code
}

// name makes up an identifier nobody uses.
func (b *Broker) name() []byte {
	const hex = "0123456789abcdef"
	name := b.named[:copy(b.named[:], "tiny-")]
	for {
		b.serial++
		name = name[:5]
		for shift := 28; shift >= 0; shift -= 4 {
			name = append(name, hex[b.serial>>shift&15])
		}
		if b.find(name) == nil {
			return name
		}
	}
}

// admit finds the client its session. It is where memory may be short.
func (b *Broker) admit(at Slot, c *conn, p *packet.Connect, expiry uint32) mqtt.ReasonCode {
	s := b.find(p.ClientID)
	if s != nil && s.conn != 0 {
		// [MQTT-3.1.4-3, 5.0] [MQTT-3.1.4-2, 3.1.1]
		b.end(Slot(s.conn-1), mqtt.SessionTakenOver)
		s = b.find(p.ClientID) // it may have ended with its connection
	}
	if b.online == b.limits.Clients {
		return mqtt.QuotaExceeded
	}
	// What may find no room comes before what is lost by it.
	c.present = s != nil && !p.CleanStart
	var name, will handle
	if !c.present {
		var o []byte
		if name, o = b.slab.alloc(len(p.ClientID)); name == 0 {
			return mqtt.QuotaExceeded
		}
		copy(o, p.ClientID)
	}
	if w := &p.Will; p.HasWill {
		m := packet.Publish{Topic: w.Topic, Payload: w.Payload, QoS: w.QoS, Retain: w.Retain, Properties: w.Properties}
		if will = b.store(&m, noSession, 0, 0); will == 0 {
			b.slab.drop(name)
			return mqtt.QuotaExceeded
		}
	}
	if !c.present {
		if s != nil {
			b.drop(s) // [MQTT-3.1.2-4, 5.0] [MQTT-3.1.2-6, 3.1.1]
		}
		s = b.vacate()
		s.id = name
	}
	b.slab.drop(s.will) // [MQTT-3.1.3-9, 5.0] back in time
	if s.will = will; will != 0 {
		b.slab.bytes(will)[originAt] = s.at
		s.willDelay = p.Will.Properties.WillDelayInterval
	}
	s.expiry = expiry
	s.conn, s.full, s.since = uint8(at)+1, 0, b.now
	c.session = s.at + 1
	b.online++
	return mqtt.Success
}
