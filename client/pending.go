package client

import (
	"context"
	"fmt"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// A Pending is a message in the outbox, and the promise of its outcome.
type Pending struct {
	s       *session // immutable
	id      uint64   // immutable: also its place in the outbox
	qos     mqtt.QoS // immutable
	expires bool     // immutable

	// Guarded by s.mu.
	record record // nil once the server owns the message
	stage  Stage
	timer  *time.Timer // ends a message that expires in the queue
	topic  string      // for the event, where one is due

	done   chan struct{}
	shared bool // done is closed, not sent to: somebody else may look at it
	result Result
	err    error
}

// A Stage is how far a message of the outbox has come.
type Stage uint8

const (
	Waiting  Stage = iota // not sent yet
	InFlight              // sent, and not acknowledged
	Released              // QoS 2: the server owns it, the last word is due
	Done
)

func (s Stage) String() string {
	return [...]string{"waiting", "in flight", "released", "done"}[s]
}

// pending returns one for Publish, which nobody else ever sees.
func (s *session) pending() *Pending {
	p, ok := s.spare.Get().(*Pending)
	if !ok {
		p = &Pending{done: make(chan struct{}, 1)}
	}
	p.s = s
	return p
}

// free gives p back, unless a timer may still look at it.
func (p *Pending) free() {
	if p.expires {
		return
	}
	s := p.s
	*p = Pending{done: p.done}
	s.spare.Put(p)
}

// ID names the message in Outbox, Cancel and PublishedEvent, in this program
// and in the next one on the same store.
func (p *Pending) ID() uint64 { return p.id }

// Done is closed when the outcome is known.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Wait blocks until the outcome is known or ctx ends, which changes nothing
// for the message: the error then is ErrUnacknowledged.
func (p *Pending) Wait(ctx context.Context) (Result, error) {
	p.s.enter()
	defer p.s.leave()
	select {
	case <-p.done:
		return p.result, p.err
	case <-ctx.Done():
		return Result{}, fmt.Errorf("%w: %w", ErrUnacknowledged, context.Cause(ctx))
	}
}

// Cancel takes the message back if it has not been sent. It reports whether
// it could; the outcome then is ErrCancelled.
func (p *Pending) Cancel() bool {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return p.s.withdrawLocked(p, ErrCancelled)
}

// completeLocked says how it ended, once.
func (p *Pending) completeLocked(r Result, err error) {
	if p.stage == Done {
		return
	}
	p.stage, p.record, p.result, p.err = Done, nil, r, err
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if p.shared {
		p.s.events.emit(PublishedEvent{ID: p.id, Topic: p.topic, Result: r, Err: err})
		close(p.done)
		return
	}
	p.done <- struct{}{}
}

// A fifo is a queue of messages that gives memory back as it empties. One
// taken out of the middle leaves a gap.
type fifo struct {
	all  []*Pending
	head int
}

func (q *fifo) push(p *Pending) { q.all = append(q.all, p) }

func (q *fifo) peek() *Pending {
	for q.head < len(q.all) && q.all[q.head] == nil {
		q.head++
	}
	if q.head == len(q.all) {
		q.reset()
		return nil
	}
	return q.all[q.head]
}

func (q *fifo) pop() {
	q.all[q.head] = nil
	if q.head++; q.head > 64 && q.head > len(q.all)/2 {
		n := copy(q.all, q.all[q.head:])
		clear(q.all[n:])
		q.all, q.head = q.all[:n], 0
	}
}

func (q *fifo) reset() {
	if cap(q.all) > 4096 {
		q.all = nil
	}
	q.all, q.head = q.all[:0], 0
}

// prepend puts messages before all others.
func (q *fifo) prepend(front []*Pending) {
	q.all, q.head = append(front, q.all[q.head:]...), 0
}

func (q *fifo) remove(p *Pending) bool {
	for i := q.head; i < len(q.all); i++ {
		if q.all[i] == p {
			q.all[i] = nil
			return true
		}
	}
	return false
}

func (q *fifo) each(f func(*Pending)) {
	for _, p := range q.all[q.head:] {
		if p != nil {
			f(p)
		}
	}
}
