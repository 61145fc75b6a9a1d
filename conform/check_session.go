package conform

var sessionChecks = []Check{
	check("session/resumed", sessionResumed, on311("3.1.2-4 3.2.2-2 3.2.2-3 4.1.0-1"), on5("3.1.2-5 3.1.2-6 3.2.2-3 3.1.2-23 3.1.4-4")),
	check("session/messages stored while away", storedWhileAway, on31, on311("3.1.2-5 4.5.0-1"), on5("4.5.0-1 3.1.2-23")),
	check("session/clean start discards it", cleanDiscards, on31, on311("3.1.2-6 3.1.4-3 3.2.2-1 3.2.2-3"), on5("3.1.2-4 3.2.2-2 3.1.4-4 3.1.2-6")),
	check("session/clean session ends with its connection", cleanEnds, on31, on311("3.1.2-6"), on5("4.1.0-2")),
	check("session/belongs to its client identifier", keyedByID, on31, on311("3.1.3-2"), on5("3.1.3-2")),
	check("session/kept through a take-over", keptThroughTakeOver, on31, on311("3.1.4-2 3.1.2-4 4.1.0-1"), on5("3.1.4-3 3.1.2-5 4.1.0-1")),
	check("session/kept while connected", keptWhileConnected, slow, on31, on311("4.1.0-1 4.1.0-2"), on5("4.1.0-1")),
	check("session/retained messages are no part of it", retainedApart, on31, on311("3.1.2-7"), on5("3.1.2-4 3.3.1-5")),
	check("session/unsubscribed for good", unsubscribedForGood, on31, on311("3.10.4-2"), on5("3.10.4-2")),
	check("session/expires", sessionExpires, slow, on5("4.1.0-2 3.2.2-3 3.1.2-23")),
	check("session/expiry 0 ends with the connection", expiryZero, on5("4.1.0-2 3.2.2-3")),
	check("session/clean start with an expiry interval is kept", cleanKept, on5("3.1.2-23 3.2.2-3")),
	check("session/expiry set by DISCONNECT", expiryByDisconnect, on5("4.1.0-2 3.1.2-23")),
	check("session/expiry of 0 cannot be raised by DISCONNECT", expiryRaised, on5("X5-3.14.2.2.2-a")),
	check("session/longest expiry is announced", expiryCapped, on5("3.1.2-23")),
	check("session/older clients resume theirs", mixedVersions, on5("3.1.2-5")),
}

func sessionResumed(t *T) {
	p := t.dial("c")
	p.send(t.fill("c", t.lasting(connect{keep: true})))
	p.want("no session before the first", typeCONNACK, code(0), present(false))
	p.subscribe(t.topic("t"), 1)
	p.bye()
	again := t.dial("c")
	again.send(t.fill("c", t.lasting(connect{keep: true})))
	again.want("the session of before", typeCONNACK, code(0), present(true))
	t.connect("pub", connect{}).say(t.topic("t"), "x")
	again.take("by the subscription of before", t.topic("t"), "x", qos(1))
}

func storedWhileAway(t *T) {
	a, b := t.session("a"), t.session("b")
	a.subscribe(t.topic("t"), 2)
	b.subscribe(t.topic("+"), 1)
	a.bye()
	b.drop()
	pub := t.connect("pub", connect{})
	pub.accept(publish{topic: t.topic("t"), payload: "1", qos: 1})
	pub.accept(publish{topic: t.topic("t"), payload: "2", qos: 2})
	a, b = t.session("a"), t.session("b")
	for i, body := range []string{"1", "2"} {
		a.take("stored while away", t.topic("t"), body, qos(byte(1+i)))
		b.take("stored while away", t.topic("t"), body, qos(1))
	}
}

func cleanDiscards(t *T) {
	p := t.session("c")
	p.subscribe(t.topic("t"), 1)
	p.bye()
	p = t.session("c")
	pub := t.connect("pub", connect{})
	pub.say(t.topic("t"), "live")
	p.take("by the subscription of the session", t.topic("t"), "live")
	p.bye()
	pub.say(t.topic("t"), "stored")
	clean := t.connect("c", connect{})
	if clean.connack.sessionPresent {
		t.failf("want Session Present 0 for a clean session")
	}
	pub.say(t.topic("t"), "x")
	clean.wantIdle("neither the messages nor the subscriptions of the old session")
	clean.bye()
	p = t.session("c")
	if p.connack.sessionPresent {
		t.failf("want no session left, neither the old nor the clean one")
	}
	p.wantIdle("nothing of the old session")
}

func cleanEnds(t *T) {
	p := t.connect("c", connect{})
	p.subscribe(t.topic("t"), 1)
	pub := t.connect("pub", connect{})
	pub.say(t.topic("t"), "live")
	p.take("while it lasts", t.topic("t"), "live")
	p.drop()
	pub.say(t.topic("t"), "missed")
	p = t.session("c")
	if p.connack.sessionPresent {
		t.failf("want no session after a clean one")
	}
	pub.say(t.topic("t"), "x")
	p.wantIdle("no state of a clean session reused")
}

func keyedByID(t *T) {
	p := t.session("one")
	p.subscribe(t.topic("t"), 1)
	p.bye()
	other := t.session("two")
	if other.connack.sessionPresent {
		t.failf("want no session for another client identifier")
	}
	t.connect("pub", connect{}).say(t.topic("t"), "x")
	other.wantIdle("nothing of another client's session")
	t.session("one").take("to the one whose session it is", t.topic("t"), "x")
}

func keptThroughTakeOver(t *T) {
	old := t.session("c")
	old.subscribe(t.topic("t"), 1)
	pub := t.connect("pub", connect{})
	pub.say(t.topic("t"), "open")
	r := old.wantMessage("left unacknowledged", t.topic("t"), "open")
	p := t.session("c")
	p.take("again on the connection that took over", t.topic("t"), "open", id(r.id), dup(true))
	pub.say(t.topic("t"), "x")
	p.take("by the subscription of before", t.topic("t"), "x")
}

// keptWhileConnected: an open connection keeps its session however long it lasts.
func keptWhileConnected(t *T) {
	p := t.connect("c", connect{})
	if t.v5() {
		p = t.connect("c", connect{props: property(pSessionExpiry, 1)})
	}
	p.subscribe(t.topic("t"), 1)
	t.wait(3 * waitUnit)
	t.connect("pub", connect{}).say(t.topic("t"), "x")
	p.take("after a while of silence", t.topic("t"), "x")
}

func retainedApart(t *T) {
	p := t.connect("c", connect{})
	p.publish(publish{topic: t.topic("t"), payload: "kept", qos: 1, retain: true})
	p.bye()
	t.connect("c", connect{}).bye()
	sub := t.connect("sub", connect{})
	sub.subscribe(t.topic("t"), 1)
	sub.take("retained past its publisher's session", t.topic("t"), "kept", retained(true))
}

func unsubscribedForGood(t *T) {
	p := t.session("c")
	p.subscribe(t.topic("t"), 1)
	p.subscribe(t.topic("other"), 1)
	p.unsubscribe(t.topic("t"))
	p.bye()
	pub := t.connect("pub", connect{})
	pub.say(t.topic("t"), "x")
	pub.say(t.topic("other"), "y")
	p = t.session("c")
	p.take("by the subscription that is left", t.topic("other"), "y")
	p.wantIdle("nothing for a subscription that was deleted")
}

func expiring(seconds int, c connect) connect {
	c.props = property(pSessionExpiry, seconds)
	return c
}

func sessionExpires(t *T) {
	c := expiring(2, connect{keep: true})
	p := t.connect("c", c)
	p.subscribe(t.topic("t"), 1)
	p.drop()
	t.wait(waitUnit)
	if p = t.connect("c", c); !p.connack.sessionPresent {
		t.failf("want the session within its expiry interval")
	}
	p.bye()
	t.wait(4 * waitUnit)
	if p = t.connect("c", c); p.connack.sessionPresent {
		t.failf("want no session after its expiry interval")
	}
}

func expiryZero(t *T) {
	for _, c := range []connect{{keep: true}, expiring(0, connect{keep: true})} {
		p := t.connect("c", c)
		p.subscribe(t.topic("t"), 1)
		p.bye()
		if p = t.connect("c", c); p.connack.sessionPresent {
			t.failf("want no session after a connection with Session Expiry Interval 0")
		}
		p.bye()
	}
	t.session("c").bye()
	if p := t.session("c"); !p.connack.sessionPresent {
		t.failf("want the session after one with a longer interval")
	}
}

func cleanKept(t *T) {
	t.kept = append(t.kept, t.clientID("c"))
	p := t.connect("c", expiring(3600, connect{}))
	p.subscribe(t.topic("t"), 1)
	p.drop()
	t.connect("pub", connect{}).say(t.topic("t"), "x")
	p = t.connect("c", expiring(3600, connect{keep: true}))
	if !p.connack.sessionPresent {
		t.failf("want the session that began with Clean Start 1 and has an expiry interval")
	}
	p.take("stored while away", t.topic("t"), "x")
}

func expiryByDisconnect(t *T) {
	c := expiring(3600, connect{keep: true})
	t.connect("c", c).bye()
	p := t.connect("c", c)
	if !p.connack.sessionPresent {
		t.failf("want the session after a DISCONNECT that says nothing of it")
	}
	p.send(disconnect{props: property(pSessionExpiry, 0)})
	p.wantRefused("a close after DISCONNECT")
	if p = t.connect("c", c); p.connack.sessionPresent {
		t.failf("want the session ended by a DISCONNECT with expiry 0")
	}
}

func expiryRaised(t *T) {
	t.offend("Session Expiry Interval raised from 0", disconnect{props: property(pSessionExpiry, 60)}, 0x82)
	if p := t.connect("bad", connect{keep: true}); p.connack.sessionPresent {
		t.failf("want no session kept by a DISCONNECT in error")
	}
}

func expiryCapped(t *T) {
	t.with(Options{SessionExpiryMaximum: 60})
	p := t.connect("c", expiring(7200, connect{keep: true}))
	if why := number(pSessionExpiry, 60)(p.connack); why != "" {
		t.failf("want CONNACK to tell the shorter interval: %s", why)
	}
	p.bye()
	if p = t.connect("c", expiring(30, connect{keep: true})); p.connack.num(pSessionExpiry, 30) != 30 {
		t.failf("want an interval within the maximum left alone, got %s", p.connack)
	}
	if !p.connack.sessionPresent {
		t.failf("want the session kept for as long as was told")
	}
}

// mixedVersions: a session belongs to the identifier, not to a version.
func mixedVersions(t *T) {
	p := t.session("c")
	p.subscribe(t.topic("t"), 1)
	p.bye()
	t.connect("pub", connect{}).say(t.topic("t"), "x")
	old := t.olderWith("c", connect{keep: true})
	if !old.connack.sessionPresent {
		t.failf("want the session under another version of the protocol")
	}
	old.take("stored while away", t.topic("t"), "x")
}
