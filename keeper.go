package midge

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
)

// A keeper is the broker's hand on its store. Whoever changes what is to
// outlive the broker appends the change here, under the lock under which it
// becomes true in memory, so that both have one order; nobody waits for the
// disk with a lock held. The store's own lock is the innermost.
type keeper struct {
	st       store.Store
	waits    bool          // changes become durable later than at once
	sessions atomic.Uint64 // the last numbers given
	messages atomic.Uint64
}

// errStuck is what a client is told while the disk takes nothing.
var errStuck = &Refusal{Code: mqtt.QuotaExceeded, Reason: "the server cannot store messages now"}

// A promise is that a message will be committed, and those who wait for it.
type promise struct {
	pos  atomic.Uint64 // of the commit; 0: not yet
	mu   sync.Mutex
	late []*conn // guarded by mu: have withheld something until then
}

// wait has c settled when the message is committed, if it is not yet.
func (p *promise) wait(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pos.Load() == 0 {
		p.late = append(p.late, c)
	}
}

// kept reports whether the message is committed for good.
func (p *promise) kept(k *keeper) bool {
	pos := store.Position(p.pos.Load())
	return pos != 0 && k.durable(pos)
}

// keep says that the message is committed at pos.
func (p *promise) keep(pos store.Position) {
	p.mu.Lock()
	p.pos.Store(uint64(pos))
	late := p.late
	p.late = nil
	p.mu.Unlock()
	for _, c := range late {
		c.settle()
	}
}

func newKeeper(st store.Store) *keeper {
	if st == nil {
		return nil
	}
	k := &keeper{st: st, waits: st.Durable() != store.Settled}
	s, m := st.Last()
	k.sessions.Store(uint64(s))
	k.messages.Store(uint64(m))
	return k
}

// newMessage appends the message at hand, unless that has been done, and
// returns its number. It counts once commit has been called.
func (k *keeper) newMessage(sc *scratch) store.MessageID {
	if sc.number == 0 {
		sc.number = store.MessageID(k.messages.Add(1))
		k.st.Append(&store.Op{Kind: store.PutMessage, Message: sc.number, Body: sc.keep().stored()})
	}
	return sc.number
}

// commit ends the routing of the message at hand; s, if it is not nil, holds
// the QoS 2 identifier id from here on. It returns the position at which all
// of that is promised, 0 if nothing is.
func (k *keeper) commit(sc *scratch, s *session, id mqtt.PacketID) store.Position {
	if k == nil {
		return 0
	}
	op := store.Op{Kind: store.Commit, Message: sc.number}
	if s != nil && id != 0 && s.stored.Load() {
		op.Session, op.PacketID = s.number, id
	}
	if sc.saysWill != 0 {
		op.Session, op.WillSaid = sc.saysWill, true
	}
	if sc.leavesSeq != 0 {
		op.Session, op.Seq = sc.leaves, sc.leavesSeq
	}
	if op.Message == 0 && op.Session == 0 {
		return sc.asked
	}
	pos := k.st.Append(&op)
	if sc.promise != nil {
		sc.promise.keep(pos)
	}
	return pos
}

// promised returns what stands for the commit to come, for a message at QoS 2.
func (k *keeper) promised(sc *scratch, q mqtt.QoS) *promise {
	if q < mqtt.ExactlyOnce || !k.waits {
		return nil
	}
	if sc.promise == nil {
		sc.promise = new(promise)
	}
	return sc.promise
}

// stuck reports whether the store takes nothing at present.
func (k *keeper) stuck() bool { return k != nil && k.st.Err() != nil }

// durable reports whether what was promised at pos has been kept.
func (k *keeper) durable(pos store.Position) bool {
	return k == nil || !k.waits || pos == 0 || pos <= k.st.Durable()
}

// await waits until pos is durable. Nothing may be locked.
func (k *keeper) await(ctx context.Context, pos store.Position) error {
	if k.durable(pos) {
		return nil
	}
	done := make(chan struct{})
	k.st.After(pos, func() { close(done) })
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			if err := k.st.Err(); err != nil {
				return errors.Join(errStuck, err)
			}
		}
	}
}

// backlog is how many bytes one connection may have on their way to the disk
// before it is read on.
const backlog = 32 << 20

// awaitDisk keeps a client from sending faster than the disk writes.
func (c *conn) awaitDisk() {
	if c.overtakesDisk() {
		c.b.keep.await(c.context(), c.promised()-backlog)
	}
}

func (c *conn) overtakesDisk() bool {
	k := c.b.keep
	return k != nil && k.waits && c.promised() > backlog && !k.durable(c.promised()-backlog)
}

// stored is m as the store keeps it. It shares m's bytes.
func (m *message) stored() *store.Message {
	return &store.Message{
		Topic: m.topic, Payload: m.payload, Properties: m.props, Origin: m.origin, Arrived: m.arrived,
		Expiry: m.expiry, Expires: m.expires, QoS: m.qos, Retain: m.retain,
	}
}

// restored is the reverse.
func restored(m *store.Message) *message {
	if m == nil {
		return nil
	}
	return &message{
		topic: m.Topic, payload: m.Payload, props: m.Properties, origin: m.Origin, arrived: m.Arrived,
		expiry: m.Expiry, expires: m.Expires, qos: m.QoS, retain: m.Retain,
	}
}

// stored is w as the store keeps it.
func (w *will) stored() *store.Will {
	if w == nil {
		return nil
	}
	return &store.Will{Body: *w.m.stored(), Delay: w.delay, Username: w.info.Username, Version: w.info.Version}
}

func restoredWill(s *store.Session) *will {
	if s.Will == nil {
		return nil
	}
	return &will{
		m: restored(&s.Will.Body), delay: s.Will.Delay, number: s.ID,
		info: ClientInfo{ClientID: s.Client, Username: s.Will.Username, Version: s.Will.Version},
	}
}

// stored is the subscription as the store keeps it, with which retained messages
// are still to be sent.
func (sub *subscription) stored(sent, owed store.MessageID) *store.Subscription {
	p := &sub.spec
	return &store.Subscription{
		Filter: p.Filter, QoS: p.QoS, NoLocal: p.NoLocal, RetainAsPublished: p.RetainAsPublished,
		RetainHandling: p.RetainHandling, ID: p.ID, Sent: sent, Owed: owed,
	}
}
