package link

import "time"

// A Verdict is what a timer wants done.
type Verdict uint8

const (
	Wait  Verdict = iota
	Ping          // client: send PINGREQ
	Late          // the greeting did not come in time
	Quiet         // the peer has been silent for too long
)

// A Timer knows when a server has waited long enough for a client. Times are
// durations since an epoch of the caller's choosing; the caller asks again at
// Next.
type Timer struct {
	since  time.Duration // it was last heard; before Open, when CONNECT is late
	every  uint16        // keep alive, seconds; 0 is off
	opened bool
}

// Init starts the wait for CONNECT [X5-3.1.4-a] [X311-3.1.4-a].
func (t *Timer) Init(now, patience time.Duration) { *t = Timer{since: now + patience} }

// Open ends the greeting; keepAlive is in seconds, 0 for none.
func (t *Timer) Open(now time.Duration, keepAlive uint16) {
	*t = Timer{since: now, every: keepAlive, opened: true}
}

// Heard notes that a packet came in. Before Open it changes nothing.
func (t *Timer) Heard(now time.Duration) {
	if t.opened {
		t.since = now
	}
}

// KeepAlive is what Open was told, seconds.
func (t *Timer) KeepAlive() uint16 { return t.every }

// Next returns when Check may say something new; false is never.
func (t *Timer) Next() (time.Duration, bool) {
	if !t.opened {
		return t.since, true
	}
	// [MQTT-3.1.2-24, 3.1.1] [MQTT-3.1.2-22, 5.0]
	return t.since + time.Duration(t.every)*time.Second*3/2, t.every > 0
}

// Check says what is due at now.
func (t *Timer) Check(now time.Duration) Verdict {
	at, ok := t.Next()
	switch {
	case !ok || now < at:
		return Wait
	case !t.opened:
		return Late
	}
	return Quiet
}

// A Pinger is a client's Timer.
type Pinger struct {
	waiting bool   // a PINGREQ is unanswered
	every   uint16 // keep alive, seconds; 0 is off
	heard   time.Duration
	said    time.Duration
	pinged  time.Duration
}

// Open begins a session; keepAlive is in seconds, 0 for none.
func (p *Pinger) Open(now time.Duration, keepAlive uint16) {
	*p = Pinger{every: keepAlive, heard: now, said: now}
}

// Heard notes that a packet came in, Said that one went out.
func (p *Pinger) Heard(now time.Duration) { p.heard, p.waiting = now, false }
func (p *Pinger) Said(now time.Duration)  { p.said = now }

// Pinged notes that a PINGREQ went out.
func (p *Pinger) Pinged(now time.Duration) { p.said, p.pinged, p.waiting = now, now, true }

// Next returns when Check may say something new; false is never.
func (p *Pinger) Next() (time.Duration, bool) {
	every := time.Duration(p.every) * time.Second
	switch {
	case p.every == 0:
		return 0, false
	case p.waiting:
		return p.pinged + every/2, true // [X5-3.1.2.10-a] [X311-3.1.2.10-a]
	}
	// [MQTT-3.1.2-23, 3.1.1] [MQTT-3.1.2-20, 5.0] A client that talks all
	// the time finds out, too, when nobody listens any more.
	return min(p.said, p.heard) + every, true
}

// Check says what is due at now.
func (p *Pinger) Check(now time.Duration) Verdict {
	at, ok := p.Next()
	switch {
	case !ok || now < at:
		return Wait
	case p.waiting:
		return Quiet
	}
	return Ping
}
