package midge

import "context"

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
	x := c.outbox.seldomLocked()
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
	late, _ := c.timer.Next()
	life, giveBack := c.borrow()
	ctx, cancel := context.WithDeadline(life, c.b.epoch.Add(late))
	return ctx, func() {
		cancel()
		giveBack()
	}
}

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
