package client

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/topic"
)

// A session is what outlives a connection: the windows of QoS 1 and 2, the
// outbox, the subscriptions and their handlers. A Conn has one of its own, a
// Client hands one from connection to connection. One lock guards it and the
// sending half of the connection it is on.
type session struct {
	// Immutable.
	set        *settings
	store      Store // nil: memory is enough
	events     *hub
	lanes      []*lane
	ctx        context.Context // the handlers'
	cancel     context.CancelFunc
	standalone bool       // it ends with its connection
	lost       LostPolicy // what becomes of messages whose fate the server forgot

	routes  atomic.Pointer[[]route]
	replies atomic.Pointer[replies] // nil: this session makes no requests
	busy    atomic.Int32            // calls and messages that want answers read
	stalls  atomic.Int32            // readers that wait for handlers
	count   counters
	spare   sync.Pool // of *Pending

	mu        sync.Mutex
	conn      *Conn // nil while there is none
	closed    error // for good
	known     bool  // the server has had a session of ours, as far as we know
	clientID  string
	shut      bool // and the store with it
	sending   flow.Outbound[exchange]
	released  map[mqtt.PacketID]*Pending // exchanges that await PUBCOMP
	receiving flow.Inbound
	handling  map[mqtt.PacketID]struct{} // QoS 2 messages handlers have not returned from
	era       uint32                     // counts the server's sessions
	queue     fifo                       // QoS 1 and 2, not sent yet
	queue0    fifo                       // QoS 0, waiting for a connection
	messages  int                        // in the outbox, in flight or not
	bytes     int
	lastID    uint64
	subs      map[string]*subscription
	order     []string // of subs
	lastSubID uint32
	requests  []*request    // SUBSCRIBE and UNSUBSCRIBE without an answer, in order
	changed   chan struct{} // closed when room or a connection may have come; nil: nobody waits
	topic     []byte        // scratch
	section   []byte        // scratch
}

// An exchange is what a packet identifier stands for: one of the two.
type exchange struct {
	p *Pending
	r *request
}

type slot = flow.Slot[exchange]

// counters are Stats as they grow.
type counters struct {
	sent, received, dropped, unmatched, connects atomic.Uint64
}

// requestRoom is how many SUBSCRIBE and UNSUBSCRIBE may be open beside a full
// window of messages.
const requestRoom = 32

func newSession(set *settings, store Store) (*session, error) {
	s := &session{
		set: set, store: store, events: newHub(), clientID: set.ClientID,
		released: map[mqtt.PacketID]*Pending{}, handling: map[mqtt.PacketID]struct{}{},
		subs: map[string]*subscription{},
	}
	s.routes.Store(&[]route{})
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.sending.Init(min(set.MaxInflight+requestRoom, mqtt.MaxPacketID), nil)
	s.mu.Lock() // what is loaded may expire at once
	defer s.mu.Unlock()
	if store != nil {
		if err := s.load(); err != nil {
			return nil, err
		}
	}
	for range set.Concurrency {
		s.lanes = append(s.lanes, newLane(s))
	}
	return s, nil
}

// enter counts a call that blocks until something has been read, so that the
// reader does not wait for the handlers meanwhile; leave ends it.
func (s *session) enter() {
	s.busy.Add(1)
	if s.stalls.Load() == 0 {
		return
	}
	for _, l := range s.lanes {
		l.nudge()
	}
}

func (s *session) leave() { s.busy.Add(-1) }

// waitLocked gives the lock back until something has changed or ctx ends.
func (s *session) waitLocked(ctx context.Context) error {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	changed := s.changed
	s.mu.Unlock()
	s.enter()
	defer s.mu.Lock()
	defer s.leave()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *session) changedLocked() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// attachLocked puts the session on a connection that has been let in.
func (s *session) attachLocked(c *Conn) {
	s.known = true
	s.conn = c
	s.clientID = c.info.ClientID
	if !c.info.SessionPresent && !s.forgetLocked() {
		return // the store failed, and c is at its end
	}
	// [MQTT-3.3.4-7, 5.0]
	s.sending.Resume(min(c.info.Limits.ReceiveMaximum, uint16(s.set.MaxInflight)))
	announced := c.set.limits.ReceiveMaximum
	if c.version != mqtt.V5 {
		announced = 65535 // an older server was told nothing
	}
	s.receiving.Resume(announced)
	s.renewLocked()
	s.pumpLocked()
	s.changedLocked()
}

// forgetLocked takes note that the server has no session of ours (any more)
// [MQTT-3.2.2-5, 5.0]. What it had not acknowledged is sent as new, or given
// up, as LostPolicy says; a QoS 2 message it had taken over is done. The store
// hears of it as of one change; when this reports false it failed.
func (s *session) forgetLocked() bool {
	s.era++
	var again []*Pending
	var ops []Op
	for slot := range s.sending.All {
		if p := slot.Value.p; p != nil {
			again = append(again, p)
			ops = append(ops, Op{Key: windowKey(p.id), Delete: true})
		}
	}
	for id := range s.receiving.Held {
		ops = append(ops, Op{Key: heldKey(id), Delete: true})
	}
	if !s.persistLocked(ops...) {
		return false
	}
	s.sending.Reset()
	s.receiving.Reset()
	clear(s.handling)
	for _, sub := range s.subs {
		sub.made = false
	}
	// All are where closeLocked finds them before any is at its end.
	s.queue.prepend(slices.Clone(again))
	for _, p := range again {
		p.stage = Waiting
		s.watchLocked(p)
	}
	for id, p := range s.released {
		delete(s.released, id)
		s.finishLocked(p, Result{}, nil)
	}
	if s.lost == FailLost {
		for _, p := range again {
			s.withdrawLocked(p, ErrSessionLost)
		}
	}
	return s.closed == nil
}

// detach takes the session off a connection that has ended.
func (s *session) detach(c *Conn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c {
		return
	}
	s.conn = nil
	for _, r := range s.requests {
		r.sent = false
	}
	if s.standalone {
		s.closeLocked(err)
	}
	s.changedLocked()
}

// close ends the session for this program. Outcomes not known yet are err;
// what the store holds stays there.
func (s *session) close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked(err)
}

func (s *session) closeLocked(err error) {
	if s.closed != nil {
		return
	}
	s.closed = err
	s.cancel()
	for slot := range s.sending.All {
		if p := slot.Value.p; p != nil {
			p.completeLocked(Result{}, err)
		}
	}
	for _, p := range s.released {
		p.completeLocked(Result{}, err)
	}
	for _, q := range []*fifo{&s.queue, &s.queue0} {
		q.each(func(p *Pending) { p.completeLocked(Result{}, err) })
	}
	for _, r := range s.requests {
		r.end(err)
	}
	s.requests = nil
	s.changedLocked()
	for _, l := range s.lanes {
		l.close()
	}
}

// handlersDone waits for the handlers that are running, after close.
func (s *session) handlersDone() {
	for _, l := range s.lanes {
		<-l.done
	}
}

// pumpLocked sends what the server takes now: first what an earlier
// connection left open, in its order, then the queue [MQTT-4.6.0-1].
func (s *session) pumpLocked() {
	c := s.conn
	if c == nil || c.ending {
		return
	}
	now := time.Now().UnixNano()
	for len(c.out) < outMax && !c.ending {
		if s.sending.Pending() {
			slot := s.sending.Resend()
			if slot == nil {
				break
			}
			c.resendLocked(slot, now)
		} else if !s.sendNextLocked(c, now) {
			break
		}
	}
	for len(c.out) < outMax && !c.ending {
		p := s.queue0.peek()
		if p == nil {
			break
		}
		s.queue0.pop()
		s.sendQoS0Locked(c, p, now)
	}
	c.wakeWriter()
}

// sendNextLocked sends the queue's first message if there is one and room for it.
func (s *session) sendNextLocked(c *Conn, now int64) bool {
	if !s.sending.Ready() {
		return false
	}
	p := s.queue.peek()
	if p == nil {
		return false
	}
	s.queue.pop()
	f := p.record.forward(now)
	switch err := c.allowsLocked(&f); {
	case p.record.late(now):
		s.finishLocked(p, Result{}, ErrExpired)
		return true
	case err != nil:
		s.finishLocked(p, Result{}, err)
		return true
	}
	f.ID = s.sending.Publish(f.QoS, exchange{p: p})
	stage := flow.AwaitPuback
	if f.QoS == mqtt.ExactlyOnce {
		stage = flow.AwaitPubrec
	}
	if s.store != nil && !s.persistLocked(Op{Key: windowKey(p.id), Value: windowValue(f.ID, stage)}) {
		return false
	}
	p.stage = InFlight
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	c.appendPublishLocked(&f)
	return true
}

func (s *session) sendQoS0Locked(c *Conn, p *Pending, now int64) {
	f := p.record.forward(now)
	err := c.allowsLocked(&f)
	switch {
	case p.record.late(now):
		err = ErrExpired
	case err == nil:
		c.appendPublishLocked(&f)
	}
	s.finishLocked(p, Result{}, err)
}

// finishLocked ends a message's stay in the outbox.
func (s *session) finishLocked(p *Pending, r Result, err error) {
	if p.stage == Done {
		return
	}
	s.messages--
	s.bytes -= len(p.record)
	s.leave()
	if s.store != nil && p.qos > mqtt.AtMostOnce {
		s.persistLocked(Op{Key: messageKey(p.id), Delete: true}, Op{Key: windowKey(p.id), Delete: true})
	}
	p.completeLocked(r, err)
	s.changedLocked()
}

// persistLocked tells the store, before the server hears of it. A store that
// fails ends the client, since its promises would not be kept: when this
// reports false nothing more may be said.
func (s *session) persistLocked(ops ...Op) bool {
	if s.store == nil || len(ops) == 0 {
		return true
	}
	if s.closed != nil {
		return false
	}
	if err := s.store.Apply(ops); err != nil {
		s.failLocked(fmt.Errorf("%w: %w", ErrStore, err))
		return false
	}
	return true
}

func (s *session) failLocked(err error) {
	if c := s.conn; c != nil {
		c.endLocked(err, mqtt.UnspecifiedError)
	}
	s.closeLocked(err)
}

// acked takes PUBACK, PUBREC and PUBCOMP.
func (s *session) acked(c *Conn, a *packet.Ack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch a.Type {
	case packet.PUBACK:
		if x, ok := s.sending.Puback(a.ID); ok {
			s.settleLocked(x.p, a)
		}
	case packet.PUBREC:
		s.pubrecLocked(c, a)
	case packet.PUBCOMP:
		if _, ok := s.sending.Pubcomp(a.ID); ok {
			p := s.released[a.ID]
			delete(s.released, a.ID)
			if a.Code == mqtt.PacketIdentifierNotFound {
				a.Code = mqtt.Success // the server had taken it over: that is what counts
			}
			s.settleLocked(p, a)
		}
	}
	s.pumpLocked()
}

func (s *session) pubrecLocked(c *Conn, a *packet.Ack) {
	x, ok := s.sending.Pubrec(a.ID, a.Code)
	switch {
	case !ok:
		// [MQTT-4.3.3-4, 5.0]
		if !a.Code.Failed() {
			c.ackLocked(packet.PUBREL, a.ID, mqtt.PacketIdentifierNotFound)
		}
		return
	case a.Code.Failed():
		if x.p == nil {
			x.p = s.released[a.ID]
			delete(s.released, a.ID)
		}
		s.settleLocked(x.p, a) // [MQTT-4.3.3-4, 5.0] no PUBREL answers a failure
		return
	}
	if p := x.p; p != nil {
		s.released[a.ID] = p
		s.bytes -= len(p.record)
		p.stage, p.record = Released, nil
		if s.store != nil && !s.persistLocked(Op{Key: messageKey(p.id), Delete: true},
			Op{Key: windowKey(p.id), Value: windowValue(a.ID, flow.AwaitPubcomp)}) {
			return
		}
	}
	// [MQTT-4.6.0-4] PUBRELs leave in the order the PUBRECs came.
	c.ackLocked(packet.PUBREL, a.ID, mqtt.Success)
}

func (s *session) settleLocked(p *Pending, a *packet.Ack) {
	if p == nil {
		return
	}
	r := Result{Code: a.Code}
	if a.Properties != nil && (len(a.Properties.ReasonString) > 0 || len(a.Properties.Users) > 0) {
		r.Reason, r.User = string(a.Properties.ReasonString), users(a.Properties)
	}
	var err error
	if r.Code.Failed() {
		err = &ReasonError{Packet: a.Type, Code: r.Code, Reason: r.Reason, User: r.User}
	}
	s.finishLocked(p, r, err)
}

// handleFilter is Handle.
func (s *session) handleFilter(filter string, h Handler) error {
	if err := topic.CheckFilter(filter); err != nil {
		return fmt.Errorf("client: filter %q: %w", filter, err)
	}
	s.route(filter, 0, "", h)
	return nil
}
