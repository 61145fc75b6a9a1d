package client

import (
	"sync"

	"github.com/midgemq/midge/mqtt"
)

// A lane calls the handlers of some topics' messages, one after the other, in
// a goroutine of its own.
type lane struct {
	s    *session
	done chan struct{}

	mu     sync.Mutex
	cond   sync.Cond // anything below changed, or session.busy
	queue  []Message
	bytes  int // of the queue and of what is being handled
	closed bool
}

// messageCost is what a queued message takes beside its payload.
const messageCost = 256

func newLane(s *session) *lane {
	l := &lane{s: s, done: make(chan struct{})}
	l.cond.L = &l.mu
	go l.run()
	return l
}

func (l *lane) run() {
	defer close(l.done)
	var batch []Message
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.closed {
			l.cond.Wait()
		}
		batch, l.queue = l.queue, batch[:0]
		closed := l.closed
		l.mu.Unlock()
		if closed {
			return
		}
		for i := range batch {
			if l.s.ctx.Err() != nil {
				return
			}
			l.handle(&batch[i])
		}
		clear(batch)
		if cap(batch) > 4096 {
			batch = nil
		}
	}
}

func (l *lane) handle(m *Message) {
	l.s.deliver(*m)
	if m.QoS > mqtt.AtMostOnce && m.Last() && m.Total >= 0 && !l.s.set.ManualAck {
		l.s.acknowledge(m, mqtt.Success)
	}
	l.mu.Lock()
	l.bytes -= len(m.Payload) + messageCost
	l.cond.Broadcast()
	l.mu.Unlock()
}

// push queues a message for its handlers. With the lane full it waits, while
// nobody waits for the reader; it reports false for a QoS 0 message that
// found no room. must is for a part of a message, which cannot be left out.
func (l *lane) push(m Message, must bool, c *Conn) bool {
	size := len(m.Payload) + messageCost
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full(size) {
		c.stalled.Store(true)
		l.s.stalls.Add(1)
		for l.full(size) && l.s.busy.Load() == 0 && !c.over.Load() {
			l.cond.Wait()
		}
		l.s.stalls.Add(-1)
		c.stalled.Store(false)
		if l.full(size) && m.QoS == mqtt.AtMostOnce && !must {
			return false
		}
	}
	if l.closed {
		return true
	}
	l.queue = append(l.queue, m)
	l.bytes += size
	l.cond.Broadcast()
	return true
}

func (l *lane) full(size int) bool {
	return !l.closed && l.bytes > 0 && l.bytes+size > l.s.set.MaxUnhandled
}

// nudge makes a waiting reader look again.
func (l *lane) nudge() {
	l.mu.Lock()
	l.cond.Broadcast()
	l.mu.Unlock()
}

func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	l.cond.Broadcast()
	l.mu.Unlock()
}

// lane returns where a topic's messages go.
func (s *session) lane(topic string) *lane {
	if len(s.lanes) == 1 {
		return s.lanes[0]
	}
	h := uint32(2166136261) // FNV-1a
	for i := range len(topic) {
		h = (h ^ uint32(topic[i])) * 16777619
	}
	return s.lanes[h%uint32(len(s.lanes))]
}
