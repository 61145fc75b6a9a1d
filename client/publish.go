package client

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// publish returns when the message is acknowledged; at QoS 0, when it is on
// its way.
func (s *session) publish(ctx context.Context, m *mqtt.Message) (Result, error) {
	if err := checkMessage(m); err != nil {
		return Result{}, err
	}
	if m.QoS == mqtt.AtMostOnce {
		return Result{}, s.publishNow(ctx, m)
	}
	p := s.pending()
	if err := s.accept(ctx, p, m, true); err != nil {
		p.free()
		return Result{}, err
	}
	s.enter()
	defer s.leave()
	select {
	case <-p.done:
	case <-ctx.Done():
		if !s.giveUp(p) {
			return Result{}, fmt.Errorf("%w: %w", ErrUnacknowledged, context.Cause(ctx))
		}
		<-p.done
		if p.err == ErrCancelled {
			p.err = fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
		}
	}
	r, err := p.result, p.err
	p.free()
	return r, err
}

// giveUp takes a message back, or leaves it to the outbox; it reports whether
// the outcome is known.
func (s *session) giveUp(p *Pending) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.stage == Done || s.withdrawLocked(p, ErrCancelled) {
		return true
	}
	p.shared = true
	if p.record != nil {
		p.topic = string(p.record.topic())
	}
	return false
}

// withdrawLocked ends a message that has not been sent.
func (s *session) withdrawLocked(p *Pending, why error) bool {
	if p.stage != Waiting || !s.queue.remove(p) && !s.queue0.remove(p) {
		return false
	}
	s.finishLocked(p, Result{}, why)
	return true
}

// enqueue returns when the message is stored.
func (s *session) enqueue(ctx context.Context, m *mqtt.Message) (*Pending, error) {
	if err := checkMessage(m); err != nil {
		return nil, err
	}
	p := &Pending{s: s, done: make(chan struct{}), shared: true, topic: m.Topic}
	if err := s.accept(ctx, p, m, false); err != nil {
		return nil, err
	}
	return p, nil
}

// accept takes a message into the outbox: patiently when wait is true, by
// Overflow's rule when it is not.
func (s *session) accept(ctx context.Context, p *Pending, m *mqtt.Message, wait bool) error {
	now := time.Now()
	var lifetime time.Duration
	if m.HasExpiry {
		lifetime = time.Duration(m.MessageExpiry) * time.Second
	}
	p.record = newRecord(m, now.UnixNano(), now.Add(lifetime).UnixNano())
	p.qos, p.expires = m.QoS, m.HasExpiry
	if len(p.record) > s.set.MaxQueuedBytes {
		return ErrQueueFull
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.closed == nil && !s.roomLocked(len(p.record)) {
		if wait {
			if err := s.waitLocked(ctx); err != nil {
				return fmt.Errorf("%w: %w", ErrNotSent, err)
			}
		} else if s.set.Overflow == RefuseNew || !s.makeRoomLocked() {
			return ErrQueueFull
		}
	}
	if s.closed != nil {
		return s.closed
	}
	s.lastID++
	p.id = s.lastID
	if s.store != nil && m.QoS > mqtt.AtMostOnce {
		if err := s.store.Apply([]Op{{Key: messageKey(p.id), Value: p.record}}); err != nil {
			return fmt.Errorf("%w: %w", ErrStore, err)
		}
	}
	s.messages++
	s.bytes += len(p.record)
	s.enter() // the server owes an answer, and a handler may wait for it
	if m.QoS == mqtt.AtMostOnce {
		s.queue0.push(p)
	} else {
		s.queue.push(p)
	}
	s.watchLocked(p)
	s.pumpLocked()
	return nil
}

// watchLocked has a message in the queue ended when its time has run out.
func (s *session) watchLocked(p *Pending) {
	if p.record.expires() {
		left := p.record.left(time.Now().UnixNano())
		p.timer = time.AfterFunc(time.Duration(left), func() { s.expire(p) })
	}
}

// expire ends a message whose time has run out in the queue.
func (s *session) expire(p *Pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withdrawLocked(p, ErrExpired)
}

func (s *session) roomLocked(size int) bool {
	return s.messages < s.set.MaxQueuedMessages && s.bytes+size <= s.set.MaxQueuedBytes
}

func (s *session) makeRoomLocked() bool {
	p := s.queue.peek()
	if q := s.queue0.peek(); p == nil || q != nil && q.id < p.id {
		p = q
	}
	return p != nil && s.withdrawLocked(p, ErrQueueFull)
}

// publishNow sends a QoS 0 message. It waits for the socket, not for a
// connection.
func (s *session) publishNow(ctx context.Context, m *mqtt.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		c := s.conn
		switch {
		case s.closed != nil:
			return s.closed
		case c == nil || c.ending:
			return ErrNotConnected
		}
		if len(c.out) < outMax && s.queue0.peek() == nil {
			return s.writeQoS0Locked(c, m)
		}
		if err := s.waitLocked(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrNotSent, err)
		}
	}
}

func (s *session) writeQoS0Locked(c *Conn, m *mqtt.Message) error {
	s.topic = append(s.topic[:0], m.Topic...)
	s.section = s.section[:0]
	if c.version == mqtt.V5 && hasProperties(&m.Properties) {
		s.section = packet.AppendPublic(s.section, &m.Properties)
	}
	f := packet.Forward{
		Retain: m.Retain, Topic: s.topic, Payload: m.Payload, Section: s.section,
		Expires: m.HasExpiry, Expiry: m.MessageExpiry,
	}
	if err := c.allowsLocked(&f); err != nil {
		return err
	}
	c.appendPublishLocked(&f)
	c.wakeWriter()
	return nil
}

// Queued is a message in the outbox.
type Queued struct {
	ID      uint64
	Message mqtt.Message // without content at stage Released: the server has it
	Stage   Stage
	Since   time.Time
}

// outbox lists what waits and what is in flight, oldest first.
func (s *session) outbox() iter.Seq[Queued] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Queued
	now := time.Now().UnixNano()
	take := func(p *Pending) {
		q := Queued{ID: p.id, Stage: p.stage}
		if p.record != nil {
			q.Message, q.Since = p.record.public(now), p.record.queued()
		}
		all = append(all, q)
	}
	for slot := range s.sending.All {
		if p := slot.Value.p; p != nil {
			take(p)
		} else if p := s.released[slot.ID]; p != nil {
			take(p)
		}
	}
	s.queue.each(take)
	s.queue0.each(take)
	return func(yield func(Queued) bool) {
		for _, q := range all {
			if !yield(q) {
				return
			}
		}
	}
}

// cancelMessage takes a message out of the queue by its number.
func (s *session) cancelMessage(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found *Pending
	for _, q := range []*fifo{&s.queue, &s.queue0} {
		q.each(func(p *Pending) {
			if p.id == id {
				found = p
			}
		})
	}
	return found != nil && s.withdrawLocked(found, ErrCancelled)
}
