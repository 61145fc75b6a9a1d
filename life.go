package midge

import (
	"context"
	"sync"
	"time"
)

// A life is how others wait for a connection's end, and are told of it. It is
// made when somebody first wants to: most connections need none.
type life struct {
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	over   chan struct{} // closed when the session has been let go

	borrowed int  // by how many
	shared   bool // somebody may have it for as long as the connection lasts
}

// lifeLocked is c's.
func (c *conn) lifeLocked() *life {
	x := c.seldomLocked()
	if x.life == nil {
		l := &life{over: make(chan struct{})}
		l.ctx, l.cancel = context.WithCancel(c.b.ctx)
		if c.stage >= ending || c.settled {
			l.cancel()
		}
		if c.settled {
			close(l.over)
		}
		x.life = l
	}
	return x.life
}

// context ends when the connection is ended, by whoever.
func (c *conn) context() context.Context {
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	l := c.lifeLocked()
	l.shared = true
	return l.ctx
}

// borrow is context until giveBack, for something done once: a life made for it
// ends there, if nobody else wants one. The reader calls both.
func (c *conn) borrow() (ctx context.Context, giveBack func()) {
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	l := c.lifeLocked()
	l.borrowed++
	return l.ctx, func() {
		c.outbox.mu.Lock()
		defer c.outbox.mu.Unlock()
		if l.borrowed--; l.borrowed == 0 && !l.shared {
			l.cancel()
			if c.seldom.life = nil; *c.seldom == (seldom{}) {
				c.seldom = nil
			}
		}
	}
}

// greetingContext is borrow until CONNECT has to be answered.
func (c *conn) greetingContext() (context.Context, context.CancelFunc) {
	l := &loan{c: c}
	if late, ok := c.timer.Next(); ok {
		l.late = c.b.epoch.Add(late)
	}
	return l, l.end
}

// hookContext is borrow for a hook, which may not care.
func (c *conn) hookContext() (context.Context, context.CancelFunc) {
	l := &loan{c: c}
	return l, l.end
}

// A loan is a context that is borrowed when somebody first asks it: a hook that
// answers at once costs no life.
type loan struct {
	late time.Time // when it ends; zero: with the connection

	mu   sync.Mutex
	c    *conn              // guarded by mu; nil: it is over, and whoever keeps it does not keep the connection
	ctx  context.Context    // guarded by mu; nil: nobody has asked
	back context.CancelFunc // guarded by mu
}

func (l *loan) made() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx != nil {
		return l.ctx
	}
	ctx, giveBack := l.c.borrow()
	l.ctx, l.back = ctx, giveBack
	if !l.late.IsZero() {
		timed, cancel := context.WithDeadline(ctx, l.late)
		l.ctx, l.back = timed, func() {
			cancel()
			giveBack()
		}
	}
	return l.ctx
}

// end gives it back. Whoever asks afterwards hears that it is over.
func (l *loan) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx == nil {
		l.ctx = ended
	}
	if l.back != nil {
		l.back()
	}
	l.c, l.back = nil, nil
}

var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (l *loan) Deadline() (time.Time, bool) {
	return l.late, !l.late.IsZero()
}

func (l *loan) Done() <-chan struct{} { return l.made().Done() }
func (l *loan) Err() error            { return l.made().Err() }
func (l *loan) Value(key any) any     { return l.made().Value(key) }

// cancel ends the context of what is done for the connection.
func (c *conn) cancel() {
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	if x := c.seldom; x != nil && x.life != nil {
		x.life.cancel()
	}
}

// letGo says that the session has been let go.
func (c *conn) letGo() {
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	c.settled = true
	if x := c.seldom; x != nil && x.life != nil {
		close(x.life.over)
	}
}

// awaitEnd waits for letGo, or for ctx. False is the latter.
func (c *conn) awaitEnd(ctx context.Context) bool {
	c.outbox.mu.Lock()
	l := c.lifeLocked()
	l.shared = true
	c.outbox.mu.Unlock()
	select {
	case <-l.over:
		return true
	case <-ctx.Done():
		return false
	}
}
