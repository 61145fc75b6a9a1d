package conform

import "time"

var willChecks = []Check{
	check("will/published when the connection breaks", willPublished, on31,
		on311("3.1.2-8 3.1.2-9 3.1.2-10 X311-3.1.2.5-a"), on5("3.1.2-7 3.1.2-8 3.1.2-9 3.1.2-10 X5-3.1.2.5-a")),
	check("will/discarded by DISCONNECT", willDiscarded, on31, on311("3.14.4-3 3.1.2-10"), on5("3.14.4-3 3.1.2-10")),
	check("will/none without Will Flag", willNone, on31, on311("3.1.2-12"), on5("3.1.2-7")),
	check("will/Will Retain", willRetain, on31, on311("3.1.2-16 3.1.2-17"), on5("3.1.2-14 3.1.2-15")),
	check("will/Will QoS", willQoS, on31, on311("3.1.2-9 3.1.2-14"), on5("3.1.2-12 3.1.2-7")),
	check("will/published after a protocol error", willAfterError, on31, on311("3.1.2-8"), on5("3.1.2-8")),
	check("will/published on take-over", willOnTakeOver, on31, on311("3.1.2-8 3.1.4-2"), on5("3.1.2-8 3.1.4-3")),
	check("will/published on keep alive timeout", willOnSilence, slow, on31, on311("3.1.2-8 3.1.2-24"), on5("3.1.2-8 3.1.2-22")),
	check("will/empty payload", willEmpty, on31, on311("3.1.2-8 3.1.2-9"), on5("3.1.2-8 3.1.2-9")),
	check("will/stored while its subscriber is away", willStored, on31, on311("3.1.2-5 3.1.2-8"), on5("4.5.0-1 3.1.2-8")),
	check("will/of a session that is resumed", willEachConnection, on31, on311("3.1.2-10 3.1.2-12"), on5("3.1.2-10")),
	check("will/DISCONNECT with will", disconnectWithWill, on5("3.1.2-8 3.14.2-1")),
	check("will/DISCONNECT with a failure code", disconnectWithFailure, on5("3.1.2-8 3.1.2-10")),
	check("will/DISCONNECT that is malformed", malformedDisconnect, on311("3.1.2-8 3.14.1-1"), on5("3.1.2-8 3.14.1-1")),
	check("will/properties", willProperties, on5("3.1.3-10 3.1.2-9 3.1.3-1")),
	check("will/payload that is not what its indicator says", willFormat, on5("X5-3.1.3.2.3-a")),
	check("will/delayed", willDelayed, slow, on5("3.1.2-8 3.1.3-9")),
	check("will/suppressed by a reconnect within the delay", willSuppressed, slow, on5("3.1.3-9 3.1.2-8")),
	check("will/session ends before the delay", willSessionEnds, slow, on5("3.1.2-8")),
	check("will/session without expiry ends at once", willNoExpiry, on5("3.1.2-8")),
	check("will/clean start ends the delay", willCleanStart, slow, on5("3.1.2-8 3.1.3-9")),
	check("will/QoS above the maximum", willQoSMax, on311("3.2.2-6 X311-3.2.2.3-a"), on5("3.2.2-12")),
	check("will/retained although the broker retains nothing", willNoRetain, on311("3.2.2-6"), on5("3.2.2-13")),
}

func (t *T) will() *will { return &will{topic: t.topic("t"), payload: "gone", qos: 1} }

// mourner opens a subscriber to the will's topic and the client that will die.
func (t *T) mourner(c connect) (sub, dying *peer) {
	sub = t.connect("sub", connect{})
	sub.subscribe(t.topic("t"), 2)
	return sub, t.connect("dying", c)
}

func willPublished(t *T) {
	sub, dying := t.mourner(connect{will: t.will()})
	sub.wantIdle("no will while the connection lasts")
	dying.drop()
	sub.take("the will", t.topic("t"), "gone", qos(1), retained(false))
	sub.wantIdle("the will once")
}

func willDiscarded(t *T) {
	sub, dying := t.mourner(connect{will: t.will()})
	dying.bye()
	sub.wantIdle("no will after DISCONNECT")
	t.connect("dying", connect{will: t.will()}).drop()
	sub.take("the will of a connection that breaks", t.topic("t"), "gone")
}

func willNone(t *T) {
	sub, dying := t.mourner(connect{})
	dying.drop()
	sub.wantIdle("no will of a client that had none")
	t.connect("dying", connect{will: t.will()}).drop()
	sub.take("the will of a connection that breaks", t.topic("t"), "gone")
}

func willRetain(t *T) {
	for _, keep := range []bool{false, true} {
		w := t.will()
		w.retain = keep
		sub, dying := t.mourner(connect{will: w})
		dying.drop()
		sub.take("the will", t.topic("t"), "gone", retained(false))
		t.retained = append(t.retained, t.topic("t"))
		late := t.connect("late", connect{})
		late.subscribe(t.topic("t"), 1)
		if !keep {
			late.wantIdle("no will retained with Will Retain 0")
			continue
		}
		late.take("the will retained with Will Retain 1", t.topic("t"), "gone", retained(true))
	}
}

func willQoS(t *T) {
	for q := range byte(3) {
		w := t.will()
		w.qos = q
		sub, dying := t.mourner(connect{will: w})
		dying.drop()
		sub.take("the will at its QoS", t.topic("t"), "gone", qos(q), dup(false))
	}
}

func willAfterError(t *T) {
	sub, dying := t.mourner(connect{will: t.will()})
	dying.send(raw{0x36, 0x00})
	dying.wantClose("a close for a malformed packet")
	sub.take("the will of a client that was cut off", t.topic("t"), "gone")
}

func willOnTakeOver(t *T) {
	sub, _ := t.mourner(connect{will: t.will()})
	t.connect("dying", connect{})
	sub.take("the will of the connection that was taken over", t.topic("t"), "gone")
}

func willOnSilence(t *T) {
	t.slack()
	sub, dying := t.mourner(connect{will: t.will(), keepAlive: 1})
	t.wait(waitUnit)
	sub.queued()
	t.wait(waitUnit)
	dying.wantClose("a close after one and a half times Keep Alive", 0x8D)
	sub.take("the will of a client that fell silent", t.topic("t"), "gone")
}

func willEmpty(t *T) {
	sub, dying := t.mourner(connect{will: &will{topic: t.topic("t"), qos: 1}})
	dying.drop()
	sub.take("a will of no bytes", t.topic("t"), "")
}

func willStored(t *T) {
	sub := t.session("sub")
	sub.subscribe(t.topic("t"), 1)
	sub.bye()
	t.connect("dying", connect{will: t.will()}).drop()
	t.connect("any", connect{}).ping()
	t.wait(t.target.idle())
	t.session("sub").take("a will like any other message", t.topic("t"), "gone")
}

// willEachConnection: a will belongs to one connection, not to its session.
func willEachConnection(t *T) {
	sub, dying := t.mourner(t.lasting(connect{will: t.will()}))
	dying.bye()
	dying = t.connect("dying", t.lasting(connect{}))
	dying.drop()
	sub.wantIdle("no will of an earlier connection")
	t.connect("dying", t.lasting(connect{will: t.will()})).drop()
	sub.take("the will of the connection that broke", t.topic("t"), "gone")
}

func disconnectWithWill(t *T) {
	sub, dying := t.mourner(connect{will: t.will()})
	dying.send(disconnect{code: 0x04})
	dying.wantRefused("a close after DISCONNECT")
	sub.take("the will that DISCONNECT 0x04 asks for", t.topic("t"), "gone")
}

func disconnectWithFailure(t *T) {
	for _, c := range []byte{0x80, 0x83, 0x97} {
		sub, dying := t.mourner(connect{will: t.will()})
		dying.send(disconnect{code: c})
		sub.take("the will after a DISCONNECT that is not normal", t.topic("t"), "gone")
	}
}

// malformedDisconnect: only a DISCONNECT that is one removes the will.
func malformedDisconnect(t *T) {
	bad := []raw{{0xE1, 0x00}, {0xE8, 0x00}}
	if t.v5() {
		bad = append(bad, raw{0xE0, 0x01, 0x01}, raw{0xE0, 0x01, 0x8E})
	}
	for _, b := range bad {
		sub, dying := t.mourner(connect{will: t.will()})
		dying.send(b)
		dying.wantClose("a close for a malformed DISCONNECT", 0x81, 0x82)
		sub.take("the will all the same", t.topic("t"), "gone")
	}
}

func willProperties(t *T) {
	w := t.will()
	w.payload = "grün"
	w.props = props(property(pPayloadFormat, 1), property(pContentType, "text/plain"), property(pResponseTopic, "reply"),
		property(pCorrelation, "\x00\xff"), user("b", "1"), user("a", "2"), user("b", "0"), property(pMessageExpiry, 100))
	sub, dying := t.mourner(connect{will: w})
	dying.drop()
	sub.take("the will with its properties", t.topic("t"), "grün",
		number(pPayloadFormat, 1), text(pContentType, "text/plain"), text(pResponseTopic, "reply"), text(pCorrelation, "\x00\xff"),
		users([2]string{"b", "1"}, [2]string{"a", "2"}, [2]string{"b", "0"}), number(pMessageExpiry, 100), without(pWillDelay))
}

// willFormat: to check the payload is the server's choice, 0x99 its answer.
func willFormat(t *T) {
	w := t.will()
	w.payload, w.props = "\xff\xfe", property(pPayloadFormat, 1)
	p := t.dial("c")
	p.send(t.fill("c", connect{will: w}))
	r, err := p.next(t.target.patience(), anything)
	if r == nil && err == nil || r != nil && r.code != 0 && r.code != 0x99 {
		t.failf("want success, 0x99 or a close for a will that is not UTF-8, got %s", p.describe(r, err))
	}
	p.bye()
}

func (t *T) delayed(will, session int) connect {
	w := t.will()
	w.props = property(pWillDelay, will)
	return connect{will: w, props: property(pSessionExpiry, session)}
}

func willDelayed(t *T) {
	sub, dying := t.mourner(t.delayed(2, 60))
	start := time.Now()
	dying.drop()
	sub.wantIdle("no will before its delay")
	t.wait(time.Until(start.Add(waitUnit)))
	sub.wantIdle("no will before its delay")
	t.wait(waitUnit)
	sub.take("the will after its delay", t.topic("t"), "gone")
	sub.wantIdle("the will once")
}

func willSuppressed(t *T) {
	sub, dying := t.mourner(t.delayed(2, 60))
	dying.drop()
	t.wait(waitUnit / 2)
	back := t.connect("dying", connect{keep: true, props: property(pSessionExpiry, 60)})
	t.wait(3 * waitUnit)
	sub.wantIdle("no will, for the client came back in time")
	back.bye()
	t.connect("dying", t.delayed(1, 60)).drop()
	t.wait(waitUnit)
	sub.take("the will of a client that did not", t.topic("t"), "gone")
}

func willSessionEnds(t *T) {
	sub, dying := t.mourner(t.delayed(600, 1))
	dying.drop()
	sub.wantIdle("no will before the session ends")
	t.wait(2 * waitUnit)
	sub.take("the will when the session ends, though its delay is longer", t.topic("t"), "gone")
}

func willNoExpiry(t *T) {
	sub, dying := t.mourner(t.delayed(600, 0))
	dying.drop()
	sub.take("the will at once, for the session ended with the connection", t.topic("t"), "gone")
}

// willCleanStart: a new session in place of the old one ends the old one.
func willCleanStart(t *T) {
	sub, dying := t.mourner(t.delayed(600, 600))
	dying.drop()
	t.connect("dying", connect{})
	sub.take("the will of the session that a clean start ended", t.topic("t"), "gone")
}

func willQoSMax(t *T) {
	t.with(Options{MaxQoS: new(maxQoS1)})
	p := t.dial("c")
	w := t.will()
	w.qos = 2
	p.send(t.fill("c", connect{will: w}))
	p.wantUnserved("a refusal of a will above Maximum QoS", 0x9B)
}

func willNoRetain(t *T) {
	t.with(Options{NoRetain: true})
	p := t.dial("c")
	w := t.will()
	w.retain = true
	p.send(t.fill("c", connect{will: w}))
	p.wantUnserved("a refusal of a will that is to be retained", 0x9A)
}

// wantUnserved wants a CONNECT refused that is well-formed: in 5.0 with the
// code, before by a return code of the list or, as none fits, without CONNACK.
func (p *peer) wantUnserved(sentence string, code byte) {
	p.wantRefused(sentence, orV5(p.t, []byte{1, 2, 3, 4, 5}, []byte{code})...)
}
