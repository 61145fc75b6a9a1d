package packet

import "github.com/midgemq/midge/mqtt"

// Carries reports whether c stands in the 5.0 table of the packets of type t,
// one of those with a reason code.
func Carries(t Type, c mqtt.ReasonCode) bool {
	switch t {
	case CONNACK:
		return connackCode(mqtt.V5, byte(c))
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return ackCode(t, c)
	case SUBACK, UNSUBACK:
		return subackCode(mqtt.V5, t, c)
	case DISCONNECT:
		return disconnectCode(c)
	}
	return false
}
