package packet

import "github.com/midgemq/midge/mqtt"

// A Will is the message a CONNECT leaves behind.
type Will struct {
	Topic, Payload []byte
	QoS            mqtt.QoS
	Retain         bool
	Properties     *Properties
}

// A Connect is a CONNECT packet.
type Connect struct {
	Version     mqtt.Version
	Bridge      bool // Mosquitto's bridges set bit 7 of the level, before 5.0
	CleanStart  bool // Clean Session before 5.0
	KeepAlive   uint16
	ClientID    []byte
	HasUsername bool
	HasPassword bool
	HasWill     bool
	Username    []byte
	Password    []byte
	Will        Will
	Properties  *Properties
}

// CONNECT flags (3.1.2.3).
const (
	flagReserved   = 1 << 0
	flagCleanStart = 1 << 1
	flagWill       = 1 << 2
	flagWillRetain = 1 << 5
	flagPassword   = 1 << 6
	flagUsername   = 1 << 7
)

var (
	errProtocolName  = &Error{mqtt.UnsupportedProtocolVersion, "protocol name that is not MQTT"}
	errProtocolLevel = &Error{mqtt.UnsupportedProtocolVersion, "protocol version that is not 3.1, 3.1.1 or 5.0"}
	errConnectFlag   = malformed("CONNECT with its reserved flag set")
	errWillQoS       = malformed("Will QoS 3")
	errNoWill        = malformed("Will QoS or Will Retain without Will Flag")
	errPasswordAlone = malformed("password without user name")
	errWillTopic     = &Error{mqtt.TopicNameInvalid, "Will Topic that is not a Topic Name"}
	errWillFormat    = &Error{mqtt.PayloadFormatInvalid, "will payload is not the UTF-8 its indicator says"}
)

// Decode reads the body of a CONNECT. After an error Version tells which
// level was asked for, 0 if it did not get that far or the name is foreign.
func (p *Connect) Decode(body []byte) error {
	*p = Connect{Properties: p.Properties.fresh(), Will: Will{Properties: p.Will.Properties.fresh()}}
	r := reader{b: body}
	if err := p.protocol(&r); err != nil {
		return err
	}
	flags := r.byte()
	p.KeepAlive = r.uint16()
	if r.err != nil {
		return r.err
	}
	if err := p.flags(flags); err != nil {
		return err
	}
	if p.Version == mqtt.V5 {
		p.Properties.read(&r, CONNECT)
	}
	p.ClientID = r.string() // [MQTT-3.1.3-3] [MQTT-3.1.3-4]
	if p.HasWill {
		p.will(&r)
	}
	p.credentials(&r)
	return r.end()
}

// protocol reads name and level [MQTT-3.1.2-1] [MQTT-3.1.2-2].
func (p *Connect) protocol(r *reader) error {
	name := r.bytes()
	level := r.byte()
	if r.err != nil {
		return r.err
	}
	old := mqtt.Text(name) == "MQIsdp"
	if !old && mqtt.Text(name) != "MQTT" {
		return errProtocolName
	}
	p.Version = mqtt.Version(level)
	if v := p.Version &^ 0x80; p.Version != v && v.Known() && v != mqtt.V5 {
		p.Version, p.Bridge = v, true
	}
	if !p.Version.Known() || old != (p.Version == mqtt.V31) {
		if p.Version == 0 {
			p.Version = mqtt.V31 // refuse level 0 in the oldest form there is
		}
		return errProtocolLevel
	}
	return nil
}

func (p *Connect) flags(f byte) error {
	p.CleanStart = f&flagCleanStart != 0
	p.HasWill = f&flagWill != 0
	p.HasUsername = f&flagUsername != 0
	p.HasPassword = f&flagPassword != 0
	p.Will.QoS = mqtt.QoS(f >> 3 & 3)
	p.Will.Retain = f&flagWillRetain != 0
	switch {
	case f&flagReserved != 0: // [MQTT-3.1.2-3] [X5-3.1.2.3-a]
		return errConnectFlag
	case !p.Will.QoS.Valid(): // [MQTT-3.1.2-12, 5.0] [MQTT-3.1.2-14, 3.1.1] [X5-3.1.2.6-a]
		return errWillQoS
	case !p.HasWill && (p.Will.QoS != 0 || p.Will.Retain):
		// [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-15, 3.1.1]
		return errNoWill
	case p.HasPassword && !p.HasUsername && p.Version != mqtt.V5: // [MQTT-3.1.2-22, 3.1.1]
		return errPasswordAlone
	}
	return nil
}

func (p *Connect) will(r *reader) {
	w := &p.Will
	if p.Version == mqtt.V5 {
		w.Properties.read(r, will)
	}
	w.Topic = r.string()
	w.Payload = r.bytes()
	switch {
	case r.err != nil:
	case len(w.Topic) == 0 || hasWildcard(w.Topic): // [MQTT-4.7.1-1, 3.1.1] [MQTT-4.7.0-1, 5.0] [MQTT-4.7.3-1]
		r.fail(errWillTopic)
	case w.Properties.PayloadFormatIndicator == 1 && checkUTF8(w.Payload) != nil: // [X5-3.1.3.2.3-a]
		r.fail(errWillFormat)
	}
}

func (p *Connect) credentials(r *reader) {
	// 3.1, 3.1.3: the remaining length takes precedence over these flags.
	if p.Version == mqtt.V31 && r.err == nil && len(r.b) == 0 {
		p.HasUsername, p.HasPassword = false, false
	}
	if p.HasUsername {
		p.Username = r.string()
	}
	if p.Version == mqtt.V31 && r.err == nil && len(r.b) == 0 {
		p.HasPassword = false
	}
	if p.HasPassword {
		p.Password = r.bytes()
	}
}

// Append appends p as a packet. The version decides what of it can be said.
func (p *Connect) Append(dst []byte) []byte {
	v5 := p.Version == mqtt.V5
	name, level := "MQTT", byte(p.Version)
	if p.Version == mqtt.V31 {
		name = "MQIsdp"
	}
	if p.Bridge {
		level |= 0x80
	}
	n := 2 + len(name) + 4 + 2 + len(p.ClientID)
	if v5 {
		n += p.Properties.size()
	}
	if p.HasWill {
		if v5 {
			n += p.Will.Properties.size()
		}
		n += 4 + len(p.Will.Topic) + len(p.Will.Payload)
	}
	if p.HasUsername {
		n += 2 + len(p.Username)
	}
	if p.HasPassword {
		n += 2 + len(p.Password)
	}
	dst = AppendHeader(dst, CONNECT, 0, n)
	dst = appendString(dst, name)
	dst = append(dst, level, p.flagByte())
	dst = appendUint16(dst, p.KeepAlive)
	if v5 {
		dst = p.Properties.append(dst)
	}
	dst = appendString(dst, p.ClientID)
	if p.HasWill {
		if v5 {
			dst = p.Will.Properties.append(dst)
		}
		dst = appendString(appendString(dst, p.Will.Topic), p.Will.Payload)
	}
	if p.HasUsername {
		dst = appendString(dst, p.Username)
	}
	if p.HasPassword {
		dst = appendString(dst, p.Password)
	}
	return dst
}

func (p *Connect) flagByte() (f byte) {
	if p.CleanStart {
		f |= flagCleanStart
	}
	if p.HasWill {
		f |= flagWill | byte(p.Will.QoS)<<3
		if p.Will.Retain {
			f |= flagWillRetain
		}
	}
	if p.HasUsername {
		f |= flagUsername
	}
	if p.HasPassword {
		f |= flagPassword
	}
	return f
}
