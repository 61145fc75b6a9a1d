package midge

import (
	"errors"
	"testing"

	"github.com/midgemq/midge/internal/readbuf"
)

// An extra is there while it says something.
func TestExtraComesAndGoes(t *testing.T) {
	var c conn
	if c.fail(nil); c.extra != nil || c.fault() != nil || c.greeting() != nil || c.rest() != nil || c.promised() != 0 {
		t.Error("nothing goes on, and there is an extra")
	}
	c.extras().greeting = new(greeting)
	c.authenticating()
	if c.greeted(); c.extra != nil {
		t.Error("it outlives the greeting")
	}
	c.extras().rest = new(readbuf.Buffer)
	if c.slim(); c.rest() == nil {
		t.Error("half a packet is forgotten")
	}
	c.extra.rest = nil
	c.promise(2)
	c.promise(1)
	why := errors.New("why")
	if c.fail(why); c.promised() != 2 || c.fault() != why {
		t.Errorf("%v, %v", c.promised(), c.fault())
	}
}
