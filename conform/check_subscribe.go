package conform

import (
	"fmt"
	"slices"
)

var subscribeChecks = []Check{
	check("subscribe/SUBACK", subscribeAcked, on31, on311("3.8.4-1 3.8.4-2 2.3.1-7"), on5("3.8.4-1 3.8.4-2 2.2.1-6")),
	check("subscribe/several filters", severalFilters, on31,
		on311("3.8.4-4 3.8.4-5 3.9.3-1 3.9.3-2"), on5("3.8.4-5 3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2")),
	check("subscribe/no filter", noFilter, on311("3.8.3-3"), on5("3.8.3-2 X5-3.8.3-a")),
	check("subscribe/reserved option bits", optionBits, on311("3.8.3-4"), on5("3.8.3-5")),
	check("subscribe/QoS 3", requestQoS3, on311("3.8.3-4"), on5("X5-3.8.3.1-a")),
	check("subscribe/Retain Handling 3", retainHandling3, on5("X5-3.8.3.1-b")),
	check("subscribe/delivery at the lower QoS", lowerQoS, on31, on311("3.8.4-6"), on5("3.8.4-8")),
	check("subscribe/same filter replaces", replaced, on31, on311("3.8.4-3"), on5("3.8.4-3")),
	check("subscribe/replacement loses nothing", replacedLossless, on31, on311("3.8.4-3"), on5("3.8.4-4")),
	check("subscribe/UNSUBSCRIBE under an identifier in use", unsubscribeHeldID, on31, on311("3.10.4-2 3.10.4-4"), on5("3.10.4-2 3.10.4-4 3.10.4-5")),
	check("subscribe/not authorized", subscribeDenied, on311("3.8.4-5 3.9.3-2"), on5("3.8.4-7 3.9.3-2")),
	check("subscribe/limited Maximum QoS", limitedQoS, on311("3.8.4-5 3.8.4-6"), on5("3.2.2-9 3.2.2-10 3.2.2-11 X5-3.2.2.3.4-a 3.8.4-8")),
	check("subscribe/No Local", noLocal, on5("3.8.3-3")),
	check("subscribe/No Local over a reconnect", noLocalResumed, on5("3.8.3-3")),
	check("subscribe/Subscription Identifier", subscriptionID, on5("3.3.4-3 3.3.4-4 3.3.4-5 X5-3.3.4-a X5-3.3.2.3.8-a")),
	check("subscribe/Subscription Identifier changed", subscriptionIDChanged, on5("X5-3.8.4-a 3.8.4-3")),
	check("subscribe/Subscription Identifier of stored messages", subscriptionIDStored, on5("3.3.4-3 X5-3.3.4-a")),
	check("subscribe/largest Subscription Identifier", subscriptionIDLargest, on5("3.3.4-3 1.5.5-1")),
	check("subscribe/Subscription Identifiers not offered", subscriptionIDsOff, on5("X5-3.2.2.3.12-a")),
	check("unsubscribe/UNSUBACK", unsubscribeAcked, on31,
		on311("3.10.4-4 3.10.4-5 3.10.4-1 2.3.1-7"), on5("3.10.4-4 3.10.4-5 3.10.4-1 2.2.1-6 3.11.3-2")),
	check("unsubscribe/several filters", unsubscribeSeveral, on31, on311("3.10.4-6"), on5("3.10.4-6 3.11.3-1 3.11.3-2")),
	check("unsubscribe/compared literally", unsubscribeLiteral, on31, on311("3.10.4-1"), on5("3.10.4-1")),
	check("unsubscribe/stops delivery", unsubscribeStops, on31, on311("3.10.4-2"), on5("3.10.4-2")),
	check("unsubscribe/begun deliveries are finished", unsubscribeFinishes, on31, on311("3.10.4-3"), on5("3.10.4-3")),
	check("unsubscribe/no filter", unsubscribeNone, on311("3.10.3-2"), on5("3.10.3-2 X5-3.10.3-a")),
}

func subscribeAcked(t *T) {
	p := t.connect("c", connect{})
	for _, n := range []uint16{1, 0x1234, 0xFFFF} {
		p.send(subscribe{id: n, subs: []sub{{t.topic("t"), 1}}})
		p.want("SUBACK with the SUBSCRIBE's identifier", typeSUBACK, id(n), codes(1))
	}
}

func severalFilters(t *T) {
	p := t.connect("c", connect{})
	p.subscribeAll(nil, sub{t.topic("a"), 2}, sub{t.topic("b"), 0}, sub{t.topic("c/#"), 1}, sub{t.topic("a"), 1})
	pub := t.connect("pub", connect{})
	for _, tail := range []string{"a", "b", "c/d"} {
		pub.accept(publish{topic: t.topic(tail), payload: tail, qos: 2})
	}
	p.take("by its filter, the second of two equal ones", t.topic("a"), "a", qos(1))
	p.take("by its filter", t.topic("b"), "b", qos(0))
	p.take("by its filter", t.topic("c/d"), "c/d", qos(1))
	p.wantIdle("each once")
}

func noFilter(t *T) {
	t.offend("SUBSCRIBE without a filter", subscribe{id: 1}, 0x81, 0x82)
}

func optionBits(t *T) {
	bits := []byte{0x40, 0x80, 0xC0}
	if !t.v5() {
		bits = append(bits, 0x04, 0x08, 0x10, 0x20)
	}
	for _, b := range bits {
		t.offend("reserved bits beside the QoS", subscribe{id: 1, subs: []sub{{t.topic("t"), b}}}, 0x81, 0x82)
	}
}

func requestQoS3(t *T) {
	t.offend("subscription at QoS 3", subscribe{id: 1, subs: []sub{{t.topic("t"), 3}}}, 0x81, 0x82)
}

func retainHandling3(t *T) {
	t.offend("Retain Handling 3", subscribe{id: 1, subs: []sub{{t.topic("t"), 0x30}}}, 0x81, 0x82)
}

func lowerQoS(t *T) {
	for granted := range byte(3) {
		sub := t.connect("sub", connect{})
		sub.subscribe(t.topic("t"), granted)
		pub := t.connect("pub", connect{})
		for published := range byte(3) {
			pub.accept(publish{topic: t.topic("t"), payload: "x", qos: published})
			sub.take("at the lower of the two QoS", t.topic("t"), "x", qos(min(granted, published)))
		}
	}
}

func replaced(t *T) {
	p := t.connect("c", connect{})
	p.subscribe(t.topic("t"), 2)
	p.subscribe(t.topic("t"), 0)
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: t.topic("t"), payload: "x", qos: 2})
	p.take("by the new subscription", t.topic("t"), "x", qos(0))
	p.wantIdle("not by the old one too")
	p.unsubscribe(t.topic("t"))
	pub.say(t.topic("t"), "y")
	p.wantIdle("nothing: one UNSUBSCRIBE ends the only subscription")
}

// replacedLossless re-subscribes in the middle of a stream.
func replacedLossless(t *T) {
	sub, pub := t.pair(1)
	const n = 60
	for i := range n {
		pub.say(t.topic("t"), fmt.Sprint(i))
		if i%20 == 10 {
			sub.subscribe(t.topic("t"), 1)
		}
	}
	for i := range n {
		sub.take("none lost by the replacement", t.topic("t"), fmt.Sprint(i))
	}
}

func subscribeDenied(t *T) {
	t.with(Options{DenySubscribe: t.topic("deny")})
	p := t.connect("c", connect{})
	p.send(subscribe{id: 1, subs: []sub{{t.topic("a"), 1}, {t.topic("deny"), 1}, {t.topic("b"), 2}}})
	p.want("a failure for the one filter only", typeSUBACK, codes(1, orV5[byte](t, 0x80, 0x87), 2))
	pub := t.connect("pub", connect{})
	pub.say(t.topic("deny"), "x")
	p.wantIdle("nothing by a subscription that was refused")
	pub.say(t.topic("b"), "x")
	p.take("by one that was granted", t.topic("b"), "x")
}

func limitedQoS(t *T) {
	t.with(Options{MaxQoS: new(maxQoS1)})
	p := t.connect("c", connect{})
	p.send(subscribe{id: 1, subs: []sub{{t.topic("a"), 0}, {t.topic("b"), 1}, {t.topic("c"), 2}}})
	p.want("grants up to the maximum", typeSUBACK, codes(0, 1, 1))
	p.publish(publish{topic: t.topic("c"), payload: "x", qos: 1})
	p.take("at the QoS granted", t.topic("c"), "x", qos(1))
	if !t.v5() {
		return
	}
	if why := number(pMaximumQoS, 1)(p.connack); why != "" {
		t.failf("want Maximum QoS in CONNACK: %s", why)
	}
	p.send(publish{topic: t.topic("c"), payload: "x", qos: 2, id: 9})
	p.wantClose("a close for a PUBLISH above Maximum QoS", 0x9B)
}

func noLocal(t *T) {
	p := t.connect("c", connect{})
	p.subscribe(t.topic("own"), 1|optNoLocal)
	p.subscribe(t.topic("all"), 1)
	p.say(t.topic("own"), "mine")
	p.say(t.topic("all"), "mine")
	p.take("one's own, without No Local", t.topic("all"), "mine")
	p.wantIdle("nothing of one's own with No Local")
	t.connect("pub", connect{}).say(t.topic("own"), "theirs")
	p.take("another's, with No Local", t.topic("own"), "theirs")
}

// noLocalResumed: it is the client identifier that counts, not the connection.
func noLocalResumed(t *T) {
	p := t.session("c")
	p.subscribe(t.topic("t"), 1|optNoLocal)
	p.say(t.topic("t"), "mine")
	p.bye()
	p = t.session("c")
	p.say(t.topic("t"), "mine")
	p.wantIdle("nothing of one's own, nor stored")
	t.connect("pub", connect{}).say(t.topic("t"), "theirs")
	p.take("another's", t.topic("t"), "theirs")
}

// withIDs skips where the broker has no subscription identifiers.
func (t *T) withIDs(name string) *peer {
	p := t.connect(name, connect{})
	if p.connack.num(pSubIDs, 1) == 0 {
		t.skipf("broker offers no Subscription Identifiers")
	}
	return p
}

func subscribeID(n int) propList { return property(pSubscriptionID, n) }

// subscriptionID: several matches come as one copy with all the identifiers or
// as copies with one each.
func subscriptionID(t *T) {
	p := t.withIDs("c")
	p.subscribe(t.topic("a/b"), 1, subscribeID(1))
	p.subscribe(t.topic("a/+"), 1, subscribeID(300))
	p.subscribe(t.topic("a/#"), 1)
	p.subscribe(t.topic("x"), 1, subscribeID(9))
	pub := t.connect("pub", connect{})
	pub.say(t.topic("a/b"), "x")
	var got []uint32
	for _, r := range p.collect() {
		for _, s := range r.all(pSubscriptionID) {
			got = append(got, s.num)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, []uint32{1, 300}) {
		t.failf("want the identifiers 1 and 300 of the matching subscriptions, got %d", got)
	}
	pub.say(t.topic("x"), "x")
	p.take("with the identifier of its subscription", t.topic("x"), "x", subIDs(9))
	pub.say(t.topic("a"), "x")
	p.take("by a subscription without identifier", t.topic("a"), "x", subIDs())
}

func subscriptionIDChanged(t *T) {
	p := t.withIDs("c")
	pub := t.connect("pub", connect{})
	for _, n := range []int{1, 2} {
		p.subscribe(t.topic("t"), 1, subscribeID(n))
		pub.say(t.topic("t"), "x")
		p.take("with the identifier it now has", t.topic("t"), "x", subIDs(uint32(n)))
	}
	p.subscribe(t.topic("t"), 1)
	pub.say(t.topic("t"), "x")
	p.take("with no identifier any more", t.topic("t"), "x", subIDs())
}

func subscriptionIDStored(t *T) {
	t.withIDs("probe")
	p := t.session("c")
	p.subscribe(t.topic("t"), 1, subscribeID(7))
	p.bye()
	t.connect("pub", connect{}).say(t.topic("t"), "x")
	p = t.session("c")
	p.take("stored with its identifier", t.topic("t"), "x", subIDs(7))
	t.keep("kept", "kept", 1)
	p.subscribe(t.topic("kept"), 1, subscribeID(8))
	p.take("retained, with the identifier of the subscription", t.topic("kept"), "kept", subIDs(8))
}

func subscriptionIDLargest(t *T) {
	p := t.withIDs("c")
	for _, n := range []int{127, 128, 16383, 16384, 2097152, 268435455} {
		p.subscribe(t.topic("t"), 0, subscribeID(n))
		p.send(publish{topic: t.topic("t"), payload: "x"})
		p.take("with its identifier", t.topic("t"), "x", subIDs(uint32(n)))
	}
}

func subscriptionIDsOff(t *T) {
	t.with(Options{NoSubscriptionIDs: true})
	p := t.connect("c", connect{})
	if why := number(pSubIDs, 0)(p.connack); why != "" {
		t.failf("want it announced in CONNACK: %s", why)
	}
	p.send(subscribe{id: 1, subs: []sub{{t.topic("t"), 0}}, props: subscribeID(1)})
	p.wantRefusal("a Subscription Identifier although none is offered", 0xA1)
}

// wantRefusal wants a SUBSCRIBE refused, by DISCONNECT and close or in SUBACK.
func (p *peer) wantRefusal(sentence string, want byte) {
	r, err := p.next(p.t.target.patience(), anything)
	switch {
	case r == nil && err != nil:
	case r != nil && r.typ == typeDISCONNECT && r.code == want:
		p.wantClose(sentence)
	case r != nil && r.typ == typeSUBACK && len(r.codes) == 1 && r.codes[0] == want:
	default:
		p.t.failf("%s: want a refusal with 0x%02X: %s: got %s", p.name, want, sentence, p.describe(r, err))
	}
}

func unsubscribeAcked(t *T) {
	p := t.connect("c", connect{})
	p.subscribe(t.topic("t"), 1)
	for i, want := range []byte{0x00, 0x11} {
		n := uint16(500 + i)
		p.send(unsubscribe{id: n, filters: []string{t.topic("t")}})
		ack := p.want("UNSUBACK with the UNSUBSCRIBE's identifier", typeUNSUBACK, id(n))
		if t.v5() && !slices.Equal(ack.codes, []byte{want}) {
			t.failf("want reason code 0x%02X, got %s", want, ack)
		}
	}
}

func unsubscribeSeveral(t *T) {
	p := t.connect("c", connect{})
	p.subscribeAll(nil, sub{t.topic("a"), 1}, sub{t.topic("b"), 1}, sub{t.topic("c"), 1})
	p.send(unsubscribe{id: 40, filters: []string{t.topic("a"), t.topic("none"), t.topic("c"), t.topic("a")}})
	ack := p.want("one UNSUBACK", typeUNSUBACK, id(40))
	if t.v5() && !slices.Equal(ack.codes, []byte{0, 0x11, 0, 0x11}) {
		t.failf("want a code for each filter in order, 00 11 00 11, got %s", ack)
	}
	pub := t.connect("pub", connect{})
	for _, tail := range []string{"a", "b", "c"} {
		pub.say(t.topic(tail), tail)
	}
	p.take("by the subscription that is left", t.topic("b"), "b")
	p.wantIdle("nothing by the others")
}

func unsubscribeLiteral(t *T) {
	p := t.connect("c", connect{})
	p.subscribe(t.topic("a/+"), 1)
	for _, f := range []string{"a/#", "a/b", "+/+", "a/+/", "A/+", "#"} {
		p.unsubscribe(t.topic(f))
	}
	t.connect("pub", connect{}).say(t.topic("a/b"), "x")
	p.take("by a subscription that no other filter deletes", t.topic("a/b"), "x")
}

func unsubscribeStops(t *T) {
	sub, pub := t.pair(1)
	sub.subscribe(t.topic("other"), 1)
	sub.unsubscribe(t.topic("t"))
	pub.say(t.topic("t"), "x")
	pub.say(t.topic("other"), "y")
	sub.take("by the subscription that is left", t.topic("other"), "y")
	sub.wantIdle("nothing by the one that is gone")
}

func unsubscribeFinishes(t *T) {
	sub, pub := t.persistent(2)
	pub.accept(publish{topic: t.topic("t"), payload: "half", qos: 2})
	r := sub.wantMessage("begun before UNSUBSCRIBE", t.topic("t"), "half", qos(2))
	sub.unsubscribe(t.topic("t"))
	sub.send(ack{typ: typePUBREC, id: r.id})
	sub.want("PUBREL for a delivery that had begun", typePUBREL, id(r.id), code(0))
	sub.drop()
	sub = t.session("sub")
	sub.want("PUBREL again after a reconnect", typePUBREL, id(r.id), code(0))
	sub.send(ack{typ: typePUBCOMP, id: r.id})
	sub.wantIdle("the end of it")
}

func unsubscribeNone(t *T) {
	t.offend("UNSUBSCRIBE without a filter", unsubscribe{id: 1}, 0x81, 0x82)
}

// unsubscribeHeldID: refused or not, an UNSUBSCRIBE under the identifier of an
// open QoS 2 exchange does what its UNSUBACK says.
func unsubscribeHeldID(t *T) {
	p, pub := t.connect("c", connect{}), t.connect("pub", connect{})
	filter := t.topic("t")
	p.subscribe(filter, 0)
	p.send(publish{topic: t.topic("x"), payload: "x", qos: 2, id: 77})
	p.pick("PUBREC", typePUBREC, id(77))
	p.send(unsubscribe{id: 77, filters: []string{filter}})
	r := p.pick("UNSUBACK", typeUNSUBACK, id(77))
	refused := t.v5() && r.codes[0] >= 0x80
	pub.say(filter, "one")
	if refused {
		p.take("by a subscription that stands, since UNSUBSCRIBE was refused", filter, "one")
	}
	p.send(ack{typ: typePUBREL, id: 77})
	p.pick("PUBCOMP", typePUBCOMP, id(77))
	if refused {
		n := p.newID()
		p.send(unsubscribe{id: n, filters: []string{filter}})
		p.pick("UNSUBACK with success under another identifier", typeUNSUBACK, id(n), codes(0))
		pub.say(filter, "two")
	}
	p.wantIdle("nothing for a subscription that is gone")
}
