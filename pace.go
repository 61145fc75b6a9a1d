package midge

import (
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A meter is what a connection's reader knows of how much its client publishes.
// It is made when a rate is in force and the first message comes.
type meter struct {
	bucket
	over  overdue
	until int64 // nothing is read until then, ns since the broker's epoch; 0: it is
}

const (
	// shortPause is what a Poller's wheel can do: waking for every message by
	// itself would be dearer than the messages.
	shortPause = int64(100 * time.Millisecond)

	// longPause is how soon a change of rates is noticed.
	longPause = int64(time.Second)

	// sipSize is how much is read in one turn from a client that sends too
	// much: that is what is held for it.
	sipSize = 4 << 10
)

var errTooFast = &Refusal{Code: mqtt.QuotaExceeded, Reason: "message rate too high"}

// rated reports whether a rate is in force for the connection.
func (c *conn) rated() bool { return c.b.bounds.Load().rated || c.listen.rate.Load() != nil }

// paused reports whether nothing is to be read now.
func (c *conn) paused() bool {
	return c.extra != nil && c.extra.meter != nil && c.extra.meter.until > 0
}

// pace looks at the packet that b begins with before it is decoded. A PUBLISH
// for which a rate has no room is refused (sc.tooFast), waits where it is
// (paused), or ends the connection.
func (c *conn) pace(sc *scratch, b []byte) error {
	if sc.tooFast = false; len(b) == 0 || b[0]>>4 != byte(packet.PUBLISH) || c.session == nil {
		return nil
	}
	if x := c.extras(); x.meter == nil {
		x.meter = new(meter)
	}
	now := int64(c.b.since(sc.now))
	at, whose := c.ready(now)
	if at <= now {
		return nil
	}
	mode := c.b.bounds.Load().OverRate
	c.sayTooFast(now, whose, mode)
	switch qos := b[0] >> 1 & 3; {
	case mode == CutOff:
		c.b.count.limited.rateEnded.Add(1)
		return &Refusal{Code: mqtt.MessageRateTooHigh}
	case mode == Refuse && (qos == 0 || c.version == mqtt.V5):
		sc.tooFast = true // counted where it is refused: all of it may be still to come
	default:
		c.b.count.limited.rateHeld.Add(1)
		c.extra.meter.until = min(max(at, now+shortPause), now+longPause)
	}
	return nil
}

// ready returns when one more message may come, and whose rate says so.
func (c *conn) ready(now int64) (at int64, whose string) {
	set := c.b.bounds.Load()
	burst := int64(set.RateBurst)
	at = c.extra.meter.ready(set.ClientRate, burst, now)
	if at > now {
		return at, "client"
	}
	if r := c.listen.rate.Load(); r != nil {
		if at = c.listen.ready(*r, burst, now); at > now {
			return at, "listener"
		}
	}
	return c.b.paid.ready(set.Rate, burst, now), "broker"
}

// paid takes a message of n bytes off every rate. One that is refused costs
// nothing: otherwise who never stops would never be let through again.
func (c *conn) paid(sc *scratch, n int) {
	if c.extra == nil || c.extra.meter == nil || sc.tooFast {
		return
	}
	set, now := c.b.bounds.Load(), int64(c.b.since(sc.now))
	c.extra.meter.take(set.ClientRate, now, n)
	if r := c.listen.rate.Load(); r != nil {
		c.listen.take(*r, now, n)
	}
	c.b.paid.take(set.Rate, now, n)
}

// sayTooFast tells the log, once for as long as it goes on.
func (c *conn) sayTooFast(now int64, whose string, mode OverRate) {
	news := c.extra.meter.over.begins(now)
	switch whose {
	case "client":
	case "listener":
		news = c.listen.over.begins(now)
	default:
		news = c.b.overdue.begins(now)
	}
	if !news {
		return
	}
	done := [...]string{HoldBack: "held back", Refuse: "refused", CutOff: "cut off"}[mode]
	c.b.log.Warn("messages come faster than they may", "rate", whose, "client", c.id(),
		"remote", c.nc.RemoteAddr(), "listener", c.listen.url, "so", done)
}

// holdReading has the reader come back, if not for an end, when the pause is
// over: until then silence is not the client's.
func (c *conn) holdReading(until time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == flowing {
		c.readLocked(until)
	}
}

// resume goes on with a connection whose loop had paused: what was read before
// comes first.
func (c *conn) resume(sc *scratch) (over, more bool) {
	if stage := c.at(); stage != flowing {
		if stage == mute {
			c.fail(errHungUp)
		}
		return true, false
	}
	if int64(c.b.since(time.Now())) < c.extra.meter.until {
		return false, false
	}
	c.extra.meter.until = 0
	c.forgetDeadline()
	var b []byte
	if c.rest() != nil {
		b = c.rest().Unread()
	}
	if over = c.chew(sc, b); over || c.paused() {
		return over, false
	}
	if err := c.arm(); err != nil {
		c.fail(err)
		return true, false
	}
	return false, c.sock().More()
}

// chew handles b, and keeps what is left of it for the next turn.
func (c *conn) chew(sc *scratch, b []byte) (over bool) {
	used, need, over, err := c.batch(sc, b)
	if c.fail(err); over || err != nil {
		return true
	}
	c.keepRest(b[used:], need)
	if c.rest() != nil {
		if err := c.overfull(c.rest()); err != nil {
			c.fail(err)
			return true
		}
	}
	if c.paused() {
		c.holdReading(time.Duration(c.extra.meter.until))
	}
	return false
}

// parked gives the connection back to its loop. False is one that goes on here.
func (c *conn) parked() bool {
	if c.paused() {
		return c.sock().Doze()
	}
	return c.sock().Park()
}

// awaitTurn is a pause of a connection that has a goroutine of its own. False
// is its end.
func (c *conn) awaitTurn() (bool, error) {
	o, until := &c.outbox, time.Duration(c.extra.meter.until)
	o.mu.Lock()
	defer o.mu.Unlock()
	alarm := time.AfterFunc(until-c.b.since(time.Now()), func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		c.movedLocked()
	})
	defer alarm.Stop()
	for o.stage == flowing && c.b.since(time.Now()) < until {
		c.awaitLocked()
	}
	c.extra.meter.until = 0
	if o.stage == mute {
		return false, errHungUp
	}
	return o.stage == flowing, nil
}

// sip is what of in to read into, behind kept bytes: of a client that sends too
// much no more than a sip is read ahead.
func (c *conn) sip(sc *scratch, in []byte, kept int) []byte {
	if x := c.extra; x != nil && x.meter != nil && x.meter.over.at(int64(c.b.since(sc.now))) {
		return in[:min(len(in), kept+sipSize)]
	}
	return in
}
