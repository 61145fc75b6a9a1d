package conform

import "time"

var keepAliveChecks = []Check{
	check("keepalive/PINGRESP", pingAnswered, on31, on311("3.12.4-1"), on5("3.12.4-1")),
	check("keepalive/silence closes", silenceCloses, slow, on31, on311("3.1.2-24"), on5("3.1.2-22 3.2.2-22 4.13.2-1")),
	check("keepalive/not closed early", notEarly, slow, on31, on311("3.1.2-24"), on5("3.1.2-22")),
	check("keepalive/any packet counts", anyPacketCounts, slow, on31, on311("3.1.2-24"), on5("3.1.2-22")),
	check("keepalive/what the server sends does not count", serverTraffic, slow, on31, on311("3.1.2-24"), on5("3.1.2-22")),
	check("keepalive/0 turns it off", keepAliveOff, slow, on31, on311("3.1.2-24"), on5("3.1.2-22")),
	check("keepalive/server's own", serverKeepAlive, slow, on5("3.2.2-22 3.1.2-22")),
}

// slack gives a broker that looks at its clients every few seconds the time to
// notice. The standard names no tolerance; the wire can show none.
func (t *T) slack() { t.target.Patience = t.target.patience() + 4*waitUnit }

func pingAnswered(t *T) {
	p := t.connect("c", connect{keepAlive: 60})
	for range 3 {
		p.send(pingreq)
		p.want("PINGRESP", typePINGRESP)
	}
	p.wantIdle("one PINGRESP for each PINGREQ")
}

func silenceCloses(t *T) {
	t.slack()
	p := t.connect("c", connect{keepAlive: 1})
	t.wait(waitUnit)
	p.wantClose("a close after one and a half times Keep Alive", 0x8D)
}

func notEarly(t *T) {
	p := t.connect("c", connect{keepAlive: 2})
	for range 2 {
		t.wait(2*waitUnit + waitUnit/2) // more than Keep Alive, less than half as much again
		p.ping()
	}
}

func anyPacketCounts(t *T) {
	p := t.connect("c", connect{keepAlive: 1})
	for range 4 {
		t.wait(waitUnit)
		p.send(publish{topic: t.topic("t"), payload: "x"})
	}
	p.ping()
}

func serverTraffic(t *T) {
	t.slack()
	sub := t.connect("sub", connect{keepAlive: 1})
	sub.subscribe(t.topic("t"), 0)
	pub := t.connect("pub", connect{})
	start := time.Now()
	for time.Since(start) < 6*waitUnit+waitUnit/2 {
		pub.say(t.topic("t"), "x")
		t.wait(waitUnit / 2)
	}
	_, err := sub.next(t.target.patience(), func(*reply) bool { return false })
	if err == nil {
		t.failf("want a silent client closed although messages were sent to it")
	}
}

func keepAliveOff(t *T) {
	p := t.connect("c", connect{})
	if n := p.connack.num(pServerKeepAlive, 0); n != 0 && n < 10 {
		t.skipf("broker imposes a keep alive of %d s", n)
	}
	t.wait(5 * waitUnit)
	p.ping()
}

func serverKeepAlive(t *T) {
	t.with(Options{ServerKeepAlive: 1})
	t.slack()
	p := t.connect("c", connect{keepAlive: 600})
	if why := number(pServerKeepAlive, 1)(p.connack); why != "" {
		t.failf("want Server Keep Alive in CONNACK: %s", why)
	}
	t.wait(waitUnit)
	p.wantClose("a close after one and a half times the server's Keep Alive", 0x8D)
	plain := t.connect("c", connect{keepAlive: 1})
	t.wait(waitUnit)
	plain.wantClose("a close by the client's own Keep Alive, which is as short", 0x8D)
}
