package conform

import (
	"fmt"
	"slices"
)

var sharedChecks = []Check{
	check("shared/each message to one member", sharedOnce, on5("X5-4.8.2-a 4.8.2-1 4.5.0-1")),
	check("shared/bad filters", sharedBadFilters, on5("4.8.2-1 4.8.2-2")),
	check("shared/no local", sharedNoLocal, on5("3.8.3-4")),
	check("shared/granted QoS of the member", sharedQoS, on5("4.8.2-3")),
	check("shared/no retained messages on subscribe", sharedRetained, on5("X5-4.8.2-a")),
	check("shared/two groups and a plain subscription", sharedApart, on5("X5-4.8.2-a")),
	check("shared/QoS 2 completed to the same member", sharedQoS2Resumed, on5("4.8.2-4")),
	check("shared/half-sent QoS 2 dies with its session", sharedQoS2Ended, on5("4.8.2-5")),
	check("shared/QoS 1 of an ended session goes on", sharedFailover, on5("X5-4.8.2-b")),
	check("shared/refused message is offered to nobody else", sharedRefused, on5("4.8.2-6 4.4.0-2")),
	check("shared/one client in two groups", sharedTwice, on5("X5-4.8.2-a 3.3.4-3")),
}

func (t *T) shared(group, tail string) string { return "$share/" + group + "/" + t.topic(tail) }

// drain takes what has arrived at each peer and counts it by payload.
func (t *T) drain(peers ...*peer) map[string]int {
	got := map[string]int{}
	for _, p := range peers {
		p.ping()
		for {
			r, _ := p.next(t.target.idle(), func(r *reply) bool { return r.typ == typePUBLISH })
			if r == nil {
				break
			}
			got[r.payload]++
			p.acknowledge(r)
		}
	}
	return got
}

func sharedOnce(t *T) {
	a, b := t.connect("a", connect{}), t.connect("b", connect{})
	a.subscribe(t.shared("g", "t"), 1)
	b.subscribe(t.shared("g", "t"), 1)
	pub := t.connect("pub", connect{})
	const n = 10
	for i := range n {
		pub.say(t.topic("t"), fmt.Sprint(i))
	}
	got := t.drain(a, b)
	for i := range n {
		if got[fmt.Sprint(i)] != 1 {
			t.failf("want every message at exactly one member, message %d came %d times", i, got[fmt.Sprint(i)])
		}
	}
}

func sharedBadFilters(t *T) {
	for _, f := range []string{"$share", "$share/", "$share/g", "$share/g/", "$share//t", "$share/g+/t", "$share/#/t", "$share/+/t"} {
		p := t.connect("c", connect{})
		p.send(subscribe{id: 1, subs: []sub{{f, 0}}})
		r, err := p.next(t.target.patience(), anything)
		switch {
		case r == nil && err != nil:
		case r != nil && r.typ == typeDISCONNECT && r.code >= 0x80:
		case r != nil && r.typ == typeSUBACK && len(r.codes) == 1 && r.codes[0] >= 0x80:
		default:
			t.failf("want filter %q refused, got %s", f, p.describe(r, err))
		}
	}
}

func sharedNoLocal(t *T) {
	p := t.connect("c", connect{})
	p.send(subscribe{id: 1, subs: []sub{{t.shared("g", "t"), optNoLocal}}})
	p.wantClose("a close for No Local on a shared subscription", 0x82)
}

func sharedQoS(t *T) {
	low := t.connect("low", connect{})
	low.subscribe(t.shared("g", "t"), 0)
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: t.topic("t"), payload: "x", qos: 2})
	low.take("shared, at the QoS granted", t.topic("t"), "x", qos(0))
}

func sharedRetained(t *T) {
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: t.topic("t"), payload: "kept", qos: 1, retain: true})
	sub := t.connect("sub", connect{})
	sub.subscribe(t.shared("g", "t"), 1)
	sub.wantIdle("no retained message for a shared subscription")
	t.late("t", 1).take("retained for a plain one", t.topic("t"), "kept", retained(true))
}

func sharedApart(t *T) {
	a, b, c := t.connect("a", connect{}), t.connect("b", connect{}), t.connect("c", connect{})
	a.subscribe(t.shared("g", "t"), 1)
	b.subscribe(t.shared("h", "t"), 1)
	c.subscribe(t.topic("t"), 1)
	t.connect("pub", connect{}).say(t.topic("t"), "x")
	for _, p := range []*peer{a, b, c} {
		p.take("one copy for each group and one for the plain subscription", t.topic("t"), "x")
		p.wantIdle("one copy only")
	}
}

// half receives a shared QoS 2 message at p and cuts the connection before PUBREC.
func (t *T) half(p, pub *peer) *reply {
	pub.accept(publish{topic: t.topic("t"), payload: "half", qos: 2})
	r := p.wantMessage("shared, QoS 2", t.topic("t"), "half", qos(2))
	p.drop()
	return r
}

func sharedQoS2Resumed(t *T) {
	a := t.session("a")
	a.subscribe(t.shared("g", "t"), 2)
	pub := t.connect("pub", connect{})
	first := t.half(a, pub)
	b := t.connect("b", connect{})
	b.subscribe(t.shared("g", "t"), 2)
	b.wantIdle("nothing for another member")
	a = t.session("a")
	a.take("again to the same member", t.topic("t"), "half", qos(2), id(first.id), dup(true))
	b.wantIdle("nothing for another member, later either")
}

func sharedQoS2Ended(t *T) {
	a := t.connect("a", connect{}) // its session ends with its connection
	a.subscribe(t.shared("g", "t"), 2)
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: t.topic("t"), payload: "half", qos: 2})
	a.wantMessage("shared, QoS 2", t.topic("t"), "half", qos(2))
	b := t.connect("b", connect{})
	b.subscribe(t.shared("g", "t"), 2)
	a.bye()
	b.wantIdle("a QoS 2 message sent to a session that ended goes to no other member")
}

func sharedFailover(t *T) {
	a := t.connect("a", connect{})
	a.subscribe(t.shared("g", "t"), 1)
	pub := t.connect("pub", connect{})
	pub.say(t.topic("t"), "x")
	a.wantMessage("shared, QoS 1, left unacknowledged", t.topic("t"), "x", qos(1))
	b := t.connect("b", connect{})
	b.subscribe(t.shared("g", "t"), 1)
	a.drop()
	b.take("what the other left unacknowledged", t.topic("t"), "x")
}

func sharedRefused(t *T) {
	a := t.connect("a", connect{})
	a.subscribe(t.shared("g", "t"), 1)
	pub := t.connect("pub", connect{})
	pub.say(t.topic("t"), "x")
	r := a.wantMessage("shared, QoS 1", t.topic("t"), "x", qos(1))
	b := t.connect("b", connect{})
	b.subscribe(t.shared("g", "t"), 1)
	a.send(ack{typ: typePUBACK, id: r.id, code: 0x83})
	a.ping()
	b.wantIdle("a refused message goes to nobody else")
	a.bye()
	b.wantIdle("nor when the session ends")
}

// sharedTwice: groups are apart even when one client is in both.
func sharedTwice(t *T) {
	p := t.connect("c", connect{})
	p.subscribe(t.shared("g", "t"), 1, subscribeID(1))
	p.subscribe(t.shared("h", "t"), 1, subscribeID(2))
	pub := t.connect("pub", connect{})
	pub.say(t.topic("t"), "x")
	var got []uint32
	for _, r := range p.collect() {
		for _, s := range r.all(pSubscriptionID) {
			got = append(got, s.num)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, []uint32{1, 2}) {
		t.failf("want the message once for each group, by subscriptions 1 and 2, got it by %d", got)
	}
}
