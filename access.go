package midge

import (
	"log/slog"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// An Access says what one client may do. Hooks.Authenticate, or an Exchange,
// gives it to the client as Connect.Access; it stays with the session while
// the client is away.
//
// Its methods are called from many goroutines and under the broker's locks:
// they answer at once, allocate nothing, and call nothing of the broker. The
// broker remembers the answers of MayPublish and MayReceive; after a change
// call Broker.Reauthorize.
type Access interface {
	// MayPublish is asked about the topic of a message, and of a will.
	MayPublish(topic []byte) bool

	// MaySubscribe is asked about a filter, without the $share/group/ in front.
	MaySubscribe(filter string) bool

	// MayReceive is asked about the topic of a message that a subscription of
	// the client matches: live, retained, queued, or sent again.
	MayReceive(topic []byte) bool
}

// A SharedAccess is one that many clients have while nothing sets them apart: it
// costs its memory once. Two of them can be compared with ==.
type SharedAccess interface {
	Access

	// For is what one of the clients is to have from now on; itself, while
	// nothing has changed. It is asked when the client is let in, for its will,
	// and by Broker.Reauthorize. r is where the client comes from; that of one
	// that is away is the zero value.
	For(clientID string, r Remote) Access
}

// individual is what a says of one client.
func individual(a Access, clientID string, r func() Remote) Access {
	if shared, ok := a.(SharedAccess); ok {
		return shared.For(clientID, r())
	}
	return a
}

// mayReceive reports whether the session's client may see what is published
// to a topic. With no Access everything is allowed: after a restart that of an
// absent client is unknown, and it is asked for what has been queued when the
// client is back.
func (s *session) mayReceive(topic []byte) bool {
	a := s.access.Load()
	return a == nil || (*a).MayReceive(topic)
}

// setAccessLocked puts a in force. Plans that know the session under another
// one are made again; of a new session there are none.
func (s *session) setAccessLocked(a Access) {
	old := s.access.Load()
	s.access.Store(s.b.boxed(a))
	if old != nil || a != nil && s.subs.len() > 0 {
		s.b.index.Renew()
	}
}

// boxed is a in memory of its own, that of the last one if it is shared and the
// same. nil: everything is allowed.
func (b *Broker) boxed(a Access) *Access {
	if a == nil {
		return nil
	}
	if _, shared := a.(SharedAccess); !shared {
		return &a
	}
	if last := b.shared.Load(); last != nil && *last == a {
		return last
	}
	b.shared.Store(&a)
	return &a
}

// setApart gives every client of a SharedAccess what it is to have from now on.
func (b *Broker) setApart() {
	for _, s := range b.everySession() {
		s.setApart()
	}
}

func (s *session) setApart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.access.Load()
	if a == nil {
		return
	}
	s.access.Store(s.b.boxed(individual(*a, s.id, func() (r Remote) {
		if c := s.conn.Load(); c != nil {
			r = c.remote()
		}
		return r
	})))
}

// sayDenied tells the log of a message the client may not publish: loudly of
// the first one.
func (c *conn) sayDenied(topic []byte, why string) {
	level := slog.LevelDebug
	if !c.denied {
		c.denied, level = true, slog.LevelInfo
	}
	if c.b.log.Enabled(c.b.ctx, level) {
		c.b.log.Log(c.b.ctx, level, "publish denied", "client", c.id(), "user", c.username(), "topic", string(topic), "detail", why)
	}
}

// sayLimited tells the log of the first bound that a client meets: what, a topic
// or a filter, was refused with code.
func (c *conn) sayLimited(code mqtt.ReasonCode, what string, name []byte) {
	if x := c.extras(); !x.limited {
		x.limited = true
		c.b.log.Info("refused for a bound", "client", c.id(), "remote", c.nc.RemoteAddr(), "code", code.String(), what, string(name))
	}
}

// checkWill drops a will that the client may not publish. It is told apart
// here and not only when it is said: a broker that finds it in its store does
// not know what its client was allowed.
func (c *conn) checkWill(g *greeting) {
	if a := g.hello.Access; g.will == nil || a == nil || a.MayPublish(g.will.m.topic) {
		return
	}
	c.b.count.denied.wills.Add(1)
	c.b.log.Info("will refused", "client", c.id(), "topic", string(g.will.m.topic), "code", mqtt.NotAuthorized.String())
	g.will = nil
}

// lease ends the connection at a time; zero is never. Its reader calls it.
func (c *conn) lease(until time.Time) {
	if c.extra != nil && c.extra.auth != nil && c.extra.auth.expires != nil {
		c.extra.auth.expires.Stop()
		c.extra.auth.expires = nil
	}
	if !until.IsZero() {
		c.authenticating().expires = time.AfterFunc(time.Until(until), func() {
			if c.kick(mqtt.MaximumConnectTime, "the credentials have expired") {
				c.b.log.Info("credentials expired", "client", c.id(), "remote", c.nc.RemoteAddr())
			}
		})
	}
}

// Reauthorize makes a change of what clients may do, or of who may be here,
// take effect: every Access is asked again, and each connected client for
// which stay returns an error is disconnected as if a hook had refused it. It
// returns those. stay is called by this goroutine and may block; nil lets
// everyone stay.
func (b *Broker) Reauthorize(stay func(c ClientInfo) error) (gone []ClientInfo) {
	b.setApart()
	b.index.Renew()
	if stay == nil {
		return nil
	}
	for _, s := range b.owned() {
		c := s.conn.Load()
		if c == nil { // not about to come, not leaving
			continue
		}
		err := b.contain("Reauthorize", func() error { return stay(c.info()) })
		if refusal := refusalOf(err); refusal != nil && c.kick(refusal.Code, refusal.Reason) {
			b.log.Info("client may not stay", "client", c.id(), "remote", c.nc.RemoteAddr(), "error", err)
			gone = append(gone, c.info())
		}
	}
	return gone
}
