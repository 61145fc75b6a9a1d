package link

import "time"

// A Verdict is what a Timer wants done.
type Verdict uint8

const (
	Wait  Verdict = iota
	Ping          // client: send PINGREQ
	Late          // the greeting did not come in time
	Quiet         // the peer has been silent for too long
)

// A Timer knows when a connection has waited long enough. Times are durations
// since an epoch of the caller's choosing; the caller asks again at Next.
type Timer struct {
	side    Side
	opened  bool
	waiting bool   // a PINGREQ is unanswered
	every   uint16 // keep alive, seconds; 0 is off
	heard   time.Duration
	said    time.Duration // client only
	mark    time.Duration // when the greeting is late; once open, when PINGREQ went out
}

// Init starts the wait for CONNECT (server) or CONNACK (client)
// [X5-3.1.4-a] [X311-3.1.4-a] [X5-3.2-a] [X311-3.2-a].
func (t *Timer) Init(side Side, now, patience time.Duration) {
	*t = Timer{side: side, mark: now + patience, heard: now, said: now}
}

// Open ends the greeting; keepAlive is in seconds, 0 for none.
func (t *Timer) Open(now time.Duration, keepAlive uint16) {
	t.opened, t.every = true, keepAlive
	t.heard, t.said = now, now
}

// Heard notes that a packet came in, Said that one went out.
func (t *Timer) Heard(now time.Duration) { t.heard, t.waiting = now, false }
func (t *Timer) Said(now time.Duration)  { t.said = now }

// Pinged notes that a PINGREQ went out.
func (t *Timer) Pinged(now time.Duration) { t.said, t.mark, t.waiting = now, now, true }

// Next returns when Check may say something new; false is never.
func (t *Timer) Next() (time.Duration, bool) {
	every := time.Duration(t.every) * time.Second
	switch {
	case !t.opened:
		return t.mark, true
	case t.every == 0:
		return 0, false
	case t.side == Server:
		// [MQTT-3.1.2-24, 3.1.1] [MQTT-3.1.2-22, 5.0]
		return t.heard + every*3/2, true
	case t.waiting:
		return t.mark + every/2, true // [X5-3.1.2.10-a] [X311-3.1.2.10-a]
	default:
		// [MQTT-3.1.2-23, 3.1.1] [MQTT-3.1.2-20, 5.0] A client that talks all
		// the time finds out, too, when nobody listens any more.
		return min(t.said, t.heard) + every, true
	}
}

// Check says what is due at now.
func (t *Timer) Check(now time.Duration) Verdict {
	at, ok := t.Next()
	switch {
	case !ok || now < at:
		return Wait
	case !t.opened:
		return Late
	case t.side == Server || t.waiting:
		return Quiet
	}
	return Ping
}
