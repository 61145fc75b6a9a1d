package main

import (
	"encoding/binary"
	"sync"
)

// An engine keeps messages for sessions.
type engine interface {
	sessions(n int)
	// Put stores a message for a session and calls fn when it is durable.
	Put(session, seq, message uint64, payload []byte, fn func())
	// Done takes it out; nobody waits for that.
	Done(session, seq, message uint64)
	// Queued counts what every session has waiting, as a broker does at its start.
	Queued() (sessions, messages int, err error)
	counts() counts
	Close() error
}

type counts struct{ commits, syncs uint64 }

var engines = map[string]func(dir string) (engine, error){
	"midge": openMidge, "bbolt": openBolt, "pebble": openPebble,
}

// A change is what the two general engines are told: two keys put, or taken
// out. A queue is its session's keys in order.
type change struct {
	queue, message []byte
	payload        []byte // nil: out
	fn             func()
}

func newChange(session, seq, message uint64, payload []byte, fn func()) change {
	c := change{queue: make([]byte, 16), message: make([]byte, 8), payload: payload, fn: fn}
	binary.BigEndian.PutUint64(c.queue, session)
	binary.BigEndian.PutUint64(c.queue[8:], seq)
	binary.BigEndian.PutUint64(c.message, message)
	return c
}

// A committer is group commit for an engine that has batches: whatever has
// come since the last one goes into the next.
type committer struct {
	commit func([]change) error
	ended  chan struct{}

	mu      sync.Mutex
	work    *sync.Cond
	pending []change // guarded by mu
	closed  bool     // guarded by mu
	n       uint64   // guarded by mu
	err     error    // guarded by mu
}

func newCommitter(commit func([]change) error) *committer {
	c := &committer{commit: commit, ended: make(chan struct{})}
	c.work = sync.NewCond(&c.mu)
	go c.run()
	return c
}

func (c *committer) add(k change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 {
		c.work.Signal()
	}
	c.pending = append(c.pending, k)
}

func (c *committer) run() {
	defer close(c.ended)
	var spare []change
	for {
		c.mu.Lock()
		for len(c.pending) == 0 && !c.closed {
			c.work.Wait()
		}
		batch := c.pending
		c.pending = spare[:0]
		c.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		err := c.commit(batch)
		c.mu.Lock()
		c.n++
		if err != nil {
			c.err = err
		}
		c.mu.Unlock()
		for i := range batch {
			if batch[i].fn != nil {
				batch[i].fn()
			}
		}
		clear(batch)
		spare = batch
	}
}

func (c *committer) commits() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *committer) end() error {
	c.mu.Lock()
	c.closed = true
	c.work.Signal()
	c.mu.Unlock()
	<-c.ended
	return c.err
}

func (c *committer) Put(session, seq, message uint64, payload []byte, fn func()) {
	c.add(newChange(session, seq, message, payload, fn))
}

func (c *committer) Done(session, seq, message uint64) {
	c.add(newChange(session, seq, message, nil, nil))
}

func (c *committer) sessions(int) {}
