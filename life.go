package midge

import "context"

// A life is how others wait for a connection's end, and are told of it. It is
// made when somebody first wants to: most connections need none.
type life struct {
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	over   chan struct{} // closed when the session has been let go
}

// lifeLocked is c's.
func (c *conn) lifeLocked() *life {
	if c.life == nil {
		l := &life{over: make(chan struct{})}
		l.ctx, l.cancel = context.WithCancel(c.b.ctx)
		if c.stage >= ending || c.settled {
			l.cancel()
		}
		if c.settled {
			close(l.over)
		}
		c.life = l
	}
	return c.life
}

// context ends when the connection is ended, by whoever.
func (c *conn) context() context.Context {
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	return c.lifeLocked().ctx
}

// cancel ends the context of what is done for the connection.
func (c *conn) cancel() {
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	if c.life != nil {
		c.life.cancel()
	}
}

// letGo says that the session has been let go.
func (c *conn) letGo() {
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	c.settled = true
	if c.life != nil {
		close(c.life.over)
	}
}

// awaitEnd waits for letGo, or for ctx. False is the latter.
func (c *conn) awaitEnd(ctx context.Context) bool {
	c.outbox.mu.Lock()
	over := c.lifeLocked().over
	c.outbox.mu.Unlock()
	select {
	case <-over:
		return true
	case <-ctx.Done():
		return false
	}
}
