package midge

import (
	"testing"
	"unsafe"
)

// A connection fills one of the allocator's sizes: there may be a million. What
// few need belongs in extra or seldom.
func TestConnFillsItsMemory(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("SKIPPED: the size is that on 64-bit machines")
	}
	if n := unsafe.Sizeof(conn{}); n > 256 {
		t.Errorf("it has %d bytes, more than 256: the next size is 288", n)
	}
}
