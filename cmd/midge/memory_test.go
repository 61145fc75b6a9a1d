package main

import "testing"

// Memory is given back once for each storm, and only when that is over.
func TestSettlerWaitsForTheEndOfTheStorm(t *testing.T) {
	const much = 10 * stormBytes
	var now heapUse
	freed := 0
	s := &settler{free: func() { freed++ }, usage: func() heapUse { return now }}
	for i, step := range []struct {
		live, bytes uint64
		want        bool
	}{
		{0, 0, false},              // nothing has happened
		{0, stormBytes, false},     // the storm goes on
		{0, stormBytes, false},     // still
		{0, quietBytes / 2, true},  // it is over
		{0, 0, false},              // once is enough
		{0, quietBytes / 2, false}, // a trickle is no storm
		{0, quietBytes * 2, false}, // nor is this
		{0, stormBytes, false},     // the next one
		{0, 0, true},               // is over, too
		{0, stormBytes / 2, false}, // half a storm
		{0, quietBytes - 1, false}, // leaves little behind
		{0, stormBytes / 2, false}, // the other half
		{0, quietBytes / 2, true},  // makes it whole
		{much, stormBytes, false},  // beside what is alive
		{much, 0, false},           // that is not worth it
		{much, much / 2, false},    // this
		{much, 0, true},            // is
	} {
		now.live = step.live
		now.allocated += step.bytes
		if got := s.look(); got != step.want {
			t.Errorf("step %d: gave back %v, want %v", i, got, step.want)
		}
	}
	if freed != 4 {
		t.Errorf("gave back %d times", freed)
	}
}

func TestUsageIsOfThisProcess(t *testing.T) {
	before := readUsage()
	if freeAll(); readUsage().allocated < before.allocated || readUsage().live == 0 {
		t.Errorf("%+v, before %+v", readUsage(), before)
	}
}
