package mqtt

// A Message is an application message as programs publish and receive it.
// Whoever is handed a Message must not change Payload or the slices in
// Properties, and may keep them only where the handing function says so.
type Message struct {
	Topic   string // 1 to 65,535 bytes of UTF-8, no wildcards, no U+0000
	Payload []byte
	QoS     QoS
	Retain  bool

	Properties // MQTT 5.0 only; older versions neither send nor receive them
}

// Properties are what an MQTT 5.0 publisher can attach to a message and a
// subscriber gets to see (5.0, 3.3.2.3). The zero value has none.
type Properties struct {
	PayloadUTF8     bool   // Payload Format Indicator 1
	HasExpiry       bool   // MessageExpiry counts, even when 0
	MessageExpiry   uint32 // seconds until the message is worthless
	ContentType     string
	ResponseTopic   string
	CorrelationData []byte
	User            []UserProperty // in the publisher's order

	// SubscriptionIDs are set on delivery only: the identifiers of the
	// subscriptions that matched.
	SubscriptionIDs []uint32
}

// A UserProperty is one free name and value pair; names may repeat.
type UserProperty struct{ Name, Value string }
