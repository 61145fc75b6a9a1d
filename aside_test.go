package midge

import (
	"testing"
	"unsafe"

	"github.com/midgemq/midge/mqtt"
)

// A session fills one of the allocator's sizes, as a connection does.
func TestSessionFillsItsMemory(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("SKIPPED: the size is that on 64-bit machines")
	}
	if n := unsafe.Sizeof(session{}); n > 128 {
		t.Errorf("it has %d bytes, more than 128: the next size is 144", n)
	}
}

// A session that was busy has nothing left of that once its client pings.
func TestAsideComesAndGoes(t *testing.T) {
	h := newRig(t)
	c := h.client(t, "c", mqtt.V5)
	s := c.session
	s.mu.Lock()
	s.setWillLocked(nil)
	mine := s.aside != &nothingAside
	s.outLocked()
	s.flying += 10
	s.disownLocked()
	busy := s.aside
	s.flying -= 10
	s.mu.Unlock()
	s.slim()
	if mine || busy == &nothingAside || s.aside != &nothingAside || nothingAside.flying != 0 {
		t.Errorf("an aside at first %v, while busy %v, at rest %v", mine, busy != &nothingAside, s.aside != &nothingAside)
	}
}
