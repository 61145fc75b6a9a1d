package midge

import (
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/internal/readbuf"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// A budget is what the broker holds for its clients, in bytes, and how near that
// is to Config.MaxMemory. What is counted one by one is in held; the rest is how
// many there are of something, times what one takes.
type budget struct {
	_ [64]byte // others are read by everyone all the time

	held        atomic.Int64 // messages in queues and in flight, outboxes, packets half read
	connections atomic.Int64 // open, as connCost says
	sessions    atomic.Int64
	level       atomic.Uint32 // a shortage, as it was last weighed
	news        overdue       // a shortage

	_ [64]byte
}

// A shortage is how little is left of the budget. Each gives up what is in it
// and all that those before it do.
type shortage uint32

const (
	plenty shortage = iota

	// From three quarters of the budget on the broker takes on nothing new to
	// keep for long: retained messages, sessions that outlive their connections.
	// QoS 0 goes to nobody who is behind.
	tight

	// From seven eighths on it takes no other session or subscription that is
	// new, and no message of QoS 1 or 2 that somebody would have to wait for.
	short

	// Of what is beyond nobody's queue gets any, and nobody may connect.
	full
)

func (s shortage) String() string { return [...]string{"plenty", "tight", "short", "full"}[s] }

// What one of each takes, in bytes, beside what is counted of it; see
// TestBudgetIsTrue.
const (
	sessionCost      = 384
	subscriptionCost = 256
	nodeCost         = 80
	slotCost         = 80 // of a queue

	polledCost   = 1 << 10  // a connection that a loop reads
	threadedCost = 12 << 10 // one with a goroutine and a buffer
	securedCost  = 40 << 10 // one with TLS
)

func connCost(nc transport.Conn) int64 {
	if _, polled := nc.(*transport.Socket); polled {
		return polledCost
	}
	switch nc.Kind() {
	case transport.TLS, transport.WSS:
		return securedCost
	}
	return threadedCost
}

// hold notes that n bytes more are held; less, if it is negative.
func (b *Broker) hold(n int) {
	if n != 0 {
		b.budget.held.Add(int64(n))
	}
}

// memory is what the broker holds.
func (b *Broker) memory() int64 {
	m := &b.budget
	return m.held.Load() + m.connections.Load() + m.sessions.Load()*sessionCost +
		b.count.subscriptions.Load()*subscriptionCost +
		b.stored.bytes.Load() +
		b.nodes()*nodeCost
}

// weigh finds out how little memory is left.
func (b *Broker) weigh() shortage {
	most := int64(b.bounds.Load().MaxMemory)
	s, used := plenty, b.memory()
	switch {
	case most == 0:
	case used >= most:
		s = full
	case used >= most-most/8:
		s = short
	case used >= most-most/4:
		s = tight
	}
	if b.shortage() != s {
		b.budget.level.Store(uint32(s))
	}
	return s
}

// heed is weigh for each batch, without a lock: it tells the log, once for as
// long as memory is short.
func (b *Broker) heed() {
	if b.bounds.Load().MaxMemory == 0 && b.shortage() == plenty {
		return
	}
	if s := b.weigh(); s != plenty && b.budget.news.begins(int64(b.since(time.Now()))) {
		b.log.Warn("memory is short: nothing new is kept", "held", b.memory(), "of", b.bounds.Load().MaxMemory, "state", s)
	}
}

// shortage is what weigh found last: a batch ago at most, where it matters.
func (b *Broker) shortage() shortage { return shortage(b.budget.level.Load()) }

// holdQueued is hold for a message that is put into a queue, or taken out.
func (b *Broker) holdQueued(d *delivery, sign int) { b.hold(sign * (d.m.size() + slotCost)) }

// weight is what a queue has in the budget.
func (q queue) weight() int { return q.size() + q.len()*slotCost }

// nodes are levels of filters and topics.
func (b *Broker) nodes() int64 { return b.index.Nodes() + b.retained.Nodes() }

// errShort is what a client is told whose wish would take memory.
var errShort = &Refusal{Code: mqtt.QuotaExceeded, Reason: "the server is short of memory"}

// tooMuch reports whether what may not be had from a shortage on has to be
// refused, and counts that.
func (b *Broker) tooMuch(from shortage) bool {
	if b.bounds.Load().MaxMemory == 0 || b.weigh() < from {
		return false
	}
	b.count.limited.memory.Add(1)
	return true
}

// burdens reports whether the message at hand would have to wait in memory for
// somebody while there is little of it.
func (b *Broker) burdens(sc *scratch) bool {
	if sc.m.qos == mqtt.AtMostOnce || b.shortage() < short || b.weigh() < short {
		return false
	}
	p := sc.routes.plan(b, sc.m.topic)
	for i := range p.targets {
		if t := &p.targets[i]; t.qos > mqtt.AtMostOnce && t.s.lags() {
			return true
		}
	}
	for _, g := range p.groups {
		if g.lags() {
			return true
		}
	}
	return false
}

// burden is what becomes of a message that burdens: a client of 5.0 is refused,
// an older one, which cannot be told, is held back as long as there is any room,
// and then disconnected.
func (c *conn) burden() *Refusal {
	c.b.count.limited.memory.Add(1)
	if c.version == mqtt.V5 || c.b.shortage() == full {
		return errShort
	}
	x := c.extras()
	if x.meter == nil {
		x.meter = new(meter)
	}
	x.meter.until = int64(c.b.since(time.Now())) + longPause
	return nil
}

// largeRest is how much of a packet may be waited for when memory is short.
const largeRest = 64 << 10

// overfull ends a connection that holds much of a packet when there is nothing
// left.
func (c *conn) overfull(rest *readbuf.Buffer) error {
	if rest.Size() <= largeRest || c.b.shortage() < full {
		return nil
	}
	c.b.count.limited.memory.Add(1)
	return errShort
}

// lags reports whether a message for s would wait in memory.
func (s *session) lags() bool {
	return s.local == nil && !s.stored.Load() && (s.backlog.Load() || s.conn.Load() == nil)
}

func (g *group) lags() bool {
	for _, m := range *g.members.Load() {
		if !m.s.lags() {
			return false
		}
	}
	return true
}

// smallBuffer is how much of an outbox is not counted while nobody waits for its
// client: what comes in a batch and goes with it.
const smallBuffer = 8 << 10

// weighLocked counts what the outbox holds, if that is much, or all is set: its
// client is behind.
func (c *conn) weighLocked(all bool) {
	n := 0
	for _, size := range [...]int{cap(c.out), c.leaving, cap(c.keptLocked().b)} {
		if all || size > smallBuffer {
			n += size
		}
	}
	if kib := int32((n + 1023) >> 10); kib != c.weight {
		c.b.hold(int(kib-c.weight) << 10)
		c.weight = kib
	}
}

// lagsLocked reports whether the client is behind.
func (c *conn) lagsLocked() bool { return c.weight > 0 && c.writing }
