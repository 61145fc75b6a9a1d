package midge

import (
	"context"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// A hook's context costs nothing until it is asked, and ends with the
// connection, in time, or when it is given back.
func TestHookContext(t *testing.T) {
	h := newRig(t)
	c := h.client(t, "c", mqtt.V5)
	ctx, end := c.hookContext()
	if _, timed := ctx.Deadline(); timed || c.seldom != nil {
		t.Error("it is made before anybody asks, or has a deadline")
	}
	if ctx.Err() != nil || c.seldom == nil {
		t.Error("nobody has made it")
	}
	end()
	if ctx.Err() != context.Canceled || c.seldom != nil {
		t.Error("it outlives what it was for")
	}
	ctx, end = c.hookContext()
	if end(); ctx.Err() != context.Canceled {
		t.Error("who asks afterwards is not told")
	}
	if ctx.(*loan).c != nil {
		t.Error("who keeps it keeps the connection")
	}

	timed := &loan{c: c, late: time.Now().Add(time.Hour)}
	if at, ok := timed.Deadline(); !ok || time.Until(at) > time.Hour {
		t.Errorf("it ends at %v", at)
	}
	child, cancel := context.WithCancel(timed)
	defer cancel()
	go c.cancel()
	<-child.Done()
	timed.end()
}
