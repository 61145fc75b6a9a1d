package midge

import (
	"maps"
	"runtime"
	"slices"
)

// SessionCount is how many there are, connected or not.
func (b *Broker) SessionCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions.n
}

// InLine is how often the one loop of b has its connections in line for a turn,
// and KeptByLoop how large the buffers are that it keeps between messages. Only
// the client id's reader may ask; both are 0 while that is not the loop.
func (b *Broker) InLine(id string) (n, conns int) {
	l := b.loopOf(id)
	if l == nil {
		return 0, 0
	}
	seen := map[*conn]bool{}
	for _, c := range append(l.todo[:len(l.todo):len(l.todo)], l.again...) {
		seen[c] = true
	}
	return len(l.todo) + len(l.again), len(seen)
}

func (b *Broker) KeptByLoop(id string) (bytes int) {
	l := b.loopOf(id)
	if l == nil {
		return 0
	}
	for _, f := range l.sc.frames {
		bytes = max(bytes, cap(f))
	}
	return max(bytes, cap(l.sc.props), cap(l.sc.run.other))
}

func (b *Broker) loopOf(id string) *loop {
	b.mu.Lock()
	c := b.sessions.find(id).heldBy()
	b.mu.Unlock()
	if c == nil || c.sock().Away() {
		return nil
	}
	return b.loops.all[0]
}

// Miscounted is how far what the budget counts one by one is from what there
// is, while nobody is connected.
func (b *Broker) Miscounted() int64 {
	n := b.budget.held.Load()
	b.mu.Lock()
	all := slices.Collect(b.sessions.all())
	locals := slices.Collect(maps.Keys(b.locals))
	b.mu.Unlock()
	for _, s := range all {
		s.mu.Lock()
		n -= int64(len(s.id) + s.flying + s.queue.weight())
		if s.will != nil {
			n -= int64(s.will.m.size())
		}
		for i := range s.replays {
			n -= int64(s.replays[i].weight)
		}
		for sub := range s.subs.all {
			n -= int64(len(sub.spec.Filter))
		}
		s.mu.Unlock()
	}
	for _, l := range locals {
		l.mu.Lock()
		n -= int64(len(l.sub.spec.Filter) + l.queue.weight())
		l.mu.Unlock()
	}
	return n + b.budget.connections.Load() + (b.budget.sessions.Load()-int64(len(all)))<<20
}

// LiveHeap is how many bytes of the heap are in use, for tests of what takes how many.
func LiveHeap() int {
	runtime.GC()
	runtime.GC() // what pools keep for one round longer
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
