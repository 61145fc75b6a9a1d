package conform

var authChecks = []Check{
	check("auth/unknown method", authUnknown, on5("4.12.0-1")),
	check("auth/challenge and success", authSuccess, on5("4.12.0-2 4.12.0-5 3.15.2-1 3.2.0-1")),
	check("auth/wrong answer", authWrong, on5("4.12.0-4 3.1.4-2 4.13.2-1")),
	check("auth/other packets before CONNACK", authOtherPackets, on5("3.1.2-30")),
	check("auth/other method", authOtherMethod, on5("4.12.0-5 X5-3.15-a")),
	check("auth/AUTH without method in CONNECT", authUninvited, on5("4.12.0-6 4.12.0-7 X5-3.15-a")),
	check("auth/re-authentication", authAgain, on5("4.12.1-1 3.15.2-1")),
	check("auth/re-authentication with another method", authAgainOther, on5("4.12.1-1")),
	check("auth/re-authentication fails", authAgainWrong, on5("4.12.1-2")),
	check("auth/header flags", authFlags, on5("3.15.1-1")),
	check("auth/reason codes", authCodes, on5("3.15.2-1 4.12.0-3")),
	check("auth/malformed properties", authProperties,
		on5("X5-3.15.2.2.2-dup X5-3.15.2.2.3-dup X5-3.15.2.2.4-dup")),
	check("auth/small packets", authSmall, on5("3.15.2-2 3.15.2-3 3.1.2-24")),
	check("auth/none without method", authNone, on5("4.12.0-6 X5-4.12-b")),
}

func method(name string) propList     { return property(pAuthMethod, name) }
func authData(data string) propList   { return property(pAuthData, data) }
func (t *T) withAuth()                { t.with(Options{AuthMethod: EchoMethod}) }
func answer(code byte, d string) auth { return auth{code, props(method(EchoMethod), authData(d))} }

// challenge connects with the method and takes the server's challenge.
func (t *T) challenge(name string) (*peer, string) {
	p := t.dial(name)
	p.send(t.fill(name, connect{props: method(EchoMethod)}))
	r := p.want("AUTH 0x18 with the CONNECT's method", typeAUTH, code(0x18), text(pAuthMethod, EchoMethod), with(pAuthData))
	return p, r.text(pAuthData)
}

// authenticated connects and answers the challenge.
func (t *T) authenticated(name string) *peer {
	p, data := t.challenge(name)
	p.send(answer(0x18, data))
	p.connack = p.want("CONNACK with the CONNECT's method", typeCONNACK, code(0), text(pAuthMethod, EchoMethod))
	return p
}

func authUnknown(t *T) {
	p := t.dial("c")
	p.send(t.fill("c", connect{props: method("conform-no-such-method")}))
	p.wantRefused("a refusal of a method nobody knows", 0x8C, 0x87)
}

func authSuccess(t *T) {
	t.withAuth()
	p := t.authenticated("c")
	p.ping()
}

func authWrong(t *T) {
	t.withAuth()
	p, data := t.challenge("c")
	p.send(answer(0x18, data+"x"))
	p.wantRefused("a refusal of the wrong answer")
}

func authOtherPackets(t *T) {
	t.withAuth()
	for _, early := range []encoder{pingreq, publish{topic: t.topic("t"), payload: "x"}, subscribe{id: 1, subs: []sub{{t.topic("t"), 0}}}} {
		p, _ := t.challenge("c")
		p.send(early)
		p.wantRefused("a close for a packet other than AUTH and DISCONNECT before CONNACK", 0x82)
	}
}

func authOtherMethod(t *T) {
	t.withAuth()
	p, data := t.challenge("c")
	p.send(auth{0x18, props(method("other"), authData(data))})
	p.wantRefused("a close for an AUTH with another method", 0x82, 0x8C, 0x87)
}

func authUninvited(t *T) {
	p := t.connect("c", connect{})
	p.send(auth{0x18, method(EchoMethod)})
	p.wantClose("a close for AUTH although CONNECT named no method", 0x82)
}

func authAgain(t *T) {
	t.withAuth()
	p := t.authenticated("c")
	for range 2 {
		p.send(auth{0x19, method(EchoMethod)})
		r := p.want("a challenge for the re-authentication", typeAUTH, code(0x18), text(pAuthMethod, EchoMethod))
		p.ping() // other traffic goes on meanwhile
		p.send(answer(0x18, r.text(pAuthData)))
		p.want("AUTH 0x00 with the method", typeAUTH, code(0), text(pAuthMethod, EchoMethod))
	}
	p.ping()
}

func authAgainOther(t *T) {
	t.withAuth()
	p := t.authenticated("c")
	p.send(auth{0x19, method("other")})
	p.wantClose("a close for a re-authentication with another method", 0x82, 0x8C, 0x87)
}

func authAgainWrong(t *T) {
	t.withAuth()
	p := t.authenticated("c")
	p.send(auth{0x19, method(EchoMethod)})
	p.want("a challenge", typeAUTH, code(0x18))
	p.send(answer(0x18, "wrong"))
	p.wantClose("a close after a re-authentication that failed", 0x87, 0x8C, 0x80)
}

func authFlags(t *T) {
	t.withAuth()
	p := t.authenticated("c")
	p.send(frame(0xF1, one(0x19), method(EchoMethod).section(t.version)))
	p.wantClose("a close for AUTH with a reserved flag set", 0x81)
}

func authCodes(t *T) {
	t.withAuth()
	for _, c := range []byte{0x00, 0x01, 0x80, 0x87} {
		p := t.authenticated("c")
		p.send(auth{c, method(EchoMethod)})
		p.wantClose("a close for an AUTH code no client may send", 0x81, 0x82)
	}
}

func authProperties(t *T) {
	t.withAuth()
	for _, ps := range []propList{
		nil,
		authData("x"),
		props(method(EchoMethod), method(EchoMethod)),
		props(method(EchoMethod), authData("a"), authData("a")),
		props(method(EchoMethod), property(pReasonString, "a"), property(pReasonString, "a")),
	} {
		p := t.authenticated("c")
		p.send(auth{0x19, ps})
		p.wantClose("a close for AUTH with missing or repeated properties", 0x82, 0x81)
	}
}

func authSmall(t *T) {
	t.withAuth()
	const most = 64
	p := t.dial("c")
	p.send(t.fill("c", connect{props: props(method(EchoMethod), property(pMaxPacketSize, most))}))
	r := p.want("an AUTH no longer than the client allows", typeAUTH, code(0x18), atMost(most))
	p.send(answer(0x18, r.text(pAuthData)))
	p.want("a CONNACK no longer than the client allows", typeCONNACK, code(0), atMost(most))
}

func authNone(t *T) {
	p := t.connect("c", connect{})
	if why := without(pAuthMethod, pAuthData)(p.connack); why != "" {
		t.failf("want no authentication in CONNACK: %s", why)
	}
	p.wantIdle("no AUTH for a client that named no method")
}
