package conform

import (
	"sync"

	"github.com/midgemq/midge/mqtt"
)

var connectChecks = []Check{
	check("connect/accepted", connectAccepted, on31,
		on311("3.1.4-3 3.1.4-4 3.2.0-1 3.2.2-1 3.2.2-3 X311-3.2.2.1-a 7.1.1-1 7.0.0-2"),
		on5("3.1.4-4 3.1.4-5 3.2.0-1 3.2.0-2 3.2.2-1 3.2.2-2 3.2.2-8 3.1.2-4 2.2.2-1 4.2.0-1 X5-7.1-a X5-4.12-b")),
	check("connect/packet before CONNECT", beforeConnect, on31, on311("3.1.0-1"), on5("3.1.0-1 3.14.0-1")),
	check("connect/second CONNECT", secondConnect, on31, on311("3.1.0-2 4.8.0-1"), on5("3.1.0-2 4.13.1-1")),
	check("connect/wrong protocol name", wrongProtocolName, on311("3.1.2-1"), on5("3.1.2-1")),
	check("connect/unsupported protocol level", unsupportedLevel, on311("3.1.2-2 3.2.2-4 3.2.2-5 X311-3.2.2.3-a"),
		on5("3.1.2-2 3.2.2-6 3.2.2-7")),
	check("connect/reserved flag", connectReservedFlag, on311("3.1.2-3 3.1.4-1"), on5("3.1.2-3 3.1.4-1 X5-3.1.2.3-a")),
	check("connect/will flags without will", willFlagsWithoutWill, on311("3.1.2-11 3.1.2-13 3.1.2-15"), on5("3.1.2-11 3.1.2-13")),
	check("connect/will QoS 3", willQoS3, on311("3.1.2-14"), on5("3.1.2-12 X5-3.1.2.6-a")),
	check("connect/will fields missing", willFieldsMissing, on311("3.1.2-9 3.1.3-1"), on5("3.1.2-9 3.1.3-1")),
	check("connect/user name flag and field", userNameField, on311("3.1.2-18 3.1.2-19 3.1.3-1"), on5("3.1.2-16 3.1.2-17 3.1.3-1")),
	check("connect/password flag and field", passwordField, on311("3.1.2-20 3.1.2-21"), on5("3.1.2-18 3.1.2-19")),
	check("connect/password without user name", passwordAlone, on311("3.1.2-22"), on5("3.1.2-19")),
	check("connect/truncated", connectTruncated, on311("3.1.3-3 3.1.4-1"), on5("3.1.3-3 3.1.4-1")),
	check("connect/client identifiers everyone accepts", plainClientIDs, on311("3.1.3-5"), on5("3.1.3-5")),
	check("connect/assigned client identifier", assignedID, on311("3.1.3-6"), on5("3.1.3-6 3.1.3-7 3.2.2-16")),
	check("connect/empty client identifier refused", emptyIDRefused, on311("3.1.3-9 3.2.2-5"), on5("3.1.3-8")),
	check("connect/empty client identifier with kept session", emptyIDKept, on311("3.1.3-7 3.1.3-8 3.2.2-4")),
	check("connect/data after refusal", dataAfterRefusal, on311("3.1.4-5"), on5("3.1.4-6 3.14.0-1")),
	check("connect/take-over", takeOver, on31, on311("3.1.4-2"), on5("3.1.4-3 3.14.4-1 3.14.4-2")),
	check("connect/take-over race", takeOverRace, on31, on311("3.1.4-2"), on5("3.1.4-3 3.2.0-2 3.14.4-1 3.14.4-2")),
	check("connect/not authorized", connectDenied, on311("X311-3.1.4-b 3.2.2-4 3.2.2-5"), on5("3.1.4-2 3.2.2-7 4.13.2-1")),
	check("connect/packets sent with CONNECT", pipelinedConnect, on31, on311("3.2.0-1"), on5("3.2.0-1")),
	check("connect/no CONNECT in time", connectTimeout, slow, on311("X311-3.1.4-a"), on5("X5-3.1.4-a")),
	check("connect/DISCONNECT closes", disconnectCloses, on31, on311("X311-3.14.4-a"), on5("X5-3.14.4-a")),
	check("connect/packets after DISCONNECT", afterDisconnect, on31, on311("3.14.4-2"), on5("3.14.4-1")),
	check("connect/limits announced", limitsAnnounced, on5("3.2.2-9")),
	check("connect/response information", responseInformation, on5("3.1.2-28")),
	check("connect/CONNACK within Maximum Packet Size", connackSize, on5("3.2.2-19 3.2.2-20 3.1.2-24")),
}

func connectAccepted(t *T) {
	p := t.connect("c", connect{})
	if p.connack.sessionPresent {
		t.failf("want Session Present 0 for a clean session")
	}
	p.wantIdle("no second CONNACK and nothing else before the client speaks")
	p.ping()
	p.bye()
	// Session Present stays 0: the clean session ended with its connection.
	again := t.dial("c")
	again.send(t.fill("c", t.lasting(connect{})))
	again.want("CONNACK for a client without session", typeCONNACK, code(0), present(false))
}

func beforeConnect(t *T) {
	for _, first := range []encoder{
		pingreq,
		subscribe{id: 1, subs: []sub{{t.topic("t"), 0}}},
		publish{topic: t.topic("t"), payload: "x", qos: 1, id: 1},
		raw{0xE0, 0},
	} {
		p := t.dial("early")
		p.send(first)
		// 5.0 forbids a DISCONNECT here: no CONNACK was sent.
		p.wantRefused("a close, for the first packet is no CONNECT")
	}
}

func secondConnect(t *T) {
	p := t.connect("c", connect{})
	p.send(t.fill("c", connect{}))
	p.wantClose("a close for the second CONNECT", 0x82)
}

func wrongProtocolName(t *T) {
	for _, name := range []string{"MQTX", "mqtt", "", "MQTTMQTT"} {
		p := t.dial("name")
		p.send(frame(0x10, str(name), one(byte(t.version), 0x02), u16(0), propList{}.section(t.version), str(t.clientID("n"))))
		p.wantRefused("a close for protocol name "+name, orV5(t, nil, []byte{0x84, 0x81, 0x82})...)
	}
}

func unsupportedLevel(t *T) {
	for _, level := range []byte{6, 0x7F} {
		p := t.dial("level")
		p.send(frame(0x10, connectHead(mqtt.V5, level, 0x02, 0), propList{}.section(t.version), str(t.clientID("n"))))
		if t.v5() {
			// A client of a version the server does not know: 0x84 or a 3.1.1 CONNACK are both guesses.
			p.wantRefusedAnyForm("a close for an unknown protocol level")
			continue
		}
		p.want("CONNACK 0x01 for an unknown protocol level", typeCONNACK, code(1), present(false))
		p.wantClose("a close after CONNACK 0x01")
	}
}

// wantRefusedAnyForm wants the close; whatever came before may be in the form
// of any version.
func (p *peer) wantRefusedAnyForm(sentence string) {
	r, err := p.next(p.t.target.patience(), anything)
	var bad badReply
	accepted := r != nil && r.typ == typeCONNACK && r.code == 0
	if asBad(err, &bad) { // a CONNACK in another version's form
		accepted = len(bad.raw) < 4 || bad.raw[0] != 0x20 || bad.raw[3] == 0
	} else if r != nil {
		_, err = p.next(p.t.target.patience(), anything)
	}
	if accepted || err == nil {
		p.t.failf("%s: want %s: got %s", p.name, sentence, p.describe(r, err))
	}
}

// refuse dials, sends a CONNECT and wants it refused as malformed.
func (t *T) refuse(why string, packet raw, codes ...byte) {
	p := t.dial("bad")
	p.send(packet)
	if !t.v5() {
		codes = nil
	}
	p.wantRefused("a close without acceptance: "+why, codes...)
}

func connectReservedFlag(t *T) {
	c := t.fill("c", connect{})
	t.refuse("reserved connect flag is 1", c.with(t.version, c.flags()|1), 0x81, 0x82)
}

func willFlagsWithoutWill(t *T) {
	c := t.fill("c", connect{})
	for _, bits := range []byte{0x08, 0x10, 0x18, 0x20, 0x28} {
		t.refuse("Will QoS or Will Retain without Will Flag", c.with(t.version, c.flags()|bits), 0x81, 0x82)
	}
}

func willQoS3(t *T) {
	c := t.fill("c", connect{will: &will{topic: t.topic("w"), payload: "x", qos: 3}})
	t.refuse("Will QoS 3", c.with(t.version, c.flags()), 0x81, 0x82)
}

func willFieldsMissing(t *T) {
	c := t.fill("c", connect{})
	t.refuse("Will Flag but no will fields", c.with(t.version, c.flags()|0x04), 0x81, 0x82)
	c = t.fill("c", connect{will: &will{topic: t.topic("w"), payload: "x"}})
	t.refuse("will fields but no Will Flag", c.with(t.version, c.flags()&^0x04), 0x81, 0x82)
}

func userNameField(t *T) {
	c := connect{id: t.clientID("c")}
	t.refuse("User Name Flag but no user name", c.with(t.version, c.flags()|0x80), 0x81, 0x82)
	c.user = "someone"
	t.refuse("user name but no User Name Flag", c.with(t.version, c.flags()&^0x80), 0x81, 0x82)
}

func passwordField(t *T) {
	c := connect{id: t.clientID("c"), user: "someone"}
	t.refuse("Password Flag but no password", c.with(t.version, c.flags()|0x40), 0x81, 0x82)
	c.pass = "secret"
	t.refuse("password but no Password Flag", c.with(t.version, c.flags()&^0x40), 0x81, 0x82)
}

func passwordAlone(t *T) {
	c := connect{id: t.clientID("c"), pass: "secret"}
	if !t.v5() {
		t.refuse("password without user name", c.with(t.version, c.flags()))
		return
	}
	// 5.0 allows it: whatever the broker thinks of the password, it is no malformed packet.
	p := t.dial("c")
	p.send(c)
	p.want("an answer to a password without user name", typeCONNACK, code(0x00, 0x86, 0x87))
}

// connectTruncated cuts a good CONNECT after every byte of its body.
func connectTruncated(t *T) {
	c := t.fill("c", connect{user: "u", pass: "p", will: &will{topic: t.topic("w"), payload: "x"}})
	whole := c.encode(t.version)
	body := whole[2:]
	for _, n := range []int{0, 1, 3, len(body) / 3, len(body) / 2, len(body) - 3, len(body) - 1} {
		t.refuse("CONNECT that ends early", frame(0x10, body[:n]))
	}
	t.refuse("bytes after the end of CONNECT", frame(0x10, body, one(0)))
}

func plainClientIDs(t *T) {
	for _, tail := range []string{"0123456789ABC", "abcdefghijklm", "nopqrstuvwxyz", "ABCDEFGHIJKLM", "NOPQRSTUVWXYZ"} {
		c := connect{id: (t.prefix + tail)[:23]}
		t.connect(tail, c).bye()
	}
	one := t.dial("one character")
	one.send(t.fill("one", connect{id: "Z"}))
	one.want("CONNACK for a client identifier of one character", typeCONNACK, code(0))
	one.bye()
}

// emptyID connects without client identifier, or skips where that is refused.
func (t *T) emptyID(name string) *peer {
	p := t.dial(name)
	p.send(t.fill(name, connect{noID: true}))
	p.connack = p.want("an answer to an empty client identifier", typeCONNACK)
	if c := p.connack.code; c == 2 && !t.v5() || c == 0x85 && t.v5() {
		t.skipf("broker refuses empty client identifiers")
	}
	return p
}

func assignedID(t *T) {
	a, b := t.emptyID("a"), t.emptyID("b")
	a.ping() // the second did not take over the first
	b.ping()
	if !t.v5() {
		return
	}
	first, second := a.connack.text(pAssignedID), b.connack.text(pAssignedID)
	if first == "" || second == "" || first == second {
		t.failf("want two different Assigned Client Identifiers, got %q and %q", first, second)
	}
	// The assigned identifier is the client's from now on: using it takes over.
	c := t.connect("c", connect{id: first})
	c.ping()
	a.wantDisconnect("the take-over by the assigned identifier", 0x8E)
	if named := t.connect("d", connect{}); named.connack.has(pAssignedID) {
		t.failf("want no Assigned Client Identifier for a client that brought its own")
	}
}

func emptyIDRefused(t *T) {
	t.with(Options{RefuseEmptyClientID: true})
	p := t.dial("c")
	p.send(t.fill("c", connect{noID: true}))
	// 5.0 lets the server choose the code.
	p.wantRefused("a refusal of the empty client identifier", orV5(t, []byte{2}, nil)...)
}

func emptyIDKept(t *T) {
	p := t.dial("c")
	p.send(connect{noID: true, keep: true, user: t.target.User, pass: t.target.Password})
	p.want("CONNACK 0x02 for an empty client identifier with CleanSession 0", typeCONNACK, code(2), present(false))
	p.wantClose("a close after CONNACK 0x02")
}

func dataAfterRefusal(t *T) {
	watch := t.connect("watch", connect{})
	watch.subscribe(t.topic("t"), 0)
	c := t.fill("c", connect{})
	p := t.dial("bad")
	p.send(c.with(t.version, c.flags()|1), publish{topic: t.topic("t"), payload: "no"}, pingreq)
	p.wantRefused("a close, and no answer to what followed the bad CONNECT")
	watch.wantIdle("nothing published by a client whose CONNECT was refused")
}

func takeOver(t *T) {
	old := t.connect("same", connect{})
	t.connect("same", connect{}).ping()
	if t.v5() {
		old.wantDisconnect("the old connection told of the take-over", 0x8E)
		return
	}
	old.wantClose("the old connection closed by the new one")
}

// takeOverRace: of clients that come at once under one identifier, each is
// answered once, and all but the last are cut off.
func takeOverRace(t *T) {
	var racers []*peer
	for range 8 {
		var start sync.WaitGroup
		for range 16 {
			p := t.dial("racer")
			racers = append(racers, p)
			start.Go(func() { p.send(t.fill("same", connect{})) })
		}
		start.Wait()
	}
	for _, p := range racers {
		if r, err := p.next(t.target.patience(), anything); err == nil && (r == nil || r.typ != typeCONNACK) {
			p.t.failf("%s: want CONNACK or the close, got %s", p.name, p.describe(r, err))
		}
	}
	t.connect("same", connect{}).ping() // all have been answered: this one comes last
	for _, p := range racers {
		p.wantClose("nothing but a DISCONNECT and the close after CONNACK")
	}
}

func connectDenied(t *T) {
	t.with(Options{DenyUser: "conform-denied"})
	p := t.dial("c")
	p.send(t.fill("c", connect{user: "conform-denied", pass: "x"}))
	p.wantRefused("a refusal of a user who may not connect", orV5(t, []byte{4, 5}, []byte{0x86, 0x87, 0x8A})...)
}

// pipelinedConnect: a client need not wait for CONNACK, and gets it first all the same.
func pipelinedConnect(t *T) {
	p := t.dial("c")
	p.send(t.fill("c", connect{}), pingreq, subscribe{id: 1, subs: []sub{{t.topic("t"), 0}}})
	p.want("CONNACK before everything else", typeCONNACK, code(0))
	p.pick("PINGRESP", typePINGRESP)
	p.pick("SUBACK", typeSUBACK, id(1))
}

func connectTimeout(t *T) {
	t.with(Options{ConnectTimeout: waitUnit})
	p := t.dial("mute")
	t.wait(waitUnit + waitUnit/2)
	p.wantRefused("a close of a connection that sends no CONNECT")
}

func disconnectCloses(t *T) {
	p := t.connect("c", connect{})
	p.send(disconnect{})
	p.wantRefused("the broker to close after DISCONNECT")
}

func afterDisconnect(t *T) {
	sub, pub := t.pair(0)
	pub.say(t.topic("t"), "early")
	sub.take("what came before DISCONNECT", t.topic("t"), "early")
	pub.send(disconnect{}, publish{topic: t.topic("t"), payload: "late"})
	sub.wantIdle("nothing that came after DISCONNECT")
}

// limitsAnnounced: every limit that differs from what absence means is in CONNACK.
func limitsAnnounced(t *T) {
	t.with(Options{
		MaxQoS: new(mqtt.AtLeastOnce), NoRetain: true, NoWildcard: true, NoSubscriptionIDs: true, NoShared: true,
		MaxPacketSize: 4096, ReceiveMaximum: 7, TopicAliasMaximum: 5, ServerKeepAlive: 40,
	})
	p := t.connect("c", connect{keepAlive: 60})
	for _, want := range []struct {
		id byte
		n  uint32
	}{
		{pMaximumQoS, 1},
		{pRetainAvailable, 0},
		{pWildcards, 0},
		{pSubIDs, 0},
		{pShared, 0},
		{pMaxPacketSize, 4096},
		{pReceiveMaximum, 7},
		{pAliasMaximum, 5},
		{pServerKeepAlive, 40},
	} {
		if why := number(want.id, want.n)(p.connack); why != "" {
			t.failf("want the limits announced in CONNACK: %s", why)
		}
	}
}

func responseInformation(t *T) {
	t.with(Options{ResponseInformation: "conform/replies"})
	asked := t.connect("a", connect{props: property(pRequestResponse, 1)})
	if why := with(pResponseInfo)(asked.connack); why != "" {
		t.failf("want Response Information for a client that asks: %s", why)
	}
	for _, ps := range []propList{nil, property(pRequestResponse, 0)} {
		p := t.connect("b", connect{props: ps})
		if why := without(pResponseInfo)(p.connack); why != "" {
			t.failf("want none for a client that does not ask: %s", why)
		}
	}
}

// connackSize: a broker that would say more keeps within what the client can take.
func connackSize(t *T) {
	const most = 60
	cs := []connect{{}, {noID: true}}
	if t.tryWith(Options{DenyUser: "conform-denied"}) {
		cs = append(cs, connect{user: "conform-denied", pass: "x"})
	}
	for _, c := range cs {
		c.props = property(pMaxPacketSize, most)
		p := t.dial("small")
		p.send(t.fill("c", c))
		p.want("a CONNACK no longer than the client allows", typeCONNACK, atMost(most))
	}
	bad := t.dial("tiny")
	bad.send(t.fill("c", connect{props: props(property(pMaxPacketSize, 8), property(pReceiveMaximum, 0))}))
	r, _ := bad.next(t.target.patience(), anything)
	if r != nil && r.size > 8 {
		t.failf("want no packet above the client's 8 bytes, got %s", r)
	}
}
