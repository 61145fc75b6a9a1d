package auth

import (
	"runtime"
	"testing"
)

// There is one processor more for each hash under way, and none afterwards.
func TestSpareProcessor(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(0)
	var s spare
	one, two := s.lend(), s.lend()
	if n := runtime.GOMAXPROCS(0); n != before+2 {
		t.Errorf("%d processors, want %d", n, before+2)
	}
	one()
	two()
	if n := runtime.GOMAXPROCS(0); n != before {
		t.Errorf("%d processors, want %d", n, before)
	}
	t.Setenv("GOMAXPROCS", "4")
	s.lend()()
	if n := runtime.GOMAXPROCS(0); n != before {
		t.Errorf("%d processors, and somebody has chosen", n)
	}
}
