package link

import (
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A Writer is the sending half of one connection: it appends what goes to the
// peer to a caller's buffer, within what the peer announced. The zero value
// is unusable; call Init. Its owner is whoever owns the buffer.
type Writer struct {
	peer    terms
	names   *names // the aliases this end defined; nil until there are any
	side    Side
	phase   phase
	version mqtt.Version
	grants  grants // with peer
	terse   bool   // Request Problem Information 0
}

// Init begins a connection on which v is spoken; 0 while a server waits for CONNECT.
func (w *Writer) Init(side Side, v mqtt.Version) {
	if w.names != nil {
		w.names.aliases = w.names.aliases[:0]
	}
	*w = Writer{side: side, version: v, names: w.names}
	w.SetPeer(mqtt.Unlimited())
}

// Greet tells a server's Writer what CONNECT said: nothing larger than the
// client's maximum is sent, not even CONNACK [MQTT-3.1.2-24, 5.0]. Problem
// information may be left out of all but PUBLISH, CONNACK and DISCONNECT
// [MQTT-3.1.2-29, 5.0].
func (w *Writer) Greet(v mqtt.Version, peer mqtt.Limits, problemInfo bool) {
	w.version, w.terse = v, !problemInfo
	w.SetPeer(peer)
}

// Answer settles in which version a CONNECT is refused that never got to
// Greet: its own, or the one nearest to a level nobody knows
// [MQTT-3.1.2-2, 3.1.1] [MQTT-3.1.2-2, 5.0].
func (w *Writer) Answer(level mqtt.Version, maxPacket uint32) {
	if w.version != 0 || level == 0 {
		return
	}
	w.version = level
	if !level.Known() {
		w.version = mqtt.V311 // every client knows 20 02 00 01
	}
	if maxPacket > 0 {
		w.peer.maxPacket = maxPacket
	}
}

// Open moves on to the session, unless the Writer is closed.
func (w *Writer) Open() {
	if w.phase != closed {
		w.phase = open
	}
}

// Closed reports whether DISCONNECT or a refusal has been written: nothing
// may follow [MQTT-3.14.4-1]. Any method that appends an answer may close the
// Writer: one the peer takes no room for ends the connection, since to leave
// it out would leave the peer waiting.
func (w *Writer) Closed() bool { return w.phase == closed }

// Version returns the version in force.
func (w *Writer) Version() mqtt.Version { return w.version }

// Peer returns what the peer announced.
func (w *Writer) Peer() mqtt.Limits { return unpack(w.peer, w.grants) }

// SetPeer says what the peer announced.
func (w *Writer) SetPeer(l mqtt.Limits) { w.peer, w.grants = pack(&l) }

// Fits reports whether the peer takes a packet of size bytes.
func (w *Writer) Fits(size int) bool { return uint64(size) <= uint64(w.peer.maxPacket) }

// Connack appends a CONNACK. One that refuses closes the Writer
// [MQTT-3.2.2-5, 3.1.1] [MQTT-3.2.2-7, 5.0]. A reason code that is none of
// CONNACK's is replaced [MQTT-3.2.2-8, 5.0].
func (w *Writer) Connack(dst []byte, c *packet.Connack) []byte {
	c.Code = legal(packet.CONNACK, c.Code)
	if c.Code.Failed() || c.Return != mqtt.Accepted {
		w.phase = closed
	}
	return within(w, dst, c, c.Properties)
}

type appender interface {
	Append(dst []byte, v mqtt.Version) []byte
}

// legal returns c or, where 5.0 does not let a packet of type t carry it, the
// code that comes nearest.
func legal(t packet.Type, c mqtt.ReasonCode) mqtt.ReasonCode {
	switch {
	case c == mqtt.Success || packet.Carries(t, c):
		return c
	case t == packet.CONNACK && c == mqtt.ServerShuttingDown:
		return mqtt.ServerUnavailable
	case t == packet.PUBREL || t == packet.PUBCOMP:
		return mqtt.PacketIdentifierNotFound
	}
	return mqtt.UnspecifiedError
}

// within appends a packet; if the peer takes none that large, without its
// Reason String, then without its User Properties, then not at all
// [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.4.2-2] [MQTT-3.14.2-3, 5.0] and
// their like. An answer that is left out closes the Writer.
func within[P appender](w *Writer, dst []byte, p P, props *packet.Properties) []byte {
	at := len(dst)
	if dst = p.Append(dst, w.version); w.Fits(len(dst) - at) {
		return dst
	}
	dropReason(props)
	if dst = p.Append(dst[:at], w.version); w.Fits(len(dst) - at) {
		return dst
	}
	dropUsers(props)
	if dst = p.Append(dst[:at], w.version); w.Fits(len(dst) - at) {
		return dst
	}
	if dst = dst[:at]; w.phase == closed {
		return dst // it was the last word itself
	}
	return w.Refuse(dst, mqtt.PacketTooLarge, "")
}

// Ack appends PUBACK, PUBREC, PUBREL or PUBCOMP. Its properties are optional
// words; they go when the client asked for none or takes no packet that large.
// A reason code the packet may not carry is replaced [MQTT-3.4.2-1]
// [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1, 5.0].
func (w *Writer) Ack(dst []byte, t packet.Type, id mqtt.PacketID, code mqtt.ReasonCode) []byte {
	a := packet.Ack{Type: t, ID: id, Code: legal(t, code)}
	return a.Append(dst, w.version)
}

// AckWith is Ack with a Reason String or User Properties.
func (w *Writer) AckWith(dst []byte, a *packet.Ack) []byte {
	if w.version != mqtt.V5 {
		return a.Append(dst, w.version)
	}
	a.Code = legal(a.Type, a.Code)
	w.hush(a.Properties)
	return within(w, dst, a, a.Properties)
}

// hush leaves problem information out for a client that wants none
// [MQTT-3.1.2-29, 5.0].
func (w *Writer) hush(p *packet.Properties) {
	if w.terse {
		dropReason(p)
		dropUsers(p)
	}
}

// Suback appends SUBACK or UNSUBACK. Codes it may not carry are replaced, in
// s too [MQTT-3.9.3-2] [MQTT-3.11.3-2, 5.0].
func (w *Writer) Suback(dst []byte, s *packet.Suback) []byte {
	if w.version != mqtt.V5 {
		return s.Append(dst, w.version)
	}
	for i, c := range s.Codes {
		s.Codes[i] = byte(legal(s.Type, mqtt.ReasonCode(c)))
	}
	w.hush(s.Properties)
	return within(w, dst, s, s.Properties)
}

// Publish appends a PUBLISH, under a topic alias where the peer offers one.
// It reports false, and appends nothing, when the peer takes no packet that
// large: the message is then to be treated as sent [MQTT-3.1.2-25, 5.0].
// p's alias is overwritten; a topic that is left out for it is put back.
func (w *Writer) Publish(dst []byte, p *packet.Publish) ([]byte, bool) {
	if w.version != mqtt.V5 {
		return p.Append(dst, w.version), true
	}
	topic := p.Topic
	alias, known := w.Alias(topic)
	if alias > 0 && p.Properties == nil {
		p.Properties = new(packet.Properties)
	}
	setAlias(p, alias)
	if known {
		p.Topic = nil
	}
	ok := w.Fits(p.Size(w.version))
	if !ok && alias > 0 && !known {
		alias = 0 // its definition may be what makes the packet too large
		setAlias(p, 0)
		ok = w.Fits(p.Size(w.version))
	}
	if ok {
		dst = p.Append(dst, w.version)
		if alias > 0 && !known {
			w.Define(alias, topic)
		}
	}
	p.Topic = topic
	setAlias(p, 0)
	return dst, ok
}

func setAlias(p *packet.Publish, a uint16) {
	if p.Properties != nil {
		p.Properties.TopicAlias = a
	}
}

// Aliasing reports whether Publish would consider an alias: only then does a
// frame encoded for somebody else not serve.
func (w *Writer) Aliasing() bool { return w.peer.aliases > 0 && w.version == mqtt.V5 }

// Alias looks a topic up, or proposes the next free alias for it; 0 when all
// are taken. First come, first served: a topic keeps its alias for the life
// of the connection, so one that is in a packet always means what it did.
func (w *Writer) Alias(topic []byte) (a uint16, known bool) {
	// [MQTT-3.3.2-9, 5.0] [MQTT-3.1.2-26, 5.0] [MQTT-3.1.2-27, 5.0]
	if w.peer.aliases == 0 {
		return 0, false
	}
	if w.names == nil {
		return 1, false
	}
	for i, t := range w.names.aliases {
		if mqtt.Same(t, topic) {
			return uint16(i + 1), true
		}
	}
	if n := len(w.names.aliases); n < int(w.peer.aliases) {
		return uint16(n + 1), false
	}
	return 0, false
}

// Define notes that a proposed alias is on its way to the peer. Only now does
// it mean anything: a PUBLISH that was never written has defined nothing.
func (w *Writer) Define(a uint16, topic []byte) {
	if w.names == nil {
		w.names = new(names)
	}
	if n := w.names; int(a) == len(n.aliases)+1 {
		n.aliases = append(n.aliases, append([]byte(nil), topic...))
	}
}

// Auth appends an AUTH [MQTT-3.15.2-2, 5.0].
func (w *Writer) Auth(dst []byte, a *packet.Auth) []byte {
	w.hush(a.Properties)
	return within(w, dst, a, a.Properties)
}

// Pingresp and Pingreq append what their names say.
func (w *Writer) Pingresp(dst []byte) []byte { return packet.AppendPingresp(dst) }
func (w *Writer) Pingreq(dst []byte) []byte  { return packet.AppendPingreq(dst) }

// Disconnect appends a DISCONNECT where the version and the phase allow one,
// and closes the Writer. A server says nothing before 5.0, and nothing before
// its CONNACK [MQTT-3.14.0-1, 5.0].
func (w *Writer) Disconnect(dst []byte, d *packet.Disconnect) []byte {
	was := w.phase
	w.phase = closed
	if !w.says(was, d) {
		return dst
	}
	return within(w, dst, d, d.Properties)
}

// says reports whether d may be said in a phase, and sees to its code.
func (w *Writer) says(in phase, d *packet.Disconnect) bool {
	if in != open || (w.side == Server && w.version != mqtt.V5) {
		return false
	}
	if w.side == Server && !fromServer(d.Code) {
		d.Code = mqtt.UnspecifiedError
	}
	return true
}

// fromServer reports whether table 3-10 of 5.0 lets a server send c in DISCONNECT.
func fromServer(c mqtt.ReasonCode) bool {
	return c != mqtt.DisconnectWithWill && packet.Carries(packet.DISCONNECT, c)
}

// Refuse appends what tells the peer why the connection ends: a CONNACK
// before the session (5.0 always; older versions where a return code fits and
// the CONNECT was well-formed [MQTT-3.1.4-1, 3.1.1]), a DISCONNECT after.
// reason goes along as Reason String; empty is none.
func (w *Writer) Refuse(dst []byte, code mqtt.ReasonCode, reason string) []byte {
	if w.phase != greeting || w.side == Client {
		if reason == "" {
			return w.hangUp(dst, code)
		}
		return w.Disconnect(dst, &packet.Disconnect{Code: code, Properties: words(reason)})
	}
	if w.version == mqtt.V5 && reason != "" {
		return w.Connack(dst, &packet.Connack{Code: code, Properties: words(reason)})
	}
	w.phase = closed
	c := packet.Connack{Code: legal(packet.CONNACK, code)}
	if c.Return = code.ReturnCode(); w.version != mqtt.V5 && c.Return == mqtt.NoReturnCode {
		return dst
	}
	if w.version == 0 || !w.Fits(5) {
		return dst
	}
	return c.Append(dst, w.version)
}

// hangUp is Disconnect without properties; unlike it, it allocates nothing.
func (w *Writer) hangUp(dst []byte, code mqtt.ReasonCode) []byte {
	was := w.phase
	w.phase = closed
	d := packet.Disconnect{Code: code}
	if !w.says(was, &d) || !w.Fits(3) {
		return dst
	}
	return d.Append(dst, w.version)
}

func words(reason string) *packet.Properties {
	if reason == "" {
		return nil
	}
	return &packet.Properties{ReasonString: []byte(reason)}
}

func dropReason(p *packet.Properties) {
	if p == nil {
		return
	}
	p.ReasonString = nil
	p.Present &^= packet.PropertySet(0).With(packet.PropReasonString)
}

func dropUsers(p *packet.Properties) {
	if p == nil {
		return
	}
	p.Users = nil
	p.Present &^= packet.PropertySet(0).With(packet.PropUserProperty)
}

// Named returns the topic that an alias of this end's stands for, nil if it
// does for none. It is the Writer's memory.
func (w *Writer) Named(a uint16) []byte {
	if w.names == nil || a == 0 || int(a) > len(w.names.aliases) {
		return nil
	}
	return w.names.aliases[a-1]
}
