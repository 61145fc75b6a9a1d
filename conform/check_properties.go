package conform

import (
	"fmt"
	"slices"

	"github.com/midgemq/midge/mqtt"
)

var propertyChecks = slices.Concat([]Check{
	check("properties/CONNACK is well-formed", connackProperties, on5(`X5-3.2.2.3.2-dup X5-3.2.2.3.3-dup
		X5-3.2.2.3.4-dup X5-3.2.2.3.5-dup X5-3.2.2.3.6-dup X5-3.2.2.3.7-dup X5-3.2.2.3.8-dup X5-3.2.2.3.9-dup
		X5-3.2.2.3.11-dup X5-3.2.2.3.12-dup X5-3.2.2.3.13-dup X5-3.2.2.3.14-dup X5-3.2.2.3.15-dup
		X5-3.2.2.3.16-dup X5-3.2.2.3.17-dup X5-3.2.2.3.18-dup 3.2.2-1 3.2.2-8 2.2.2-1 1.5.5-1`)),
	check("properties/acknowledgements are well-formed", ackProperties, on5(`3.4.2-1 3.5.2-1 3.6.2-1 3.7.2-1 3.9.3-2 3.11.3-2
		X5-3.4.2.2.2-dup X5-3.5.2.2.2-dup X5-3.6.2.2.2-dup X5-3.7.2.2.2-dup X5-3.9.2.1.2-dup X5-3.11.2.1.2-dup 2.2.1-5 2.2.1-6`)),
	check("properties/in a packet they are not for", strayProperties, on5("X5-2.2.2.2-a 3.3.4-6")),
	check("properties/unknown identifier", unknownProperty, on5("X5-2.2.2.2-a")),
	check("properties/Reason String is not parsed", reasonStringIgnored, on5("X5-3.2.2.3.9-a")),
	check("properties/User Property may repeat", userRepeats, on5("3.3.2-17 3.3.2-18")),
	check("properties/acknowledgement codes of the client", clientCodes, on5("3.4.2-1 3.5.2-1 3.14.2-1")),
	check("properties/authentication data without method", authDataAlone, on5("X5-3.1.2.11.10-dup")),
}, duplicateChecks())

// A twice is a property that a packet may carry once.
type twice struct {
	statement, packet string
	prop              byte
	values            []int // numeric values that are out of range
}

var twices = []twice{
	{"X5-3.1.2.11.2-dup", "CONNECT", pSessionExpiry, nil},
	{"X5-3.1.2.11.3-dup", "CONNECT", pReceiveMaximum, []int{0}},
	{"X5-3.1.2.11.4-dup", "CONNECT", pMaxPacketSize, []int{0}},
	{"X5-3.1.2.11.5-dup", "CONNECT", pAliasMaximum, nil},
	{"X5-3.1.2.11.6-dup", "CONNECT", pRequestResponse, []int{2, 255}},
	{"X5-3.1.2.11.7-dup", "CONNECT", pRequestProblem, []int{2, 255}},
	{"X5-3.1.2.11.9-dup", "CONNECT", pAuthMethod, nil},
	{"X5-3.1.3.2.2-dup", "will", pWillDelay, nil},
	{"X5-3.1.3.2.3-dup", "will", pPayloadFormat, nil},
	{"X5-3.1.3.2.4-dup", "will", pMessageExpiry, nil},
	{"X5-3.1.3.2.5-dup", "will", pContentType, nil},
	{"X5-3.1.3.2.6-dup", "will", pResponseTopic, nil},
	{"X5-3.1.3.2.7-dup", "will", pCorrelation, nil},
	{"X5-3.3.2.3.4-dup", "PUBLISH", pTopicAlias, nil},
	{"X5-3.3.2.3.5-dup", "PUBLISH", pResponseTopic, nil},
	{"X5-3.3.2.3.6-dup", "PUBLISH", pCorrelation, nil},
	{"X5-3.3.2.3.9-dup", "PUBLISH", pContentType, nil},
	{"X5-3.8.2.1.2-dup", "SUBSCRIBE", pSubscriptionID, []int{0}},
	{"X5-3.4.2.2.2-dup", "PUBACK", pReasonString, nil},
	{"X5-3.5.2.2.2-dup", "PUBREC", pReasonString, nil},
	{"X5-3.6.2.2.2-dup", "PUBREL", pReasonString, nil},
	{"X5-3.7.2.2.2-dup", "PUBCOMP", pReasonString, nil},
	{"X5-3.14.2.2.2-dup", "DISCONNECT", pSessionExpiry, nil},
	{"X5-3.14.2.2.3-dup", "DISCONNECT", pReasonString, nil},
	{"X5-3.14.2.2.5-dup", "DISCONNECT", pServerReference, nil},
}

func duplicateChecks() []Check {
	var all []Check
	for _, d := range twices {
		name := fmt.Sprintf("properties/%s twice in %s", propNames[d.prop], d.packet)
		all = append(all, check(name, func(t *T) {
			good := propList(sample(t, d.prop))
			t.offendProps(d, props(good, good), "twice")
			for _, v := range d.values {
				t.offendProps(d, property(d.prop, v), fmt.Sprintf("of value %d", v))
			}
		}, on5(d.statement)))
	}
	return all
}

// sample encodes the property with some legal value.
func sample(t *T, id byte) propList {
	switch propKinds[id] {
	case kindString, kindBinary:
		return property(id, t.topic("s"))
	case kindPair:
		return user("n", "v")
	}
	return property(id, 1)
}

func (t *T) offendProps(d twice, ps propList, how string) {
	why := fmt.Sprintf("%s %s in %s", propNames[d.prop], how, d.packet)
	if d.packet == "CONNECT" || d.packet == "will" {
		c := t.fill("bad", connect{props: ps})
		if d.packet == "will" {
			c.props, c.will = nil, &will{topic: t.topic("w"), payload: "x", props: ps}
		}
		t.refuse(why, c.encode(t.version), 0x81, 0x82, 0x8C)
		return
	}
	p := t.connect("bad", connect{props: property(pSessionExpiry, 10)})
	p.send(t.packetWith(p, d.packet, ps))
	p.wantClose("a close: "+why, 0x81, 0x82)
}

// packetWith brings the peer to where the packet is due and encodes it.
func (t *T) packetWith(p *peer, packet string, ps propList) encoder {
	name := t.topic("t")
	deliver := func(qos byte) uint16 {
		p.subscribe(name, qos)
		p.send(publish{topic: name, payload: "x", qos: qos, id: 77})
		return p.pick("the message back", typePUBLISH, qosOf(qos)).id
	}
	switch packet {
	case "PUBLISH":
		return publish{topic: name, payload: "x", props: ps}
	case "SUBSCRIBE":
		return subscribe{id: 1, subs: []sub{{name, 0}}, props: ps}
	case "PUBACK":
		n := deliver(1)
		p.pick("PUBACK", typePUBACK)
		return ack{typ: typePUBACK, id: n, props: ps}
	case "PUBREC":
		p.subscribe(name, 2)
		pub := t.connect("pub", connect{})
		pub.accept(publish{topic: name, payload: "x", qos: 2})
		return ack{typ: typePUBREC, id: p.want("the message", typePUBLISH).id, props: ps}
	case "PUBREL":
		p.send(publish{topic: name, payload: "x", qos: 2, id: 5})
		p.want("PUBREC", typePUBREC, id(5))
		return ack{typ: typePUBREL, id: 5, props: ps}
	case "PUBCOMP":
		p.subscribe(name, 2)
		pub := t.connect("pub", connect{})
		pub.accept(publish{topic: name, payload: "x", qos: 2})
		n := p.want("the message", typePUBLISH).id
		p.send(ack{typ: typePUBREC, id: n})
		p.want("PUBREL", typePUBREL, id(n))
		return ack{typ: typePUBCOMP, id: n, props: ps}
	case "DISCONNECT":
		return disconnect{code: 0x04, props: ps}
	}
	panic("conform: no such packet")
}

func qosOf(n byte) match { return qos(n) }

// connackProperties draws as many different CONNACKs as the broker has to
// offer; the decoder refuses what is twice, out of range or out of place.
func connackProperties(t *T) {
	plain := t.target
	t.connect("plain", connect{}).bye()
	t.connect("asks", connect{props: props(property(pRequestResponse, 1), property(pSessionExpiry, 0x7FFFFFFF))})
	t.emptyID("assigned")
	for _, o := range []Options{
		{MaxQoS: new(mqtt.AtMostOnce), NoRetain: true},
		{NoWildcard: true, NoSubscriptionIDs: true, NoShared: true},
		{MaxPacketSize: 2048, ReceiveMaximum: 3, TopicAliasMaximum: 4},
		{ServerKeepAlive: 30},
		{SessionExpiryMaximum: 60},
		{ResponseInformation: "r"},
	} {
		if t.target = plain; t.tryWith(o) {
			t.connect("asks", connect{keepAlive: 90, props: props(property(pRequestResponse, 1), property(pSessionExpiry, 7200))})
		}
	}
	if t.target = plain; t.tryWith(Options{DenyUser: "conform-denied"}) {
		p := t.dial("denied")
		p.send(t.fill("c", connect{user: "conform-denied", pass: "x"}))
		p.want("CONNACK that refuses", typeCONNACK, failed)
	}
	if t.target = plain; t.tryWith(Options{AuthMethod: EchoMethod}) {
		t.authenticated("auth")
	}
	t.target = plain
}

func ackProperties(t *T) {
	p := t.connect("c", connect{})
	name := t.topic("t")
	p.accept(publish{topic: name, payload: "nobody", qos: 1})
	p.accept(publish{topic: name, payload: "nobody", qos: 2})
	p.subscribe(name, 2)
	p.subscribe(name, 2)
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: name, payload: "x", qos: 2})
	p.take("QoS 2 both ways", name, "x", qos(2))
	p.unsubscribe(name)
	p.send(unsubscribe{id: 900, filters: []string{name}})
	p.want("UNSUBACK for no subscription", typeUNSUBACK, id(900), codes(0x11))
	p.send(ack{typ: typePUBREL, id: 901})
	p.want("PUBCOMP for an unknown identifier", typePUBCOMP, id(901), code(0, 0x92))
}

func strayProperties(t *T) {
	bad := func(packet string, id byte) {
		t.offendProps(twice{packet: packet, prop: id}, sample(t, id), "out of place")
	}
	for _, id := range []byte{pTopicAlias, pAssignedID, pWillDelay, pReasonString, pSubscriptionID, pMaximumQoS} {
		bad("CONNECT", id)
	}
	for _, id := range []byte{pTopicAlias, pSessionExpiry, pReceiveMaximum} {
		bad("will", id)
	}
	for _, id := range []byte{pSubscriptionID, pReasonString, pReceiveMaximum, pSessionExpiry} {
		bad("PUBLISH", id)
	}
	for _, id := range []byte{pReasonString, pTopicAlias, pContentType} {
		bad("SUBSCRIBE", id)
	}
	bad("PUBACK", pTopicAlias)
	bad("PUBREL", pContentType)
	bad("DISCONNECT", pReceiveMaximum)
}

func unknownProperty(t *T) {
	for _, id := range []byte{0x00, 0x04, 0x0A, 0x7F} {
		t.offend("property identifier that does not exist",
			frame(0x30, str(t.topic("t")), one(2, id, 1)), 0x81, 0x82)
	}
}

// reasonStringIgnored: whatever a Reason String says, nobody acts on it.
func reasonStringIgnored(t *T) {
	sub, pub := t.pair(1)
	for _, s := range []string{"", "error", "{\"disconnect\":true}", "quota exceeded"} {
		pub.say(t.topic("t"), s+"!")
		r := sub.wantMessage("as every time", t.topic("t"), s+"!")
		sub.send(ack{typ: typePUBACK, id: r.id, props: props(property(pReasonString, s), user("k", s))})
	}
	sub.ping()
}

func userRepeats(t *T) {
	sub, pub := t.pair(0)
	ps := props(user("a", "1"), user("b", "2"), user("a", "1"), user("", ""), user("a", "0"))
	pub.accept(publish{topic: t.topic("t"), payload: "x", qos: 1, props: ps})
	sub.take("all pairs in order, repeats and empty ones too", t.topic("t"), "x",
		users([2]string{"a", "1"}, [2]string{"b", "2"}, [2]string{"a", "1"}, [2]string{"", ""}, [2]string{"a", "0"}))
}

// clientCodes: reason codes that a packet's table does not have are malformed.
func clientCodes(t *T) {
	for _, packet := range []string{"PUBACK", "PUBREC", "PUBREL", "PUBCOMP"} {
		p := t.connect("bad", connect{})
		a := t.packetWith(p, packet, propList{}).(ack)
		a.code = 0x7F
		p.send(a)
		p.wantClose("a close for a reason code no "+packet+" has", 0x81, 0x82)
	}
	t.offend("DISCONNECT with a reason code of the server's", disconnect{code: 0x8B, props: propList{}}, 0x81, 0x82)
	t.offend("DISCONNECT with a reason code that is not defined", disconnect{code: 0x01, props: propList{}}, 0x81, 0x82)
}

func authDataAlone(t *T) {
	c := t.fill("bad", connect{props: property(pAuthData, "x")})
	t.refuse("Authentication Data without Method", c.encode(t.version), 0x81, 0x82)
	m := property(pAuthData, "x")
	c = t.fill("bad", connect{props: props(method(EchoMethod), m, m)})
	t.refuse("Authentication Data twice", c.encode(t.version), 0x81, 0x82, 0x8C, 0x87)
}
