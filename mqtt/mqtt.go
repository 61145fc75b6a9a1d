package mqtt

// A Version is the protocol level a connection speaks, as CONNECT carries it.
type Version byte

const (
	V31  Version = 3 // MQTT 3.1, protocol name "MQIsdp"
	V311 Version = 4 // MQTT 3.1.1 (OASIS, 2014)
	V5   Version = 5 // MQTT 5.0 (OASIS, 2019)
)

// Known reports whether v is a version midge speaks.
func (v Version) Known() bool { return v >= V31 && v <= V5 }

func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return "unknown"
}

// A QoS is a delivery guarantee between two ends of one connection.
type QoS byte

const (
	AtMostOnce  QoS = 0
	AtLeastOnce QoS = 1
	ExactlyOnce QoS = 2
)

// Valid reports whether q is one of the three levels; 3 is forbidden on the wire.
func (q QoS) Valid() bool { return q <= ExactlyOnce }

// A PacketID names one QoS 1 or 2 exchange, SUBSCRIBE or UNSUBSCRIBE between
// the two ends of a session. 0 is never valid on the wire.
type PacketID uint16

// Protocol constants: the largest values the wire can carry.
const (
	MaxPacketID        = 65535
	MaxStringLen       = 65535       // bytes in a string, topic or binary field
	MaxRemainingLength = 268_435_455 // bytes after the fixed header
	MaxPacketSize      = MaxRemainingLength + 5
	MaxSubscriptionID  = 268_435_455
	NeverExpires       = 0xFFFFFFFF // seconds: a Session Expiry Interval without end
)
