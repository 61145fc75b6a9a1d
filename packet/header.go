package packet

import (
	"errors"

	"github.com/midgemq/midge/mqtt"
)

// A Type is an MQTT control packet type (5.0, 2.1.2).
type Type byte

const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
	AUTH        Type = 15 // 5.0 only
)

var typeNames = [...]string{
	"reserved", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

func (t Type) String() string { return typeNames[t&15] }

// A Header is the fixed header of a packet.
type Header struct {
	Type  Type
	Flags byte // the low four bits of the first byte
	Size  int  // bytes the header itself takes, 2 to 5
	Len   int  // bytes that follow: the remaining length
}

// ErrShort says that b ends before the header does: read more and try again.
// It is nobody's fault and so not an *Error.
var ErrShort = errors.New("packet: need more bytes")

var (
	errType     = malformed("packet type 0 is reserved")
	errFlags    = malformed("reserved flag bits of the fixed header have the wrong value")
	errQoS3     = malformed("PUBLISH with both QoS bits set")
	errDupQoS0  = malformed("PUBLISH with DUP at QoS 0")
	errAuthOld  = malformed("packet type 15 came with MQTT 5.0")
	errNonempty = malformed("packet that must be empty is not")
)

// ReadHeader reads the fixed header at the front of b. It returns ErrShort
// when b ends inside it, an *Error for one no packet can have.
func ReadHeader(b []byte) (Header, error) {
	if len(b) < 2 {
		if len(b) == 1 && b[0]>>4 == 0 {
			return Header{}, errType
		}
		return Header{}, ErrShort
	}
	h := Header{Type: Type(b[0] >> 4), Flags: b[0] & 0x0F}
	if h.Type == 0 {
		return h, errType
	}
	if b[1] < 0x80 {
		h.Size, h.Len = 2, int(b[1])
		return h, nil
	}
	v, n, err := readVarint(b[1:])
	if err != nil {
		return h, err
	}
	if n == 0 {
		return h, ErrShort
	}
	h.Size, h.Len = 1+n, v
	return h, nil
}

// Check refuses flag bits the type may not have in version v
// [MQTT-2.1.3-1, 5.0] [MQTT-2.2.2-1, 3.1.1], and types v does not know.
func (h Header) Check(v mqtt.Version) error {
	switch h.Type {
	case PUBLISH:
		switch {
		case h.Flags&0x06 == 0x06: // [MQTT-3.3.1-4]
			return errQoS3
		case h.Flags&0x0E == 0x08 && v != mqtt.V31: // [MQTT-3.3.1-2]
			return errDupQoS0
		}
		return nil
	case PUBREL, SUBSCRIBE, UNSUBSCRIBE: // [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1]
		if v == mqtt.V31 && h.Flags&^0x08 == 0x02 { // 3.1 sets DUP on these, too
			return nil
		}
		if h.Flags != 0x02 {
			return errFlags
		}
		return nil
	case AUTH:
		if v != mqtt.V5 {
			return errAuthOld
		}
	}
	if h.Flags != 0 && v != mqtt.V31 {
		return errFlags
	}
	return nil
}

// AppendHeader appends a fixed header for a body of n bytes.
func AppendHeader(dst []byte, t Type, flags byte, n int) []byte {
	return AppendVarint(append(dst, byte(t)<<4|flags), n)
}

// AppendPingreq appends a PINGREQ.
func AppendPingreq(dst []byte) []byte { return append(dst, byte(PINGREQ)<<4, 0) }

// AppendPingresp appends a PINGRESP.
func AppendPingresp(dst []byte) []byte { return append(dst, byte(PINGRESP)<<4, 0) }

// DecodePing checks the body of a PINGREQ or PINGRESP, which is empty.
func DecodePing(body []byte) error {
	if len(body) > 0 {
		return errNonempty
	}
	return nil
}
