package midge

import (
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/trace"
)

// claim makes c the owner of the session of its client identifier. A
// connection that owns it now is told so, cut off, and waited for
// [MQTT-3.1.4-2, 3.1.1] [MQTT-3.1.4-3, 5.0]; then its will has been seen to,
// its reader is gone and Hooks.Disconnected has returned. present says the
// session is an old one. The session is as it was until resume; whoever does
// not get that far gives it back with release. Of several that wait for one the
// last to come has it: the others are what their client has given up.
func (b *Broker) claim(sc *scratch, c *conn, clean bool) (s *session, present bool, err error) {
	c.since = b.arrival(sc.now.UnixNano())
	for {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return nil, false, &Refusal{Code: mqtt.ServerUnavailable}
		}
		old := b.sessions.find(c.id())
		if owner := old.heldBy(); owner != nil {
			b.mu.Unlock()
			if owner.since > c.since {
				return nil, false, &Refusal{Code: mqtt.ServerBusy, Reason: "a later connection has the session"}
			}
			c.mayWait(sc)
			owner.kick(mqtt.SessionTakenOver, "")
			ctx, cancel := c.greetingContext()
			over := owner.awaitEnd(ctx)
			cancel()
			if !over {
				return nil, false, &Refusal{Code: mqtt.ServerBusy}
			}
			continue
		}
		from := short
		if c.expiry.Load() > 0 {
			from = tight
		}
		if old == nil && b.tooMuch(from) {
			b.mu.Unlock()
			return nil, false, errShort
		}
		if !b.roomLocked(c, old) {
			b.mu.Unlock()
			b.count.limited.sessions.Add(1)
			return nil, false, &Refusal{Code: mqtt.QuotaExceeded, Reason: "no room for one more session"}
		}
		s, present = old, old != nil && !clean
		if !present {
			b.dropLocked(old)
			s = b.newSession(c.id())
			b.addLocked(s)
		}
		if !s.kept && c.expiry.Load() > 0 {
			s.kept = true
			b.kept++
		}
		s.owner = c
		b.connected++
		b.count.peak.Store(max(b.count.peak.Load(), int64(b.connected)))
		b.mu.Unlock()
		if old != nil && !present {
			c.mayWait(sc)
			b.ending(old, old.end()) // [MQTT-3.1.2-4, 5.0]
		}
		c.promise(b.endingOf(s))
		return s, present, nil
	}
}

// arrival is now, or soon after: later than any before.
func (b *Broker) arrival(now int64) int64 {
	for {
		last := b.arrived.Load()
		if next := max(now, last+1); b.arrived.CompareAndSwap(last, next) {
			return next
		}
	}
}

// ending notes that s is no more, which the store knows for good at pos: until
// then a crash would bring it back, and its client is not told that it is gone.
func (b *Broker) ending(s *session, pos store.Position) {
	if b.keep.durable(pos) {
		return
	}
	b.mu.Lock()
	b.endings[s.id] = pos
	b.mu.Unlock()
	b.keep.st.After(pos, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.endings[s.id] == pos {
			delete(b.endings, s.id)
		}
	})
}

// endingOf is what ending has noted of the sessions before s, 0 if nothing.
func (b *Broker) endingOf(s *session) store.Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.endings[s.id]
}

// roomLocked says whether c may have a session in place of old. One that is to
// outlive its connection may have to do without that; a client that cannot be
// told so has none.
func (b *Broker) roomLocked(c *conn, old *session) bool {
	if c.expiry.Load() == 0 || b.kept < b.bounds.Load().MaxSessions || old != nil && old.kept {
		return true
	}
	if c.version == mqtt.V5 {
		c.expiry.Store(0) // CONNACK tells
		b.count.limited.sessions.Add(1)
		return true
	}
	return false
}

// addLocked registers a session, in place of one that has been dropped.
func (b *Broker) addLocked(s *session) {
	b.sessions.put(s)
	b.budget.sessions.Add(1)
	b.hold(len(s.id))
}

// dropLocked deletes a session from the register. nil is none.
func (b *Broker) dropLocked(s *session) {
	if s == nil || b.sessions.find(s.id) != s {
		return
	}
	b.sessions.drop(s)
	b.budget.sessions.Add(-1)
	b.hold(-len(s.id))
	if s.kept {
		s.kept = false
		b.kept--
	}
}

// release gives a session up; forget deletes it too.
func (b *Broker) release(s *session, forget bool) {
	b.mu.Lock()
	s.owner = nil
	b.connected--
	forgotten := s.forgotten && !forget
	if forget || forgotten {
		b.dropLocked(s)
	}
	b.mu.Unlock()
	switch {
	case forgotten:
		b.ending(s, s.end())
	case !forget:
		b.expire(s) // its time may have come while somebody owned it
	}
}

// Forget ends the session of a client as if it had expired: what waits for it,
// its subscriptions and its will, said now, are gone. One that is connected is
// disconnected as an administrator would, and has its session until then. It
// reports whether there was one. It waits for nothing, but for hooks about the
// will of a client that is away.
func (b *Broker) Forget(clientID string) bool {
	b.mu.Lock()
	s := b.sessions.find(clientID)
	if s == nil {
		b.mu.Unlock()
		return false
	}
	if c := s.owner; c != nil {
		s.forgotten = true // c may be about to come, or have left already
		b.mu.Unlock()
		c.expiry.Store(0)
		c.kick(mqtt.AdministrativeAction, "")
		return true
	}
	b.dropLocked(s)
	b.mu.Unlock()
	b.ending(s, s.end())
	return true
}

// expire ends a session whose client has stayed away for too long.
func (b *Broker) expire(s *session) {
	b.mu.Lock()
	until := time.Duration(s.until.Load()) * time.Second
	if b.sessions.find(s.id) != s || s.owner != nil || until == 0 || b.since(time.Now()) < until {
		b.mu.Unlock()
		return
	}
	b.dropLocked(s)
	b.mu.Unlock()
	b.count.expired.Add(1)
	b.log.Debug("session expired", "client", s.id)
	s.end()
}

// gone drops a connection that has ended and keeps what it counted: in one step,
// for countTraffic.
func (b *Broker) gone(c *conn) {
	in, out := c.tallies()
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.conns) - 1
	b.conns[last].place = c.place
	b.conns[c.place], b.conns[last] = b.conns[last], nil
	b.conns = b.conns[:last]
	b.budget.connections.Add(-connCost(c.nc))
	b.count.departed[0].add(in)
	b.count.departed[1].add(out)
}

// noSession notes a connection that ended before it had a session.
func (b *Broker) noSession(c *conn, code mqtt.ReasonCode, text string) {
	if c.fault() == nil || c.fault() == errHungUp {
		return
	}
	b.count.refused.connect.Add(1)
	c.tell(trace.Refused, code, text)
	b.sayOfStrangers(levelOf(c.fault()), "connection refused", "remote", c.nc.RemoteAddr(), "transport", c.nc.Kind(),
		"reason", code.String(), "detail", text)
}

// heldBy is the connection that owns the session, nil if it is absent or none.
// The caller holds Broker.mu.
func (s *session) heldBy() *conn {
	if s == nil {
		return nil
	}
	return s.owner
}

// clientCount is how many clients are connected.
func (b *Broker) clientCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.connected
}

// sayParkedWills says the delayed wills of clients that are away: their
// sessions end with the broker [MQTT-3.1.2-8, 5.0].
func (b *Broker) sayParkedWills() {
	for _, s := range b.everySession() {
		if !s.stored.Load() { // its will waits for the next broker otherwise
			s.willDue()
		}
	}
}

// housekeep renews $SYS and forgets what has expired, until the broker ends.
func (b *Broker) housekeep() {
	sweep := time.NewTicker(time.Minute)
	defer sweep.Stop()
	var renew <-chan time.Time
	if b.set.SysInterval > 0 {
		t := time.NewTicker(b.set.SysInterval)
		defer t.Stop()
		renew = t.C
	}
	sys := newSysTree(b)
	if renew != nil {
		sys.renew(time.Now())
	}
	for {
		select {
		case <-b.ctx.Done():
			return
		case now := <-renew:
			sys.renew(now)
		case now := <-sweep.C:
			b.sweepRetained(now)
		}
	}
}
