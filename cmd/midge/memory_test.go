package main

import (
	"runtime/debug"
	"testing"

	"github.com/midgemq/midge/internal/config"
)

// Memory is given back once for each storm, and only when that is over.
func TestSettlerWaitsForTheEndOfTheStorm(t *testing.T) {
	var total uint64
	freed := 0
	s := &settler{free: func() { freed++ }, allocated: func() uint64 { return total }}
	for i, step := range []struct {
		bytes uint64
		want  bool
	}{
		{0, false},              // nothing has happened
		{stormBytes, false},     // the storm goes on
		{stormBytes, false},     // still
		{quietBytes / 2, true},  // it is over
		{0, false},              // once is enough
		{quietBytes / 2, false}, // a trickle is no storm
		{quietBytes * 2, false}, // nor is this
		{stormBytes, false},     // the next one
		{0, true},               // is over, too
		{stormBytes / 2, false}, // half a storm
		{quietBytes - 1, false}, // leaves little behind
		{stormBytes / 2, false}, // the other half
		{quietBytes / 2, true},  // makes it whole
	} {
		total += step.bytes
		if got := s.look(); got != step.want {
			t.Errorf("step %d: gave back %v, want %v", i, got, step.want)
		}
	}
	if freed != 3 {
		t.Errorf("gave back %d times", freed)
	}
	if a := allocated(); a == 0 {
		t.Error("nothing was ever allocated")
	}
}

// A target that is taken back by a reload is gone.
func TestMemoryTarget(t *testing.T) {
	c := config.Default()
	defer applyMemory(config.Default())
	c.Limits.Memory = 1 << 40
	applyMemory(c)
	if got := debug.SetMemoryLimit(-1); got != 1<<40 {
		t.Errorf("the target is %d", got)
	}
	applyMemory(config.Default())
	if got := debug.SetMemoryLimit(-1); got != environMemory {
		t.Errorf("the target is still %d", got)
	}
}
