package packet

// A PropertyID names a 5.0 property (2.2.2.2).
type PropertyID byte

const (
	PropPayloadFormatIndicator          PropertyID = 0x01
	PropMessageExpiryInterval           PropertyID = 0x02
	PropContentType                     PropertyID = 0x03
	PropResponseTopic                   PropertyID = 0x08
	PropCorrelationData                 PropertyID = 0x09
	PropSubscriptionIdentifier          PropertyID = 0x0B
	PropSessionExpiryInterval           PropertyID = 0x11
	PropAssignedClientIdentifier        PropertyID = 0x12
	PropServerKeepAlive                 PropertyID = 0x13
	PropAuthenticationMethod            PropertyID = 0x15
	PropAuthenticationData              PropertyID = 0x16
	PropRequestProblemInformation       PropertyID = 0x17
	PropWillDelayInterval               PropertyID = 0x18
	PropRequestResponseInformation      PropertyID = 0x19
	PropResponseInformation             PropertyID = 0x1A
	PropServerReference                 PropertyID = 0x1C
	PropReasonString                    PropertyID = 0x1F
	PropReceiveMaximum                  PropertyID = 0x21
	PropTopicAliasMaximum               PropertyID = 0x22
	PropTopicAlias                      PropertyID = 0x23
	PropMaximumQoS                      PropertyID = 0x24
	PropRetainAvailable                 PropertyID = 0x25
	PropUserProperty                    PropertyID = 0x26
	PropMaximumPacketSize               PropertyID = 0x27
	PropWildcardSubscriptionAvailable   PropertyID = 0x28
	PropSubscriptionIdentifierAvailable PropertyID = 0x29
	PropSharedSubscriptionAvailable     PropertyID = 0x2A
)

// A PropertySet holds property identifiers.
type PropertySet uint64

// Has reports whether id is in the set.
func (s PropertySet) Has(id PropertyID) bool { return id < 64 && s>>id&1 == 1 }

// With returns the set with id in it.
func (s PropertySet) With(id PropertyID) PropertySet { return s | 1<<id }

func setOf(ids ...PropertyID) (s PropertySet) {
	for _, id := range ids {
		s = s.With(id)
	}
	return s
}

// A kind is how a property's value stands on the wire.
type kind byte

const (
	kindNone kind = iota // no such property
	kindByte
	kindUint16
	kindUint32
	kindVarint
	kindString
	kindBinary
	kindPair
)

// kinds are the value types of table 2-4 of 5.0.
var kinds = [64]kind{
	PropPayloadFormatIndicator:          kindByte,
	PropMessageExpiryInterval:           kindUint32,
	PropContentType:                     kindString,
	PropResponseTopic:                   kindString,
	PropCorrelationData:                 kindBinary,
	PropSubscriptionIdentifier:          kindVarint,
	PropSessionExpiryInterval:           kindUint32,
	PropAssignedClientIdentifier:        kindString,
	PropServerKeepAlive:                 kindUint16,
	PropAuthenticationMethod:            kindString,
	PropAuthenticationData:              kindBinary,
	PropRequestProblemInformation:       kindByte,
	PropWillDelayInterval:               kindUint32,
	PropRequestResponseInformation:      kindByte,
	PropResponseInformation:             kindString,
	PropServerReference:                 kindString,
	PropReasonString:                    kindString,
	PropReceiveMaximum:                  kindUint16,
	PropTopicAliasMaximum:               kindUint16,
	PropTopicAlias:                      kindUint16,
	PropMaximumQoS:                      kindByte,
	PropRetainAvailable:                 kindByte,
	PropUserProperty:                    kindPair,
	PropMaximumPacketSize:               kindUint32,
	PropWildcardSubscriptionAvailable:   kindByte,
	PropSubscriptionIdentifierAvailable: kindByte,
	PropSharedSubscriptionAvailable:     kindByte,
}

func (id PropertyID) kind() kind {
	if id >= 64 {
		return kindNone
	}
	return kinds[id]
}

// will is where the Will Properties stand in the legality table: they share
// CONNECT with that packet's own.
const will Type = 0

// legal is table 2-4 of 5.0: which packet may carry which property.
var legal = [16]PropertySet{
	will: setOf(PropPayloadFormatIndicator, PropMessageExpiryInterval, PropContentType,
		PropResponseTopic, PropCorrelationData, PropWillDelayInterval, PropUserProperty),
	CONNECT: setOf(PropSessionExpiryInterval, PropAuthenticationMethod, PropAuthenticationData,
		PropRequestProblemInformation, PropRequestResponseInformation, PropReceiveMaximum,
		PropTopicAliasMaximum, PropUserProperty, PropMaximumPacketSize),
	CONNACK: setOf(PropSessionExpiryInterval, PropAssignedClientIdentifier, PropServerKeepAlive,
		PropAuthenticationMethod, PropAuthenticationData, PropResponseInformation,
		PropServerReference, PropReasonString, PropReceiveMaximum, PropTopicAliasMaximum,
		PropMaximumQoS, PropRetainAvailable, PropUserProperty, PropMaximumPacketSize,
		PropWildcardSubscriptionAvailable, PropSubscriptionIdentifierAvailable,
		PropSharedSubscriptionAvailable),
	PUBLISH: setOf(PropPayloadFormatIndicator, PropMessageExpiryInterval, PropContentType,
		PropResponseTopic, PropCorrelationData, PropSubscriptionIdentifier, PropTopicAlias,
		PropUserProperty),
	PUBACK:      setOf(PropReasonString, PropUserProperty),
	PUBREC:      setOf(PropReasonString, PropUserProperty),
	PUBREL:      setOf(PropReasonString, PropUserProperty),
	PUBCOMP:     setOf(PropReasonString, PropUserProperty),
	SUBSCRIBE:   setOf(PropSubscriptionIdentifier, PropUserProperty),
	SUBACK:      setOf(PropReasonString, PropUserProperty),
	UNSUBSCRIBE: setOf(PropUserProperty),
	UNSUBACK:    setOf(PropReasonString, PropUserProperty),
	DISCONNECT: setOf(PropSessionExpiryInterval, PropServerReference, PropReasonString,
		PropUserProperty),
	AUTH: setOf(PropAuthenticationMethod, PropAuthenticationData, PropReasonString,
		PropUserProperty),
}

var (
	errPropLength   = malformed("property length runs past the packet")
	errPropUnknown  = malformed("property that does not exist")
	errPropIllegal  = malformed("property that this packet may not carry")
	errPropTwice    = protocol("property given twice")
	errPropRange    = protocol("property with a value outside its range")
	errAliasZero    = &Error{0x94, "Topic Alias 0"}
	errAuthData     = protocol("Authentication Data without Authentication Method")
	errResponseName = protocol("Response Topic that is not a Topic Name")
)
