package link

import (
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// The peer's faults only a connection can see. Values, so that a refusal
// allocates nothing.
var (
	errTooLarge        = &packet.Error{Code: mqtt.PacketTooLarge, Text: "packet is larger than the announced maximum"}
	errNotConnect      = &packet.Error{Code: mqtt.ProtocolError, Text: "first packet is not CONNECT"}
	errConnectFlags    = &packet.Error{Code: mqtt.MalformedPacket, Text: "CONNECT with reserved flags set"}
	errSecondConnect   = &packet.Error{Code: mqtt.ProtocolError, Text: "second CONNECT on one connection"}
	errNotConnack      = &packet.Error{Code: mqtt.ProtocolError, Text: "first packet is not CONNACK"}
	errSecondConnack   = &packet.Error{Code: mqtt.ProtocolError, Text: "second CONNACK on one connection"}
	errDuringAuth      = &packet.Error{Code: mqtt.ProtocolError, Text: "only AUTH and DISCONNECT may precede CONNACK in enhanced authentication"}
	errClosed          = &packet.Error{Code: mqtt.ProtocolError, Text: "packet after the end of the connection"}
	errDirection       = &packet.Error{Code: mqtt.ProtocolError, Text: "packet type that this side never receives"}
	errDisconnectCode  = &packet.Error{Code: mqtt.ProtocolError, Text: "DISCONNECT with a code the other side alone may use"}
	errServerExpiry    = &packet.Error{Code: mqtt.ProtocolError, Text: "DISCONNECT from a server with a Session Expiry Interval"}
	errClientReference = &packet.Error{Code: mqtt.ProtocolError, Text: "DISCONNECT from a client with a Server Reference"}
	errExpiryRevived   = &packet.Error{Code: mqtt.ProtocolError, Text: "DISCONNECT sets a Session Expiry that CONNECT had at 0"}
	errNoMethod        = &packet.Error{Code: mqtt.ProtocolError, Text: "AUTH although CONNECT named no Authentication Method"}
	errOtherMethod     = &packet.Error{Code: mqtt.ProtocolError, Text: "AUTH with another Authentication Method than CONNECT"}
	errAuthCode        = &packet.Error{Code: mqtt.ProtocolError, Text: "AUTH with a code that does not fit here"}
	errAliasRange      = &packet.Error{Code: mqtt.TopicAliasInvalid, Text: "Topic Alias above the announced maximum"}
	errAliasUnknown    = &packet.Error{Code: mqtt.ProtocolError, Text: "Topic Alias that no earlier PUBLISH defined"}
	errQoS             = &packet.Error{Code: mqtt.QoSNotSupported, Text: "PUBLISH above the announced Maximum QoS"}
	errRetain          = &packet.Error{Code: mqtt.RetainNotSupported, Text: "RETAIN although the server announced it away"}
	errClientSubID     = &packet.Error{Code: mqtt.ProtocolError, Text: "PUBLISH from a client with a Subscription Identifier"}
	errSubID           = &packet.Error{Code: mqtt.SubscriptionIdentifiersNotSupported, Text: "Subscription Identifier although the server announced it away"}
	errShared          = &packet.Error{Code: mqtt.SharedSubscriptionsNotSupported, Text: "shared subscription although the server announced it away"}
	errWildcard        = &packet.Error{Code: mqtt.WildcardSubscriptionsNotSupported, Text: "wildcard filter although the server announced it away"}
)
