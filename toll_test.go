package midge

import "testing"

// What passes is counted whole, however much it is.
func TestTollLosesNothing(t *testing.T) {
	var o outbox
	for range 9 {
		o.sent.packets, o.sent.messages = o.sent.packets+2, o.sent.messages+1
		o.passedLocked(&o.sent, 1<<29)
		o.received.packets++
		o.passedLocked(&o.received, 1<<20)
	}
	in, out := o.talliesLocked()
	if want := (tally{9 << 29, 18, 9}); out != want {
		t.Errorf("sent %+v, want %+v", out, want)
	}
	if want := (tally{9 << 20, 9, 0}); in != want {
		t.Errorf("received %+v, want %+v", in, want)
	}
}
