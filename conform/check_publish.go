package conform

import "strings"

var publishChecks = []Check{
	check("publish/acknowledged by QoS", publishAcked, on31, on311("3.3.4-1 2.3.1-6 2.3.1-5"), on5("3.3.4-1 2.2.1-5 2.2.1-2")),
	check("publish/delivered unchanged", publishUnchanged, on31, on311("3.3.2-3 3.3.2-1 2.3.1-5 4.3.1-1"), on5("3.3.2-3 3.3.2-1 2.2.1-2 4.3.1-1")),
	check("publish/QoS 0 has DUP 0", qos0NoDup, on31, on311("3.3.1-2 4.3.1-1"), on5("3.3.1-2 4.3.1-1")),
	check("publish/DUP is not passed on", dupNotPassedOn, on31, on311("3.3.1-3"), on5("3.3.1-3")),
	check("publish/only matching subscriptions", onlyMatching, on31, on311("3.3.2-3 4.5.0-1"), on5("3.3.2-3 4.5.0-1")),
	check("publish/overlapping subscriptions", overlapping, on311("3.3.5-1"), on5("3.3.4-2")),
	check("publish/not authorized", publishDenied, on311("3.3.5-2"), on5("3.4.2-1 3.5.2-1")),
	check("publish/identifiers of the server", serverIDs, on31, on311("2.3.1-4 4.3.2-1 4.3.3-1"), on5("2.2.1-4 4.3.2-1 4.3.3-1")),
	check("publish/large payload", largePayload, on31, on311("3.3.2-3"), on5("3.3.2-3")),
	check("publish/properties forwarded", propsForwarded,
		on5("3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20 X5-3.3.2.3.2-a")),
	check("publish/no properties towards older clients", propsStripped, on5("3.3.2-17")),
	check("publish/Response Topic with wildcards", responseWildcards, on5("3.3.2-14")),
	check("publish/Subscription Identifier from a client", publishSubID, on5("3.3.4-6")),
	check("publish/payload that is not what its indicator says", payloadFormat, on5("X5-3.3.2.3.2-a")),
	check("publish/expired before delivery", expired, slow, on5("3.3.2-5")),
	check("publish/expiry counts down", expiryCountsDown, slow, on5("3.3.2-6")),
}

func publishAcked(t *T) {
	p := t.connect("c", connect{})
	p.send(publish{topic: t.topic("t"), payload: "x"})
	p.wantIdle("no answer to QoS 0")
	p.send(publish{topic: t.topic("t"), payload: "x", qos: 1, id: 0xFFFF})
	p.want("PUBACK with the PUBLISH's identifier", typePUBACK, id(0xFFFF), code(0x00, 0x10))
	p.send(publish{topic: t.topic("t"), payload: "x", qos: 2, id: 300})
	p.want("PUBREC with the PUBLISH's identifier", typePUBREC, id(300), code(0x00, 0x10))
	p.send(ack{typ: typePUBREL, id: 300})
	p.want("PUBCOMP with the PUBREL's identifier", typePUBCOMP, id(300), code(0))
}

func publishUnchanged(t *T) {
	sub, pub := t.pair(2)
	for _, body := range []string{"", "text", "\x00\xff\x30\x00binary", strings.Repeat("long ", 2000)} {
		for q := range byte(3) {
			pub.accept(publish{topic: t.topic("t"), payload: body, qos: q})
			sub.take("byte for byte", t.topic("t"), body, qos(q))
		}
	}
}

// qos0NoDup: the decoder refuses QoS 0 with DUP, here we make sure of a message.
func qos0NoDup(t *T) {
	sub, pub := t.pair(0)
	pub.accept(publish{topic: t.topic("t"), payload: "a"})
	sub.take("at QoS 0", t.topic("t"), "a", qos(0), dup(false))
	pub.accept(publish{topic: t.topic("t"), payload: "b", qos: 1, dup: true})
	sub.take("lowered to QoS 0", t.topic("t"), "b", qos(0), dup(false))
}

func dupNotPassedOn(t *T) {
	sub, pub := t.pair(2)
	for q := byte(1); q <= 2; q++ {
		pub.accept(publish{topic: t.topic("t"), payload: "again", qos: q, dup: true})
		sub.take("first delivery of what was a repetition on its way in", t.topic("t"), "again", qos(q), dup(false))
	}
}

func onlyMatching(t *T) {
	a, b := t.connect("a", connect{}), t.connect("b", connect{})
	a.subscribe(t.topic("x/+"), 1)
	b.subscribe(t.topic("y/#"), 1)
	pub := t.connect("pub", connect{})
	for _, tail := range []string{"x", "y", "x/1", "y/1", "x/1/2", "y/1/2", "z"} {
		pub.say(t.topic(tail), tail)
	}
	a.take("its only match", t.topic("x/1"), "x/1")
	for _, tail := range []string{"y", "y/1", "y/1/2"} {
		b.take("a match", t.topic(tail), tail)
	}
	a.wantIdle("nothing that does not match")
	b.wantIdle("nothing that does not match")
}

// overlapping: the copies may be one or several, the highest QoS is among them.
func overlapping(t *T) {
	sub := t.connect("sub", connect{})
	for q, tail := range []string{"a/+", "a/#", "a/b"} {
		sub.subscribe(t.topic(tail), byte(q))
	}
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: t.topic("a/b"), payload: "x", qos: 2})
	best := byte(0)
	for _, r := range sub.collect() {
		best = max(best, r.qos())
	}
	if best != 2 {
		t.failf("want the message at the highest QoS of the matches, 2, got %d", best)
	}
}

// collect takes the messages that arrive until it is quiet for the idle time.
func (p *peer) collect() []*reply {
	var got []*reply
	for {
		r, err := p.next(p.t.target.idle(), func(r *reply) bool { return r.typ == typePUBLISH })
		if r == nil {
			if err != nil {
				p.t.failf("%s: want the connection to stay: %s", p.name, p.describe(nil, err))
			}
			return got
		}
		p.acknowledge(r)
		got = append(got, r)
	}
}

func publishDenied(t *T) {
	t.with(Options{DenyPublish: t.topic("deny")})
	sub := t.connect("sub", connect{})
	sub.subscribe(t.topic("#"), 2)
	for q := range byte(3) {
		p := t.connect("pub", connect{})
		p.send(publish{topic: t.topic("deny"), payload: "x", qos: q, id: 1})
		switch r, err := p.next(t.target.idle(), anything); {
		case err != nil || r == nil && q == 0:
		case r == nil:
			t.failf("want an acknowledgement or a close for a publish that is not authorized")
		case t.v5() && q > 0 && r.code != 0x87:
			t.failf("want reason code 0x87 for a publish that is not authorized, got %s", r)
		}
	}
	sub.wantIdle("nothing of a publish that is not authorized")
	t.connect("pub", connect{}).say(t.topic("may"), "x")
	sub.take("what is authorized", t.topic("may"), "x")
}

func serverIDs(t *T) {
	sub, pub := t.pair(2)
	const n = 10
	seen := map[uint16]bool{}
	for i := range n {
		pub.accept(publish{topic: t.topic("t"), payload: "x", qos: byte(1 + i%2)})
	}
	for range n {
		r := sub.wantMessage("unacknowledged", t.topic("t"), "x", dup(false))
		if seen[r.id] {
			t.failf("want an identifier that is not in use, %d is", r.id)
		}
		seen[r.id] = true
	}
}

func largePayload(t *T) {
	sub, pub := t.pair(1)
	body := strings.Repeat("0123456789abcdef", 1<<12)
	if most := pub.maxPacket(); most < len(body)+200 {
		body = body[:most-200]
	}
	pub.say(t.topic("t"), body)
	sub.take("a payload of many reads", t.topic("t"), body)
}

func propsForwarded(t *T) {
	sub, pub := t.pair(1)
	ps := props(
		property(pPayloadFormat, 1), property(pContentType, "text/plain"), property(pResponseTopic, "reply/to"),
		property(pCorrelation, "\x00\xffid"), user("k", "1"), user("a", "2"), user("k", "3"))
	pub.accept(publish{topic: t.topic("t"), payload: "grün", qos: 1, props: ps})
	sub.take("with its properties", t.topic("t"), "grün",
		number(pPayloadFormat, 1), text(pContentType, "text/plain"), text(pResponseTopic, "reply/to"),
		text(pCorrelation, "\x00\xffid"), users([2]string{"k", "1"}, [2]string{"a", "2"}, [2]string{"k", "3"}),
		without(pTopicAlias, pMessageExpiry, pSubscriptionID))
	pub.accept(publish{topic: t.topic("t"), payload: "bare", qos: 1})
	sub.take("with no property of an earlier message", t.topic("t"), "bare",
		without(pPayloadFormat, pContentType, pResponseTopic, pCorrelation, pUser, pMessageExpiry))
}

func propsStripped(t *T) {
	old := t.older("old")
	old.subscribe(t.topic("t"), 1)
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: t.topic("t"), payload: "x", qos: 1, props: props(user("k", "v"), property(pContentType, "c"))})
	old.take("without what its version does not have", t.topic("t"), "x")
}

func responseWildcards(t *T) {
	for _, s := range []string{"#", "+", "a/+/b", "a/#"} {
		t.offend("wildcard in Response Topic", publish{topic: t.topic("t"), payload: "x", props: property(pResponseTopic, s)}, 0x81, 0x82, 0x90)
	}
}

func publishSubID(t *T) {
	t.offend("Subscription Identifier from a client",
		publish{topic: t.topic("t"), payload: "x", qos: 1, id: 1, props: property(pSubscriptionID, 5)}, 0x81, 0x82)
}

// payloadFormat: whether the payload is checked is the receiver's choice; if it
// is, the answer is 0x99.
func payloadFormat(t *T) {
	p := t.connect("c", connect{})
	p.send(publish{topic: t.topic("t"), payload: "\xff\xfe", qos: 1, id: 1, props: property(pPayloadFormat, 1)})
	r, err := p.next(t.target.patience(), anything)
	switch {
	case r == nil && err != nil:
	case r != nil && r.typ == typePUBACK && (r.code == 0 || r.code == 0x10 || r.code == 0x99):
	case r != nil && r.typ == typeDISCONNECT && r.code == 0x99:
	default:
		t.failf("want success or 0x99 for a payload that is not UTF-8, got %s", p.describe(r, err))
	}
}

func expired(t *T) {
	sub := t.session("sub")
	sub.subscribe(t.topic("t"), 1)
	sub.bye()
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: t.topic("t"), payload: "stale", qos: 1, props: property(pMessageExpiry, 1)})
	pub.accept(publish{topic: t.topic("t"), payload: "fresh", qos: 1, props: property(pMessageExpiry, 60)})
	t.wait(2*waitUnit + waitUnit/2)
	sub = t.session("sub")
	sub.take("the one that has not expired", t.topic("t"), "fresh")
}

func expiryCountsDown(t *T) {
	sub := t.session("sub")
	sub.subscribe(t.topic("t"), 1)
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: t.topic("t"), payload: "now", qos: 1, props: property(pMessageExpiry, 100)})
	sub.take("without waiting", t.topic("t"), "now", number(pMessageExpiry, 100))
	sub.drop()
	pub.ping()
	pub.accept(publish{topic: t.topic("t"), payload: "later", qos: 1, props: property(pMessageExpiry, 100)})
	t.wait(3 * waitUnit)
	sub = t.session("sub")
	r := sub.take("after waiting", t.topic("t"), "later", with(pMessageExpiry))
	if n := r.num(pMessageExpiry, 0); n < 95 || n > 98 {
		t.failf("want Message Expiry Interval 100 less the 3 seconds waited, got %d", n)
	}
}
