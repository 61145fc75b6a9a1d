package midge

import (
	"time"

	"github.com/midgemq/midge/mqtt"
)

// claim makes c the owner of the session of its client identifier. A
// connection that owns it now is told so, cut off, and waited for
// [MQTT-3.1.4-2, 3.1.1] [MQTT-3.1.4-3, 5.0]; then its will has been seen to
// and its reader is gone. present says the session is an old one.
func (b *Broker) claim(c *conn, clean bool) (s *session, present, ok bool) {
	for {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return nil, false, false
		}
		old := b.sessions[c.info.ClientID]
		if owner := b.owners[old]; owner != nil && old != nil {
			b.mu.Unlock()
			owner.kick(mqtt.SessionTakenOver, "")
			select {
			case <-owner.done:
				continue
			case <-c.ctx.Done():
				return nil, false, false
			}
		}
		if old != nil && !clean {
			b.owners[old], c.session = c, old
			b.mu.Unlock()
			return old, true, true
		}
		s = b.newSession(c.info.ClientID)
		b.sessions[c.info.ClientID] = s
		b.owners[s], c.session = c, s
		b.count.peak.Store(max(b.count.peak.Load(), int64(len(b.owners))))
		b.mu.Unlock()
		if old != nil {
			old.end() // [MQTT-3.1.2-4, 5.0]
		}
		return s, false, true
	}
}

// release gives the session up; forget deletes it too.
func (b *Broker) release(c *conn, forget bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.owners, c.session)
	if forget && b.sessions[c.session.id] == c.session {
		delete(b.sessions, c.session.id)
	}
}

// expire ends a session whose client stayed away for too long.
func (b *Broker) expire(s *session) {
	b.mu.Lock()
	if b.sessions[s.id] != s || b.owners[s] != nil {
		b.mu.Unlock()
		return
	}
	delete(b.sessions, s.id)
	b.mu.Unlock()
	b.count.expired.Add(1)
	b.log.Debug("session expired", "client", s.id)
	s.end()
}

// gone drops a connection that has ended and keeps what it counted.
func (b *Broker) gone(c *conn) {
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
	b.count.bytesIn.Add(c.stats.bytesIn.Load())
	b.count.bytesOut.Add(c.stats.bytesOut.Load())
	b.count.packetsIn.Add(c.stats.packetsIn.Load())
	b.count.packetsOut.Add(c.stats.packetsOut.Load())
	b.count.messagesIn.Add(c.stats.messagesIn.Load())
	b.count.messagesOut.Add(c.stats.messagesOut.Load())
}

// noSession notes a connection that ended before it had a session.
func (b *Broker) noSession(c *conn, code mqtt.ReasonCode, text string) {
	if c.err == nil || c.err == errHungUp {
		return
	}
	b.count.refused.Add(1)
	b.log.Info("connection refused", "remote", c.remote.Addr, "transport", c.remote.Transport,
		"reason", code.String(), "detail", text)
}

// clientCount is how many clients are connected.
func (b *Broker) clientCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.owners)
}

// sayParkedWills says the delayed wills of clients that are away: their
// sessions end with the broker [MQTT-3.1.2-8, 5.0].
func (b *Broker) sayParkedWills() {
	b.mu.Lock()
	all := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		all = append(all, s)
	}
	b.mu.Unlock()
	for _, s := range all {
		s.willDue()
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
