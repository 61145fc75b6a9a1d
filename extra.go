package midge

import (
	"github.com/midgemq/midge/internal/readbuf"
	"github.com/midgemq/midge/store"
)

// An extra is what a reader knows of a connection on which something goes on;
// while nothing does, most need none.
type extra struct {
	greeting *greeting       // until CONNACK
	auth     *authentication // nil until there is one
	err      error           // why the connection ends, if it is somebody's fault
	promised store.Position  // the last change this connection asked for
	rest     *readbuf.Buffer // of a packet, between a loop's turns
	meter    *meter          // nil until a message comes while a rate is in force
	limited  bool            // the log knows that it met a bound of Config
}

// extras are c's.
func (c *conn) extras() *extra {
	if c.extra == nil {
		c.extra = new(extra)
	}
	return c.extra
}

// greeting is nil once CONNACK has been sent.
func (c *conn) greeting() *greeting {
	if c.extra == nil {
		return nil
	}
	return c.extra.greeting
}

// greeted forgets what the greeting needed.
func (c *conn) greeted() {
	c.extra.greeting, c.extra.auth = nil, nil
	c.slim()
}

// slim gives the extra back if it says nothing.
func (c *conn) slim() {
	if c.extra != nil && *c.extra == (extra{}) {
		c.extra = nil
	}
}

// rest is what has come of a packet, between a loop's turns; nil: nothing.
func (c *conn) rest() *readbuf.Buffer {
	if c.extra == nil {
		return nil
	}
	return c.extra.rest
}

// fail notes why the connection ends; nil: in good order.
func (c *conn) fail(err error) {
	if err != nil || c.extra != nil {
		c.extras().err = err
	}
}

func (c *conn) fault() error {
	if c.extra == nil {
		return nil
	}
	return c.extra.err
}

// promised is the last change this connection asked for, 0: none.
func (c *conn) promised() store.Position {
	if c.extra == nil {
		return 0
	}
	return c.extra.promised
}

func (c *conn) promise(pos store.Position) {
	if pos > c.promised() {
		c.extras().promised = pos
	}
}
