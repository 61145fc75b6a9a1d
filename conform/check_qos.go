package conform

import (
	"fmt"
	"time"
)

var qosChecks = []Check{
	check("qos/QoS 1 receiver", qos1Receiver, on31, on311("4.3.2-2"), on5("4.3.2-4 4.3.2-5")),
	check("qos/QoS 2 receiver", qos2Receiver, on31, on311("4.3.3-2"), on5("4.3.3-8 4.3.3-10 4.3.3-11 4.3.3-12")),
	check("qos/QoS 2 receiver over a reconnect", qos2ReceiverResumed, on31, on311("4.3.3-2 4.4.0-1"), on5("4.3.3-10 3.1.2-23")),
	check("qos/QoS 2 receiver after a refusal", qos2Refused, on5("4.3.3-9 3.5.2-1")),
	check("qos/QoS 1 sender", qos1Sender, on31, on311("4.3.2-1 2.3.1-4 3.3.1-1"), on5("4.3.2-1 4.3.2-2 4.3.2-3 3.3.1-1 2.2.1-4")),
	check("qos/QoS 2 sender", qos2Sender, on31, on311("4.3.3-1 2.3.1-6"), on5("4.3.3-1 4.3.3-2 4.3.3-3 4.3.3-4 4.3.3-5 2.2.1-5")),
	check("qos/PUBLISH not sent again after PUBREL", pubrelResent, on31, on311("4.3.3-1 4.4.0-1"), on5("4.3.3-5 4.3.3-6 4.4.0-1")),
	check("qos/sent again with DUP and the same identifier", resent, on31,
		on311("4.4.0-1 3.3.1-1 4.6.0-6 X311-4.4-a"), on5("4.4.0-1 3.3.1-1 4.3.2-3 4.3.3-3")),
	check("qos/not sent again while connected", notResent, slow, on311("X311-4.4-a"), on5("4.4.0-1")),
	check("qos/refused message not sent again", refusedNotResent, on5("4.4.0-2")),
	check("qos/identifiers of the two directions", independentIDs, on31, on311("2.3.1-4"), on5("X5-2.2.1-a 2.2.1-4")),
	check("qos/identifier free again", freeAgain, on31, on311("2.3.1-4 4.3.2-1"), on5("2.2.1-4 X5-2.2.1-a")),
	check("qos/acknowledgements nobody waits for", strayAcks, on31, on311("3.3.4-1"), on5("3.6.2-1 3.7.2-1")),
	check("qos/order of messages", order, on31, on311("4.6.0-5 4.6.0-6"), on5("4.6.0-5 4.6.0-6")),
	check("qos/order over a reconnect", orderResumed, on31, on311("4.6.0-6 4.5.0-1"), on5("4.6.0-5 4.6.0-6")),
	check("qos/order of acknowledgements", ackOrder, on31, on311("4.6.0-6"), on5("4.6.0-5")),
	check("qos/expiry ends with the first PUBLISH", expiryAfterSend, slow, on5("4.3.3-7")),
	check("qos/QoS 2 of an expired message is completed", expiredCompleted, slow, on5("4.3.3-13")),
}

func qos1Receiver(t *T) {
	sub, pub := t.pair(1)
	for _, dup := range []bool{false, true} {
		pub.send(publish{topic: t.topic("t"), payload: "x", qos: 1, id: 9, dup: dup})
		pub.want("PUBACK with the same identifier", typePUBACK, id(9))
		sub.take("a new message each time, whatever DUP says", t.topic("t"), "x", qos(1))
	}
}

func qos2Receiver(t *T) {
	sub, pub := t.pair(2)
	m := publish{topic: t.topic("t"), payload: "once", qos: 2, id: 9}
	pub.send(m)
	pub.want("PUBREC", typePUBREC, id(9))
	m.dup = true
	for range 2 {
		pub.send(m)
		pub.want("PUBREC again for the repeated PUBLISH", typePUBREC, id(9))
	}
	pub.send(ack{typ: typePUBREL, id: 9})
	pub.want("PUBCOMP", typePUBCOMP, id(9), code(0))
	sub.take("the message", t.topic("t"), "once")
	sub.wantIdle("no copy of the repeated PUBLISH")
	pub.accept(publish{topic: t.topic("t"), payload: "new", qos: 2, id: 9, dup: true})
	sub.take("after PUBCOMP the identifier means a new message", t.topic("t"), "new", dup(false))
}

func qos2ReceiverResumed(t *T) {
	sub := t.connect("sub", connect{})
	sub.subscribe(t.topic("t"), 2)
	pub := t.session("pub")
	m := publish{topic: t.topic("t"), payload: "once", qos: 2, id: 9}
	pub.send(m)
	pub.want("PUBREC", typePUBREC, id(9))
	pub.drop()
	pub = t.session("pub")
	m.dup = true
	pub.send(m)
	pub.want("PUBREC for the PUBLISH sent again on a new connection", typePUBREC, id(9))
	pub.send(ack{typ: typePUBREL, id: 9})
	pub.want("PUBCOMP", typePUBCOMP, id(9), code(0))
	sub.take("the message", t.topic("t"), "once")
	sub.wantIdle("no second copy")
}

func qos2Refused(t *T) {
	t.with(Options{DenyPublish: t.topic("deny")})
	sub, pub := t.pair(2)
	pub.send(publish{topic: t.topic("deny"), payload: "x", qos: 2, id: 5})
	pub.want("PUBREC that refuses", typePUBREC, id(5), failed)
	pub.accept(publish{topic: t.topic("t"), payload: "new", qos: 2, id: 5})
	sub.take("after a refusal the identifier means a new message", t.topic("t"), "new")
}

// persistent opens a subscriber of "t" whose session lasts, and a publisher.
func (t *T) persistent(qos byte) (sub, pub *peer) {
	sub = t.session("sub")
	sub.subscribe(t.topic("t"), qos)
	return sub, t.connect("pub", connect{})
}

func qos1Sender(t *T) {
	sub, pub := t.persistent(1)
	pub.say(t.topic("t"), "a")
	pub.say(t.topic("t"), "b")
	a := sub.wantMessage("first", t.topic("t"), "a", qos(1), dup(false))
	b := sub.wantMessage("second", t.topic("t"), "b", qos(1), dup(false))
	if a.id == b.id {
		t.failf("want a free identifier for the second message, got %d for both", b.id)
	}
	sub.send(ack{typ: typePUBACK, id: b.id})
	sub.ping()
	sub.drop()
	sub = t.session("sub")
	sub.take("what was not acknowledged", t.topic("t"), "a", id(a.id), dup(true))
	sub.wantIdle("not what was")
}

func qos2Sender(t *T) {
	sub, pub := t.pair(2)
	pub.accept(publish{topic: t.topic("t"), payload: "a", qos: 2})
	a := sub.wantMessage("first", t.topic("t"), "a", qos(2), dup(false))
	sub.wantIdle("no PUBREL before PUBREC")
	sub.send(ack{typ: typePUBREC, id: a.id})
	sub.want("PUBREL with the same identifier", typePUBREL, id(a.id), code(0))
	sub.wantIdle("nothing until PUBCOMP")
	sub.send(ack{typ: typePUBCOMP, id: a.id})
	sub.ping()
	sub.wantIdle("nothing after PUBCOMP")
}

func pubrelResent(t *T) {
	sub, pub := t.persistent(2)
	pub.accept(publish{topic: t.topic("t"), payload: "a", qos: 2})
	a := sub.wantMessage("first", t.topic("t"), "a", qos(2))
	sub.send(ack{typ: typePUBREC, id: a.id})
	sub.want("PUBREL", typePUBREL, id(a.id))
	sub.drop()
	sub = t.session("sub")
	sub.want("PUBREL again and not PUBLISH, for PUBREC had come", typePUBREL, id(a.id))
	sub.send(ack{typ: typePUBCOMP, id: a.id})
	sub.ping()
	sub.drop()
	sub = t.session("sub")
	sub.wantIdle("nothing after PUBCOMP")
}

// resent mixes QoS 1, QoS 2 before PUBREC and QoS 2 after it.
func resent(t *T) {
	sub, pub := t.persistent(2)
	var first []*reply
	for i := range 4 {
		body := fmt.Sprint(i)
		pub.accept(publish{topic: t.topic("t"), payload: body, qos: byte(1 + i%2)})
		first = append(first, sub.wantMessage("first time", t.topic("t"), body, dup(false)))
	}
	for range 2 { // each time anew
		sub.drop()
		sub = t.session("sub")
		if !sub.connack.sessionPresent && t.v5() {
			t.failf("want the session resumed")
		}
		for i, r := range first {
			sub.wantMessage("again, in order", t.topic("t"), fmt.Sprint(i), dup(true), id(r.id), qos(r.qos()))
		}
		sub.wantIdle("each once")
	}
	for _, r := range first {
		sub.acknowledge(r)
	}
}

func notResent(t *T) {
	sub, pub := t.pair(2)
	pub.say(t.topic("t"), "a")
	pub.accept(publish{topic: t.topic("t"), payload: "b", qos: 2})
	a := sub.wantMessage("first", t.topic("t"), "a")
	b := sub.wantMessage("second", t.topic("t"), "b")
	t.wait(5 * waitUnit)
	if !t.v5() {
		// 3.1.1 does not forbid it; what comes again has to say so.
		for _, r := range sub.queued() {
			if !r.dup() {
				t.failf("want DUP on what is sent again, got %s", r)
			}
		}
		return
	}
	sub.wantIdle("no resend while the connection lasts")
	sub.acknowledge(a)
	sub.acknowledge(b)
}

// queued takes what has arrived so far.
func (p *peer) queued() []*reply {
	p.ping()
	var got []*reply
	for {
		r, _ := p.next(time.Nanosecond, anything)
		if r == nil {
			return got
		}
		got = append(got, r)
	}
}

func refusedNotResent(t *T) {
	sub, pub := t.persistent(2)
	for q := byte(1); q <= 2; q++ {
		pub.accept(publish{topic: t.topic("t"), payload: "x", qos: q})
		r := sub.wantMessage("first time", t.topic("t"), "x", qos(q))
		sub.send(ack{typ: typePUBACK + q - 1, id: r.id, code: 0x83})
	}
	sub.ping()
	sub.drop()
	sub = t.session("sub")
	sub.wantIdle("no resend of what was refused")
}

// independentIDs: both directions may use the same identifier at the same time.
func independentIDs(t *T) {
	sub, pub := t.pair(2)
	pub.accept(publish{topic: t.topic("t"), payload: "down", qos: 2})
	r := sub.wantMessage("left open", t.topic("t"), "down", qos(2))
	sub.send(publish{topic: t.topic("other"), payload: "up", qos: 2, id: r.id})
	sub.want("PUBREC", typePUBREC, id(r.id))
	sub.send(ack{typ: typePUBREC, id: r.id})
	sub.want("PUBREL", typePUBREL, id(r.id), code(0))
	sub.send(ack{typ: typePUBREL, id: r.id})
	sub.want("PUBCOMP", typePUBCOMP, id(r.id), code(0))
	sub.send(ack{typ: typePUBCOMP, id: r.id})
	sub.ping()
}

// freeAgain runs more messages through than are ever in flight at once.
func freeAgain(t *T) {
	sub, pub := t.pair(1)
	pub.say(t.topic("t"), "held")
	held := sub.wantMessage("left unacknowledged", t.topic("t"), "held")
	for range 50 {
		pub.say(t.topic("t"), "x")
		if r := sub.take("meanwhile", t.topic("t"), "x"); r.id == held.id {
			t.failf("want an identifier that is free, %d is in use", r.id)
		}
	}
	sub.acknowledge(held)
	sub.ping()
}

// strayAcks: identifiers unknown here may come from a session the broker lost.
func strayAcks(t *T) {
	p := t.connect("c", connect{})
	p.send(ack{typ: typePUBACK, id: 400})
	p.ping()
	p.send(ack{typ: typePUBCOMP, id: 401})
	p.ping()
	p.send(ack{typ: typePUBREL, id: 402})
	p.want("PUBCOMP for PUBREL all the same", typePUBCOMP, id(402), code(0, 0x92))
	if t.v5() {
		p.send(ack{typ: typePUBREC, id: 403})
		p.want("PUBREL for PUBREC of an unknown identifier", typePUBREL, id(403), code(0, 0x92))
	}
}

func order(t *T) {
	for q := range byte(3) {
		sub := t.connect("sub", connect{})
		sub.subscribe(t.topic("t"), q)
		pub := t.connect("pub", connect{})
		const n = 30
		for i := range n {
			pub.accept(publish{topic: t.topic("t"), payload: fmt.Sprint(i), qos: q})
		}
		for i := range n {
			sub.take("in the order of its publisher", t.topic("t"), fmt.Sprint(i), qos(q))
		}
	}
}

func orderResumed(t *T) {
	sub, pub := t.persistent(1)
	for i := range 5 {
		pub.say(t.topic("t"), fmt.Sprint(i))
	}
	for i := range 3 {
		sub.wantMessage("seen, not acknowledged", t.topic("t"), fmt.Sprint(i))
	}
	sub.drop()
	for i := range 5 {
		pub.say(t.topic("t"), fmt.Sprint(5+i))
	}
	sub = t.session("sub")
	for i := range 10 {
		sub.take("old ones first, then what came meanwhile", t.topic("t"), fmt.Sprint(i))
	}
}

func ackOrder(t *T) {
	p := t.connect("c", connect{})
	n := min(announced(p), 10)
	for q := byte(1); q <= 2; q++ {
		var burst []encoder
		for i := range n {
			burst = append(burst, publish{topic: t.topic("t"), payload: "x", qos: q, id: uint16(100 + i)})
		}
		p.send(burst...)
		for i := range n {
			p.want("an acknowledgement in the order of the PUBLISHes", typePUBACK+q-1, id(uint16(100+i)))
		}
	}
	var burst []encoder
	for i := range n {
		burst = append(burst, ack{typ: typePUBREL, id: uint16(100 + i)})
	}
	p.send(burst...)
	for i := range n {
		p.want("PUBCOMP in the order of the PUBRELs", typePUBCOMP, id(uint16(100+i)), code(0))
	}
}

// expiryAfterSend: the PUBLISH is out, so nothing expires any more.
func expiryAfterSend(t *T) {
	sub, pub := t.persistent(2)
	brief := property(pMessageExpiry, 1)
	pub.accept(publish{topic: t.topic("t"), payload: "a", qos: 2, props: brief})
	a := sub.wantMessage("first", t.topic("t"), "a", qos(2))
	pub.accept(publish{topic: t.topic("t"), payload: "b", qos: 2, props: brief})
	b := sub.wantMessage("second", t.topic("t"), "b", qos(2))
	t.wait(3 * waitUnit)
	sub.acknowledge(a)
	sub.ping() // the broker has the PUBCOMP
	sub.drop()
	sub = t.session("sub")
	sub.take("again, though its time is over", t.topic("t"), "b", id(b.id), dup(true))
}

func expiredCompleted(t *T) {
	p := t.connect("c", connect{})
	p.send(publish{topic: t.topic("t"), payload: "x", qos: 2, id: 8, props: property(pMessageExpiry, 1)})
	p.want("PUBREC", typePUBREC, id(8))
	t.wait(3 * waitUnit)
	p.send(ack{typ: typePUBREL, id: 8})
	p.want("PUBCOMP for a message that has expired", typePUBCOMP, id(8), code(0))
}
