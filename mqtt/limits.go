package mqtt

// Limits are what one end of a connection announces to the other, in CONNECT
// or CONNACK (5.0, 3.1.2.11 and 3.2.2.3), and then enforces.
// Every field holds the value in force: there are no "absent" values here.
type Limits struct {
	ReceiveMaximum    uint16 // [1, 65535] QoS 1 and 2 messages in flight towards this end
	MaxPacketSize     uint32 // [1, MaxPacketSize] bytes, fixed header included
	TopicAliasMaximum uint16 // [0, 65535] 0: no aliases towards this end

	// A server alone announces the rest.
	MaxQoS            QoS
	RetainAvailable   bool
	WildcardAvailable bool
	SubscriptionIDs   bool
	SharedAvailable   bool
}

// Unlimited returns the limits in force where the peer announced none: what
// the standard says absence means.
func Unlimited() Limits {
	return Limits{
		ReceiveMaximum:    65535,
		MaxPacketSize:     MaxPacketSize,
		MaxQoS:            ExactlyOnce,
		RetainAvailable:   true,
		WildcardAvailable: true,
		SubscriptionIDs:   true,
		SharedAvailable:   true,
	}
}
