package conform

import "github.com/midgemq/midge/mqtt"

const maxQoS1 = mqtt.AtLeastOnce

var retainChecks = []Check{
	check("retain/stored for later subscribers", retainStored, on31, on311("3.3.1-5 3.3.1-6 3.3.1-8"), on5("3.3.1-5 3.3.1-9 X5-3.3.1.3-b")),
	check("retain/last one wins", retainReplaced, on31, on311("3.3.1-5 3.3.1-6"), on5("3.3.1-5")),
	check("retain/QoS 0", retainQoS0, on31, on311("3.3.1-7"), on5("3.3.1-5 X5-3.3.1.3-a")),
	check("retain/flag towards established subscriptions", retainLive, on31, on311("3.3.1-9"), on5("3.3.1-12")),
	check("retain/empty payload deletes", retainDeleted, on31, on311("3.3.1-10 3.3.1-11"), on5("3.3.1-6 3.3.1-7")),
	check("retain/empty payload is never stored", retainEmptyNever, on31, on311("3.3.1-11"), on5("3.3.1-7")),
	check("retain/RETAIN 0 leaves it alone", retainUntouched, on31, on311("3.3.1-12"), on5("3.3.1-8")),
	check("retain/wildcard subscription gets each match", retainWildcard, on31, on311("3.3.1-6 4.7.2-1"), on5("3.3.1-9 4.7.2-1")),
	check("retain/delivered at the lower QoS", retainQoS, on31, on311("3.3.1-5 3.8.4-6"), on5("3.8.4-8 3.3.1-5")),
	check("retain/sent again on re-subscribe", retainAgain, on31, on311("3.8.4-3"), on5("3.8.4-4 3.3.1-9")),
	check("retain/Retain Handling 1", retainIfNew, on5("3.3.1-10")),
	check("retain/Retain Handling 2", retainNever, on5("3.3.1-11")),
	check("retain/Retain As Published", retainAsPublished, on5("3.3.1-13 3.3.1-12")),
	check("retain/properties are kept", retainProperties, on5("3.3.1-5 3.3.2-17 3.3.2-20")),
	check("retain/expires", retainExpires, slow, on5("3.3.2-5 3.3.2-6 X5-3.3.1.3-b")),
	check("retain/not offered", retainUnavailable, on5("X5-3.2.2.3.5-a 3.2.2-14")),
}

// keep publishes a retained message and returns its publisher.
func (t *T) keep(tail, body string, qos byte) *peer {
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: t.topic(tail), payload: body, qos: qos, retain: true})
	pub.ping()
	return pub
}

// late opens a subscriber that comes after the message.
func (t *T) late(tail string, opts byte) *peer {
	p := t.connect("late", connect{})
	p.subscribe(t.topic(tail), opts)
	return p
}

func retainStored(t *T) {
	t.keep("t", "kept", 1).bye()
	for range 2 {
		late := t.late("t", 1)
		late.take("retained, each time", t.topic("t"), "kept", retained(true), qos(1), dup(false))
		late.wantIdle("one retained message")
		late.bye()
	}
}

func retainReplaced(t *T) {
	pub := t.keep("t", "old", 1)
	pub.accept(publish{topic: t.topic("t"), payload: "new", qos: 2, retain: true})
	late := t.late("t", 2)
	late.take("the last one", t.topic("t"), "new", retained(true), qos(2))
	late.wantIdle("the last one only")
}

// retainQoS0: it replaces the old one; whether it is itself kept is the server's choice.
func retainQoS0(t *T) {
	pub := t.keep("t", "old", 1)
	t.late("t", 1).take("the old one", t.topic("t"), "old", retained(true))
	pub.accept(publish{topic: t.topic("t"), payload: "new", retain: true})
	pub.ping()
	late := t.late("t", 1)
	for _, r := range late.collect() {
		if r.payload != "new" || !r.retain() || r.qos() != 0 {
			t.failf("want the QoS 0 message or none, got %s", r)
		}
	}
}

func retainLive(t *T) {
	sub, pub := t.pair(1)
	for q := range byte(2) {
		pub.accept(publish{topic: t.topic("t"), payload: "x", qos: q, retain: true})
		sub.take("as it comes", t.topic("t"), "x", retained(false), qos(q))
	}
	t.retained = append(t.retained, t.topic("t"))
}

func retainDeleted(t *T) {
	sub, pub := t.pair(1)
	pub.accept(publish{topic: t.topic("t"), payload: "kept", qos: 1, retain: true})
	sub.take("as it comes", t.topic("t"), "kept")
	pub.accept(publish{topic: t.topic("t"), qos: 1, retain: true})
	sub.take("the deletion, forwarded like any message", t.topic("t"), "", retained(false))
	t.late("t", 1).wantIdle("no retained message any more")
}

func retainEmptyNever(t *T) {
	t.keep("t", "", 1)
	t.keep("other", "kept", 1)
	late := t.late("+", 1)
	late.take("the one that has bytes", t.topic("other"), "kept", retained(true))
	late.wantIdle("no retained message of no bytes")
}

func retainUntouched(t *T) {
	pub := t.keep("t", "kept", 1)
	pub.accept(publish{topic: t.topic("t"), payload: "passing", qos: 1})
	pub.accept(publish{topic: t.topic("t"), qos: 1})
	pub.accept(publish{topic: t.topic("other"), payload: "passing", qos: 1})
	late := t.late("+", 1)
	late.take("the one that was retained", t.topic("t"), "kept", retained(true))
	late.wantIdle("nothing that was not")
}

func retainWildcard(t *T) {
	tails := []string{"a", "a/b", "a/b/c", "b"}
	for _, tail := range tails {
		t.keep(tail, tail, 1)
	}
	late := t.late("a/#", 1)
	got := map[string]bool{}
	for _, r := range late.collect() {
		got[r.payload] = r.retain()
	}
	if len(got) != 3 || !got["a"] || !got["a/b"] || !got["a/b/c"] {
		t.failf("want the retained messages of a, a/b and a/b/c, got %v", got)
	}
}

func retainQoS(t *T) {
	t.keep("t", "kept", 2)
	for q := range byte(3) {
		t.late("t", q).take("at the QoS granted", t.topic("t"), "kept", qos(q), retained(true))
	}
	t.keep("u", "kept", 1)
	t.late("u", 2).take("at the QoS it was published with", t.topic("u"), "kept", qos(1), retained(true))
}

func retainAgain(t *T) {
	t.keep("t", "kept", 1)
	late := t.late("t", 1)
	late.take("for a new subscription", t.topic("t"), "kept", retained(true))
	late.subscribe(t.topic("t"), 1)
	late.take("again for the same subscription", t.topic("t"), "kept", retained(true))
}

func retainIfNew(t *T) {
	t.keep("t", "kept", 1)
	late := t.late("t", 1|optRetainIfNew)
	late.take("for a new subscription", t.topic("t"), "kept", retained(true))
	late.subscribe(t.topic("t"), 1|optRetainIfNew)
	late.wantIdle("none for a subscription that existed")
	late.unsubscribe(t.topic("t"))
	late.subscribe(t.topic("t"), 1|optRetainIfNew)
	late.take("for a subscription that is new again", t.topic("t"), "kept", retained(true))
}

func retainNever(t *T) {
	pub := t.keep("t", "kept", 1)
	late := t.late("t", 1|optRetainNever)
	late.wantIdle("no retained message")
	pub.say(t.topic("t"), "live")
	late.take("live ones all the same", t.topic("t"), "live")
}

func retainAsPublished(t *T) {
	sub := t.connect("sub", connect{})
	sub.subscribe(t.topic("as"), 1|optRetainAsPublished)
	sub.subscribe(t.topic("not"), 1)
	pub := t.connect("pub", connect{})
	for _, flag := range []bool{true, false} {
		pub.accept(publish{topic: t.topic("as"), payload: "x", qos: 1, retain: flag})
		sub.take("with the publisher's flag", t.topic("as"), "x", retained(flag))
		pub.accept(publish{topic: t.topic("not"), payload: "x", qos: 1, retain: flag})
		sub.take("without the flag", t.topic("not"), "x", retained(false))
	}
}

func retainProperties(t *T) {
	pub := t.connect("pub", connect{})
	pub.accept(publish{
		topic: t.topic("t"), payload: "kept", qos: 1, retain: true,
		props: props(property(pContentType, "c"), user("a", "1"), user("a", "2")),
	})
	t.late("t", 1).take("retained with its properties", t.topic("t"), "kept", retained(true),
		text(pContentType, "c"), users([2]string{"a", "1"}, [2]string{"a", "2"}))
}

func retainExpires(t *T) {
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: t.topic("brief"), payload: "x", qos: 1, retain: true, props: property(pMessageExpiry, 1)})
	pub.accept(publish{topic: t.topic("long"), payload: "x", qos: 1, retain: true, props: property(pMessageExpiry, 100)})
	t.wait(3 * waitUnit)
	late := t.late("+", 1)
	r := late.take("what has not expired", t.topic("long"), "x", retained(true), with(pMessageExpiry))
	if n := r.num(pMessageExpiry, 0); n < 95 || n > 98 {
		t.failf("want Message Expiry Interval 100 less the 3 seconds stored, got %d", n)
	}
	late.wantIdle("nothing that has")
}

func retainUnavailable(t *T) {
	t.with(Options{NoRetain: true})
	p := t.connect("c", connect{})
	if why := number(pRetainAvailable, 0)(p.connack); why != "" {
		t.failf("want Retain Available 0 in CONNACK: %s", why)
	}
	p.send(publish{topic: t.topic("t"), payload: "x", retain: true})
	p.wantClose("a close for RETAIN 1", 0x9A)
}
