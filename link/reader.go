package link

import (
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// What a connection is waiting for.
type phase uint8

const (
	greeting       phase = iota // CONNECT (server) or CONNACK (client) is due
	authenticating              // CONNECT named a method; AUTH goes back and forth
	open                        // CONNACK with success has passed
	closed
)

// A Reader is the receiving half of one connection. The zero value is
// unusable; call Init. It is owned by the goroutine that reads the socket.
type Reader struct {
	limits  terms  // what this end announced and now enforces; before Open only maxPacket
	names   *names // nil until there are any
	peerMax uint32 // the Maximum Packet Size in CONNECT, even in one refused
	grants  grants // with limits
	phase   phase
	version mqtt.Version
	is      marks
}

type marks uint8

const (
	isClient  marks = 1 << iota
	hasMethod       // CONNECT named an Authentication Method
	hasExpiry       // CONNECT asked for a Session Expiry above 0
	reauthing       // AUTH 0x19 has begun an exchange
)

func (r *Reader) has(m marks) bool { return r.is&m != 0 }

// names are what the two ends agreed to say later in fewer words.
type names struct {
	aliases [][]byte // topic by alias-1, as the peer defined them
	method  []byte   // the CONNECT's Authentication Method
}

func (r *Reader) named() *names {
	if r.names == nil {
		r.names = new(names)
	}
	return r.names
}

// Init begins a connection. Until Open, packets above greetMax bytes are
// refused; a client also says here which version it speaks.
func (r *Reader) Init(side Side, v mqtt.Version, greetMax uint32) {
	if r.names != nil {
		r.names.aliases, r.names.method = r.names.aliases[:0], r.names.method[:0]
	}
	*r = Reader{version: v, limits: terms{maxPacket: greetMax}, names: r.names}
	if side == Client {
		r.is = isClient
	}
}

// Open moves on to the session: the CONNACK that accepts announced (server)
// or answered (client) l.
func (r *Reader) Open(l mqtt.Limits) {
	r.limits, r.grants = pack(&l)
	r.phase = open
}

// Version returns the version in force; 0 before a server has seen CONNECT.
func (r *Reader) Version() mqtt.Version { return r.version }

// PeerMax returns the Maximum Packet Size that CONNECT named, 0 for none.
func (r *Reader) PeerMax() uint32 { return r.peerMax }

// Opened reports whether Open has been called.
func (r *Reader) Opened() bool { return r.phase == open }

// Limits returns what Open was given.
func (r *Reader) Limits() mqtt.Limits { return unpack(r.limits, r.grants) }

// Close makes every later Next fail: nothing after DISCONNECT or a refused
// CONNECT is processed [MQTT-3.1.4-5, 3.1.1] [MQTT-3.1.4-6, 5.0].
func (r *Reader) Close() { r.phase = closed }

// Next takes the first packet of b apart into p and returns its type and the
// bytes it took. With n 0 and no error b holds no whole packet yet; a caller
// then needs room for at least need bytes in all.
//
// A *packet.Error is the peer's fault; the connection is over and the Writer's
// Refuse says so to the peer. The views in p point into b.
func (r *Reader) Next(b []byte, p *Packets) (t packet.Type, n, need int, err error) {
	h, err := packet.ReadHeader(b)
	if err != nil {
		if err == packet.ErrShort {
			return 0, 0, 5, nil
		}
		return 0, 0, 0, err
	}
	if err := r.admit(h); err != nil {
		return h.Type, 0, 0, err
	}
	size := h.Size + h.Len
	if len(b) < size {
		return 0, 0, size, nil
	}
	if err := r.decode(h, b[h.Size:size:size], p); err != nil {
		return h.Type, 0, 0, err
	}
	return h.Type, size, 0, nil
}

// Acks returns how many bytes at the front of b are acknowledgements of one
// type, PUBACK, PUBREC, PUBREL or PUBCOMP, that say only that all is well: four
// bytes each, the last two the identifier. What is anything else, or wrong, it
// leaves to Next.
func (r *Reader) Acks(b []byte) (t packet.Type, n int) {
	if r.phase != open || r.limits.maxPacket < AckSize || len(b) < AckSize {
		return 0, 0
	}
	first := b[0]
	switch first {
	case byte(packet.PUBACK) << 4, byte(packet.PUBREC) << 4, byte(packet.PUBREL)<<4 | 2, byte(packet.PUBCOMP) << 4:
	default:
		return 0, 0
	}
	for len(b)-n >= AckSize && b[n] == first && b[n+1] == 2 && b[n+2]|b[n+3] != 0 {
		n += AckSize
	}
	return packet.Type(first >> 4), n
}

// AckSize is the length of each of Acks.
const AckSize = 4

// Repeats returns how many bytes at the front of b are packets that differ from
// first in identifier and payload alone: as many as first has, and as right as
// it is, since nothing is judged but header, topic, properties and limits. first
// is a PUBLISH that Next has taken apart into p.
func (r *Reader) Repeats(first []byte, p *packet.Publish, b []byte) (n int) {
	if p.Properties.Present != 0 {
		return 0
	}
	size := len(first)
	at := size - len(p.Payload) // where p has its payload
	properties := at
	if r.version == mqtt.V5 {
		properties--
	}
	id := properties
	if p.QoS > mqtt.AtMostOnce {
		id -= 2
	}
	for ; len(b)-n >= size; n += size {
		f := b[n : n+size]
		if string(f[:id]) != string(first[:id]) || id < properties && f[id]|f[id+1] == 0 || properties < at && f[properties] != 0 {
			break
		}
	}
	return n
}

// admit judges a packet by its fixed header alone, before its body is read:
// an oversize or misplaced packet never costs memory.
func (r *Reader) admit(h packet.Header) error {
	if uint64(h.Size+h.Len) > uint64(r.limits.maxPacket) {
		return errTooLarge
	}
	if r.has(isClient) {
		return r.admitAsClient(h)
	}
	switch r.phase {
	case greeting:
		// [MQTT-3.1.0-1]
		if h.Type != packet.CONNECT {
			return errNotConnect
		}
		if h.Flags != 0 {
			return errConnectFlags
		}
		return nil
	case authenticating:
		// [MQTT-3.1.2-30, 5.0]
		if h.Type != packet.AUTH && h.Type != packet.DISCONNECT {
			return errDuringAuth
		}
	case closed:
		return errClosed
	}
	switch h.Type {
	case packet.CONNECT:
		return errSecondConnect // [MQTT-3.1.0-2]
	case packet.CONNACK, packet.SUBACK, packet.UNSUBACK, packet.PINGRESP:
		return errDirection
	}
	return h.Check(r.version)
}

func (r *Reader) admitAsClient(h packet.Header) error {
	switch r.phase {
	case greeting, authenticating:
		// [MQTT-3.2.0-1]
		if h.Type != packet.CONNACK && !(h.Type == packet.AUTH && r.version == mqtt.V5) &&
			h.Type != packet.DISCONNECT {
			return errNotConnack
		}
	case closed:
		return errClosed
	default:
		switch h.Type {
		case packet.CONNACK:
			return errSecondConnack
		case packet.CONNECT, packet.SUBSCRIBE, packet.UNSUBSCRIBE, packet.PINGREQ:
			return errDirection
		case packet.DISCONNECT:
			if r.version != mqtt.V5 {
				return errDirection
			}
		}
	}
	return h.Check(r.version)
}

func (r *Reader) decode(h packet.Header, body []byte, p *Packets) error {
	props := &p.properties
	switch h.Type {
	case packet.CONNECT:
		p.Connect.Properties, p.Connect.Will.Properties = props, &p.will
		return r.connect(body, p)
	case packet.CONNACK:
		p.Connack.Properties = props
		return p.Connack.Decode(r.version, body)
	case packet.PUBLISH:
		p.Publish.Properties = props
		if err := p.Publish.Decode(r.version, h.Flags, body); err != nil {
			return err
		}
		return r.publish(&p.Publish)
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		p.Ack.Properties = props
		return p.Ack.Decode(r.version, h.Type, body)
	case packet.SUBSCRIBE:
		p.Subscribe.Properties = props
		if err := p.Subscribe.Decode(r.version, body); err != nil {
			return err
		}
		return r.subscribe(&p.Subscribe)
	case packet.SUBACK, packet.UNSUBACK:
		p.Suback.Properties = props
		return p.Suback.Decode(r.version, h.Type, body)
	case packet.UNSUBSCRIBE:
		p.Unsubscribe.Properties = props
		return p.Unsubscribe.Decode(r.version, body)
	case packet.PINGREQ, packet.PINGRESP:
		return packet.DecodePing(body)
	case packet.DISCONNECT:
		p.Disconnect.Properties = props
		if err := p.Disconnect.Decode(r.version, body); err != nil {
			return err
		}
		return r.disconnect(&p.Disconnect)
	default: // AUTH; Check has refused all else
		p.Auth.Properties = props
		if err := p.Auth.Decode(body); err != nil {
			return err
		}
		return r.auth(&p.Auth)
	}
}

func (r *Reader) connect(body []byte, p *Packets) error {
	c := &p.Connect
	err := c.Decode(body)
	r.version, r.peerMax = c.Version, c.Properties.MaximumPacketSize
	if err != nil {
		return err
	}
	if c.Properties.SessionExpiryInterval > 0 {
		r.is |= hasExpiry
	}
	if c.Properties.Has(packet.PropAuthenticationMethod) {
		r.is |= hasMethod
		r.phase = authenticating
	}
	return nil
}

// disconnect checks what each side may say in DISCONNECT [MQTT-3.14.2-1, 5.0].
func (r *Reader) disconnect(d *packet.Disconnect) error {
	if r.version != mqtt.V5 {
		return nil
	}
	if r.has(isClient) {
		if d.Code == mqtt.DisconnectWithWill {
			return errDisconnectCode
		}
		if d.Properties.Has(packet.PropSessionExpiryInterval) {
			return errServerExpiry // [MQTT-3.14.2-2, 5.0]
		}
		return nil
	}
	if !fromClient(d.Code) {
		return errDisconnectCode
	}
	if d.Properties.Has(packet.PropServerReference) {
		return errClientReference
	}
	// [X5-3.14.2.2.2-a]
	if d.Properties.SessionExpiryInterval > 0 && !r.has(hasExpiry) {
		return errExpiryRevived
	}
	return nil
}

// fromClient reports whether table 3-10 of 5.0 lets a client send c in DISCONNECT.
func fromClient(c mqtt.ReasonCode) bool {
	switch c {
	case mqtt.Success, mqtt.DisconnectWithWill, mqtt.UnspecifiedError, mqtt.MalformedPacket,
		mqtt.ProtocolError, mqtt.ImplementationSpecificError, mqtt.TopicNameInvalid,
		mqtt.ReceiveMaximumExceeded, mqtt.TopicAliasInvalid, mqtt.PacketTooLarge,
		mqtt.MessageRateTooHigh, mqtt.QuotaExceeded, mqtt.AdministrativeAction,
		mqtt.PayloadFormatInvalid:
		return true
	}
	return false
}

// auth checks an AUTH against the CONNECT and the exchange it belongs to.
func (r *Reader) auth(a *packet.Auth) error {
	// [MQTT-4.12.0-7, 5.0] [X5-3.15-a]
	if !r.has(hasMethod) {
		return errNoMethod
	}
	// [MQTT-4.12.0-5, 5.0] [MQTT-4.12.1-1, 5.0]
	if !mqtt.Same(a.Properties.AuthenticationMethod, r.named().method) {
		return errOtherMethod
	}
	if r.has(isClient) {
		if a.Code == mqtt.Reauthenticate {
			return errAuthCode
		}
		return nil
	}
	// [MQTT-3.15.2-1, 5.0] [MQTT-4.12.0-3, 5.0]
	switch {
	case a.Code == mqtt.ContinueAuthentication && (r.phase == authenticating || r.has(reauthing)):
	case a.Code == mqtt.Reauthenticate && r.phase == open && !r.has(reauthing):
		r.is |= reauthing
	default:
		return errAuthCode
	}
	return nil
}

// Reauthenticated ends an exchange the client began with AUTH 0x19.
func (r *Reader) Reauthenticated() { r.is &^= reauthing }

// SetMethod says which Authentication Method the CONNECT named: every AUTH
// has to repeat it. A server that goes through with the exchange copies it
// from there; until then no AUTH is accepted.
func (r *Reader) SetMethod(m []byte) {
	n := r.named()
	n.method = append(n.method[:0], m...)
	r.is |= hasMethod
}
