package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A settler gives memory back to the system once a storm is over. While much is
// allocated the collector does that; when nothing is, it would wait for
// minutes, and keep what the storm took.
type settler struct {
	free  func()
	usage func() heapUse

	last   uint64 // allocated by the last look
	settle uint64 // and when memory was last given back
}

// A heapUse is in bytes.
type heapUse struct {
	allocated uint64 // ever
	live      uint64 // found by the last collection
}

const (
	settleEvery = time.Second / 2
	stormBytes  = 4 << 20   // allocated since: worth the trouble, unless much more is alive
	quietBytes  = 128 << 10 // allocated between two looks: nothing goes on
)

func newSettler() *settler {
	s := &settler{free: freeAll, usage: readUsage}
	s.last = s.usage().allocated
	s.settle = s.last
	return s
}

// look is called every settleEvery and reports whether memory was given back.
func (s *settler) look() bool {
	now := s.usage()
	quiet := now.allocated-s.last < quietBytes
	s.last = now.allocated
	if !quiet || now.allocated-s.settle < max(stormBytes, now.live/2) {
		return false
	}
	s.free()
	s.last = s.usage().allocated
	s.settle = s.last
	return true
}

// run looks until ctx ends.
func (s *settler) run(ctx context.Context) {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.look()
		}
	}
}

// freeAll collects twice: what pools hold outlives the first time.
func freeAll() {
	runtime.GC()
	debug.FreeOSMemory()
}

func readUsage() heapUse {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return heapUse{sample[0].Value.Uint64(), sample[1].Value.Uint64()}
}
