package midge

import "testing"

// What passes is counted whole, however much it is.
func TestTollLosesNothing(t *testing.T) {
	var c conn
	for range 9 {
		c.sent.packets, c.sent.messages = c.sent.packets+2, c.sent.messages+1
		c.passedLocked(&c.sent, 1<<29)
		c.received.packets++
		c.passedLocked(&c.received, 1<<20)
	}
	in, out := c.talliesLocked()
	if want := (tally{9 << 29, 18, 9}); out != want {
		t.Errorf("sent %+v, want %+v", out, want)
	}
	if want := (tally{9 << 20, 9, 0}); in != want {
		t.Errorf("received %+v, want %+v", in, want)
	}
}
