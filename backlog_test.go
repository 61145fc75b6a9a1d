package midge

import (
	"testing"

	"github.com/midgemq/midge/mqtt"
)

// Who finds the outbox full says so before the writer can look: otherwise the
// message would wait, once the outbox is empty, for something else to be sent.
func TestFullOutboxLeavesWord(t *testing.T) {
	h := newRig(t)
	c := h.client(t, "c", mqtt.V5)
	c.out = make([]byte, flushAt)
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	d := delivery{m: &message{topic: []byte("t")}, qos: mqtt.AtLeastOnce}
	if s.sendLocked(c, nil, nil, &d) {
		t.Error("it is sent")
	}
	if !s.backlog.Load() {
		t.Error("a writer at its end here would not look into the queue")
	}
	c.out = nil
}
