package midge_test

import (
	"errors"
	"sync"
	"time"

	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/memory"
)

// A lagging store is a memory store whose changes become durable only after a
// while, as on a disk, and that forgets those that are not when it crashes.
type lagging struct {
	*memory.Store
	lag time.Duration

	mu      sync.Mutex
	ops     []*store.Op
	durable store.Position
	stuck   bool
	limit   store.Position // nothing beyond becomes durable; 0: all does
	waiting []func()
}

func newLagging(lag time.Duration) *lagging { return &lagging{Store: memory.New(), lag: lag} }

func (l *lagging) Append(op *store.Op) store.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := *op
	l.ops = append(l.ops, &k)
	pos := l.Store.Append(op)
	time.AfterFunc(l.lag, func() { l.reach(pos) })
	return pos
}

func (l *lagging) reach(pos store.Position) {
	l.mu.Lock()
	var due []func()
	if !l.stuck {
		if l.limit > 0 {
			pos = min(pos, l.limit)
		}
		l.durable = max(l.durable, pos)
		due, l.waiting = l.waiting, nil
	}
	l.mu.Unlock()
	for _, fn := range due {
		fn()
	}
}

func (l *lagging) Durable() store.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

func (l *lagging) After(pos store.Position, fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pos <= l.durable {
		go fn()
		return
	}
	l.waiting = append(l.waiting, func() {
		if l.Durable() >= pos {
			fn()
		} else {
			l.After(pos, fn)
		}
	})
}

func (l *lagging) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stuck {
		return errors.New("no space left")
	}
	return nil
}

func (l *lagging) setStuck(stuck bool) {
	l.mu.Lock()
	l.stuck = stuck
	last := store.Position(len(l.ops))
	l.mu.Unlock()
	if !stuck {
		l.reach(last)
	}
}

// stopAfter lets a number of changes more become durable, and then none.
func (l *lagging) stopAfter(more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = l.durable + store.Position(more)
}

// crash returns what the next broker finds: what was durable, and no more.
func (l *lagging) crash() *lagging {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := newLagging(l.lag)
	for _, op := range l.ops[:l.durable] {
		next.ops = append(next.ops, op)
		next.Store.Append(op)
	}
	next.durable = l.durable
	next.Store.Close()
	return next
}
