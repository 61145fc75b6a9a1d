package plan

import "testing"

// A packet larger than the buffer would wait for ever.
func TestBuffersFit(t *testing.T) {
	if got := Limits().MaxOutgoing(); got != Out {
		t.Errorf("Out is %d, the largest packet has %d bytes", Out, got)
	}
	if got := Limits().MaxPacket; got > In {
		t.Errorf("In is %d, the largest packet has %d bytes", In, got)
	}
}
