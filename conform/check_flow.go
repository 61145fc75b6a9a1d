package conform

import "fmt"

var flowChecks = []Check{
	check("flow/client's Receive Maximum", receiveMaximum, on5("3.3.4-9 4.9.0-1 4.9.0-2 4.9.0-3 3.3.4-10")),
	check("flow/PUBREC with failure frees quota", pubrecFrees, on5("3.3.4-9 4.4.0-2")),
	check("flow/PUBREC without failure does not", pubrecKeeps, on5("3.3.4-9 4.3.3-5")),
	check("flow/quota begins anew with a connection", quotaRenewed, on5("4.9.0-1 4.4.0-1")),
	check("flow/server's Receive Maximum exceeded", receiveExceeded, on5("X5-3.3.4-e 3.3.4-7")),
	check("flow/server's Receive Maximum used to the full", receiveFull, on5("3.3.4-7 4.9.0-3")),
	check("flow/packet larger than the server takes", tooLargeIn, on5("X5-3.2.2.3.6-a 3.2.2-15")),
	check("flow/message larger than the client takes", tooLargeOut, on5("3.1.2-24 3.1.2-25")),
	check("flow/answers within the client's maximum", smallAnswers,
		on5("3.1.2-24 3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.9.2-1 3.9.2-2 3.11.2-1 3.11.2-2 3.14.2-3 3.14.2-4")),
	check("flow/answer that does not fit", answerTooLarge, on5("3.1.2-24")),
	check("flow/no problem information", noProblemInformation, on5("3.1.2-29")),
	check("flow/aliases towards the server", aliasIn, on5("3.3.2-12 X5-3.3.4-d")),
	check("flow/alias of an earlier connection", aliasForgotten, on5("3.3.2-7 X5-3.3.4-c")),
	check("flow/alias 0", aliasZero, on5("3.3.2-8 X5-3.3.4-b X5-2.2.2.2-a")),
	check("flow/alias above the maximum", aliasAbove, on5("3.3.2-9 3.2.2-17 X5-3.3.4-b")),
	check("flow/alias although none is offered", aliasNone, on5("3.2.2-18")),
	check("flow/empty topic without alias", aliasMissing, on5("X5-3.3.2.1-a")),
	check("flow/no alias towards a client that takes none", aliasOutNone, on5("3.1.2-27")),
	check("flow/aliases towards a client", aliasOut, on5("3.1.2-26 3.3.2-11 3.3.2-7")),
	check("flow/alias of a dropped packet", aliasDropped, on5("3.1.2-26")),
}

func receiveMaximum(t *T) {
	const most = 3
	sub := t.connect("sub", connect{props: property(pReceiveMaximum, most)})
	sub.subscribe(t.topic("t"), 2)
	pub := t.connect("pub", connect{})
	for i := range 6 {
		pub.accept(publish{topic: t.topic("t"), payload: fmt.Sprint(i), qos: byte(1 + i%2)})
	}
	var open []*reply
	for i := range most {
		open = append(open, sub.wantMessage("within the quota", t.topic("t"), fmt.Sprint(i)))
	}
	sub.wantIdle("no message above the Receive Maximum")
	sub.ping() // other packets are answered all the same
	sub.subscribe(t.topic("other"), 0)
	pub.accept(publish{topic: t.topic("other"), payload: "q0"})
	sub.take("QoS 0, which needs no quota", t.topic("other"), "q0")
	for i, r := range open {
		sub.acknowledge(r)
		open = append(open, sub.wantMessage("once an acknowledgement made room", t.topic("t"), fmt.Sprint(most+i)))
	}
}

// quotaOfOne subscribes at QoS 2 with room for one message, and sends two.
func quotaOfOne(t *T) (*peer, *reply) {
	sub := t.connect("sub", connect{props: property(pReceiveMaximum, 1)})
	sub.subscribe(t.topic("t"), 2)
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: t.topic("t"), payload: "first", qos: 2})
	pub.accept(publish{topic: t.topic("t"), payload: "second", qos: 2})
	return sub, sub.wantMessage("within the quota", t.topic("t"), "first")
}

func pubrecFrees(t *T) {
	sub, r := quotaOfOne(t)
	sub.send(ack{typ: typePUBREC, id: r.id, code: 0x97})
	sub.take("after a PUBREC that refuses the first", t.topic("t"), "second", dup(false))
}

func pubrecKeeps(t *T) {
	sub, r := quotaOfOne(t)
	sub.send(ack{typ: typePUBREC, id: r.id})
	sub.want("PUBREL", typePUBREL, id(r.id), code(0))
	sub.wantIdle("nothing new before PUBCOMP")
	sub.send(ack{typ: typePUBCOMP, id: r.id})
	sub.take("after PUBCOMP", t.topic("t"), "second")
}

func quotaRenewed(t *T) {
	c := t.lasting(connect{keep: true})
	c.props = props(c.props, property(pReceiveMaximum, 2))
	sub := t.connect("sub", c)
	sub.subscribe(t.topic("t"), 1)
	pub := t.connect("pub", connect{})
	for i := range 4 {
		pub.say(t.topic("t"), fmt.Sprint(i))
	}
	sub.wantMessage("first", t.topic("t"), "0")
	sub.wantMessage("second", t.topic("t"), "1")
	sub.drop()
	sub = t.connect("sub", c)
	a := sub.wantMessage("first again", t.topic("t"), "0", dup(true))
	b := sub.wantMessage("second again", t.topic("t"), "1", dup(true))
	sub.wantIdle("the quota counts what is sent again")
	sub.acknowledge(a)
	sub.acknowledge(b)
	sub.take("third", t.topic("t"), "2", dup(false))
	sub.take("fourth", t.topic("t"), "3", dup(false))
}

// announced is what the broker takes of QoS 1 and 2 messages at once.
func announced(p *peer) int { return int(p.connack.num(pReceiveMaximum, 65535)) }

func receiveExceeded(t *T) {
	t.tryWith(Options{ReceiveMaximum: 5})
	p := t.connect("c", connect{})
	most := announced(p)
	if most > 2000 {
		t.skipf("broker's Receive Maximum is %d, too many to run over", most)
	}
	for i := range most + 1 {
		p.send(publish{topic: t.topic("t"), payload: "x", qos: 2, id: uint16(i + 1)})
	}
	for range most {
		p.pick("PUBREC within the Receive Maximum", typePUBREC)
	}
	p.wantClose("a close for one message too many without PUBREL", 0x93)
}

func receiveFull(t *T) {
	t.tryWith(Options{ReceiveMaximum: 5})
	p := t.connect("c", connect{})
	most := min(announced(p), 100)
	for round := range 2 {
		for i := range most {
			p.send(publish{topic: t.topic("t"), payload: "x", qos: 2, id: uint16(i + 1)})
		}
		for i := range most {
			p.want("PUBREC in order", typePUBREC, id(uint16(i+1)))
		}
		p.ping() // a full window delays nothing else
		for i := range most {
			p.send(ack{typ: typePUBREL, id: uint16(i + 1)})
			p.want(fmt.Sprintf("PUBCOMP, round %d", round), typePUBCOMP, id(uint16(i+1)), code(0))
		}
	}
}

func tooLargeIn(t *T) {
	t.with(Options{MaxPacketSize: 512})
	p := t.connect("c", connect{})
	p.send(publish{topic: t.topic("t"), payload: string(make([]byte, 600)), qos: 1, id: 1})
	p.wantClose("a close for a packet above Maximum Packet Size", 0x95)
}

func tooLargeOut(t *T) {
	for q := range byte(3) {
		sub := t.connect("sub", connect{props: property(pMaxPacketSize, 100)})
		sub.subscribe(t.topic("t"), q)
		pub := t.connect("pub", connect{})
		pub.accept(publish{topic: t.topic("t"), payload: string(make([]byte, 200)), qos: q})
		pub.accept(publish{topic: t.topic("t"), payload: "small", qos: q})
		sub.take("small enough, after one too large that counts as sent", t.topic("t"), "small", atMost(100))
		sub.wantIdle("nothing of the large one")
	}
}

// smallAnswers makes the broker say no, in every packet that can carry
// problem information, to a client that takes only the barest packets.
func smallAnswers(t *T) {
	t.with(Options{DenyPublish: t.topic("deny"), DenySubscribe: t.topic("deny")})
	const most = 24
	p := t.connect("c", connect{props: property(pMaxPacketSize, most)})
	for q := byte(1); q <= 2; q++ {
		p.send(publish{topic: t.topic("deny"), payload: "x", qos: q, id: uint16(q)})
		p.want("a refusal no longer than allowed", typePUBACK+(q-1), failed, atMost(most))
	}
	p.send(ack{typ: typePUBREL, id: 77})
	p.want("PUBCOMP for an unknown identifier", typePUBCOMP, code(0, 0x92), atMost(most))
	p.send(ack{typ: typePUBREC, id: 78})
	p.want("PUBREL for an unknown identifier", typePUBREL, code(0, 0x92), atMost(most))
	p.send(subscribe{id: 9, subs: []sub{{t.topic("deny"), 0}}})
	p.want("SUBACK", typeSUBACK, codes(0x87), atMost(most))
	p.send(unsubscribe{id: 10, filters: []string{t.topic("deny")}})
	p.want("UNSUBACK", typeUNSUBACK, codes(0x11), atMost(most))
	p.send(frame(0xC1))
	r, _ := p.next(t.target.patience(), anything)
	if r != nil && (r.typ != typeDISCONNECT || r.size > most) {
		t.failf("want a DISCONNECT of at most %d bytes or none, got %s", most, r)
	}
}

func noProblemInformation(t *T) {
	t.tryWith(Options{DenyPublish: t.topic("deny"), DenySubscribe: t.topic("deny")})
	p := t.connect("c", connect{props: property(pRequestProblem, 0)})
	quiet := without(pReasonString, pUser)
	for q := byte(1); q <= 2; q++ {
		p.send(publish{topic: t.topic("deny"), payload: "x", qos: q, id: uint16(q)})
		p.want("no Reason String and no User Property", typePUBACK+(q-1), quiet)
	}
	p.send(subscribe{id: 9, subs: []sub{{t.topic("deny"), 0}}})
	p.want("no Reason String and no User Property", typeSUBACK, quiet)
	p.send(unsubscribe{id: 10, filters: []string{t.topic("none")}})
	p.want("no Reason String and no User Property", typeUNSUBACK, quiet)
}

// aliasedTarget is a broker that takes aliases, and how many.
func aliasedTarget(t *T) (*peer, int) {
	t.tryWith(Options{TopicAliasMaximum: 5})
	p := t.connect("pub", connect{})
	most := int(p.connack.num(pAliasMaximum, 0))
	if most == 0 {
		t.skipf("broker takes no topic aliases")
	}
	return p, most
}

func alias(n int) propList { return property(pTopicAlias, n) }

func aliasIn(t *T) {
	pub, most := aliasedTarget(t)
	sub := t.connect("sub", connect{})
	sub.subscribe(t.topic("#"), 1)
	for _, a := range []int{1, most} {
		name := t.topic(fmt.Sprint("a", a))
		pub.accept(publish{topic: name, payload: "define", qos: 1, props: alias(a)})
		sub.take("with the alias's definition", name, "define", without(pTopicAlias))
		pub.accept(publish{payload: "use", qos: 1, props: alias(a)})
		sub.take("by alias alone", name, "use")
	}
	pub.accept(publish{topic: t.topic("new"), payload: "redefine", qos: 1, props: alias(1)})
	sub.take("with a new meaning of the alias", t.topic("new"), "redefine")
	pub.accept(publish{payload: "use", qos: 1, props: alias(1)})
	sub.take("by the alias's new meaning", t.topic("new"), "use")
}

func aliasForgotten(t *T) {
	aliasedTarget(t)
	pub := t.session("again")
	pub.accept(publish{topic: t.topic("t"), payload: "x", qos: 1, props: alias(1)})
	pub.drop()
	pub = t.session("again")
	pub.send(publish{payload: "x", qos: 1, id: 9, props: alias(1)})
	pub.wantClose("a close for an alias of an earlier connection", 0x82)
}

func aliasZero(t *T) {
	p := t.connect("c", connect{})
	p.send(publish{topic: t.topic("t"), payload: "x", props: alias(0)})
	p.wantClose("a close for Topic Alias 0", 0x94)
}

func aliasAbove(t *T) {
	p, most := aliasedTarget(t)
	if most == 65535 {
		t.skipf("broker takes every alias there is")
	}
	p.send(publish{topic: t.topic("t"), payload: "x", props: alias(most + 1)})
	p.wantClose("a close for an alias above the maximum", 0x94)
}

func aliasNone(t *T) {
	p := t.connect("c", connect{})
	if p.connack.num(pAliasMaximum, 0) != 0 {
		p.send(publish{topic: t.topic("t"), payload: "x", props: alias(int(p.connack.num(pAliasMaximum, 0)) + 1)})
	} else {
		p.send(publish{topic: t.topic("t"), payload: "x", props: alias(1)})
	}
	p.wantClose("a close for an alias the server does not offer", 0x94)
}

func aliasMissing(t *T) {
	p := t.connect("c", connect{})
	p.send(publish{payload: "x"})
	p.wantClose("a close for an empty topic without alias", 0x82, 0x81, 0x90)
}

func aliasOutNone(t *T) {
	for _, ps := range []propList{nil, property(pAliasMaximum, 0)} {
		sub := t.connect("sub", connect{props: ps})
		sub.subscribe(t.topic("t"), 1)
		pub := t.connect("pub", connect{})
		for range 3 {
			pub.say(t.topic("t"), "x")
			sub.take("without an alias", t.topic("t"), "x", without(pTopicAlias))
		}
	}
}

// aliasOut leaves the arithmetic to the peer, which resolves what the broker
// defines and fails on an alias above the maximum or never defined.
func aliasOut(t *T) {
	const most = 2
	sub := t.connect("sub", connect{props: property(pAliasMaximum, most)})
	sub.subscribe(t.topic("#"), 1)
	pub := t.connect("pub", connect{})
	for range 3 {
		for i := range 4 {
			name := t.topic(fmt.Sprint("t", i))
			pub.say(name, "x")
			r := sub.take("under whatever alias", name, "x")
			if a := r.num(pTopicAlias, 0); a > most {
				t.failf("want aliases up to %d, got %d", most, a)
			}
		}
	}
}

// aliasDropped: a message that is not sent, being too large, defines no alias.
func aliasDropped(t *T) {
	sub := t.connect("sub", connect{props: props(property(pAliasMaximum, 5), property(pMaxPacketSize, 100))})
	sub.subscribe(t.topic("t"), 1)
	pub := t.connect("pub", connect{})
	pub.say(t.topic("t"), string(make([]byte, 300)))
	pub.say(t.topic("t"), "small")
	sub.take("with its topic, for no packet before could define an alias", t.topic("t"), "small")
}

// answerTooLarge: a client that has no room for its SUBACK is not left waiting
// for it.
func answerTooLarge(t *T) {
	p := t.connect("small", connect{props: property(pMaxPacketSize, 40)})
	s := subscribe{id: 1}
	for i := range 60 {
		s.subs = append(s.subs, sub{t.topic(fmt.Sprint(i)), 0})
	}
	if r := len(s.encode(t.version)); r > p.maxPacket() {
		t.skipf("the broker takes %d bytes, a SUBSCRIBE of 60 filters has %d", p.maxPacket(), r)
	}
	p.send(s)
	p.wantClose("the end of a connection on which the SUBACK cannot be sent")
}
