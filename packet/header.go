package packet

import "errors"

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
