package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A settler gives memory back to the system once a storm is over. While much is
// allocated the collector does that; when nothing is, it would wait for
// minutes, and keep what the storm took.
type settler struct {
	free      func()
	allocated func() uint64 // bytes, ever

	last   uint64 // at the last look
	settle uint64 // when memory was last given back
}

const (
	settleEvery = 10 * time.Second
	stormBytes  = 32 << 20 // allocated since: worth the trouble
	quietBytes  = 1 << 20  // allocated between two looks: nothing goes on
)

func newSettler() *settler {
	s := &settler{free: debug.FreeOSMemory, allocated: allocated}
	s.last = s.allocated()
	s.settle = s.last
	return s
}

// look is called every settleEvery and reports whether memory was given back.
func (s *settler) look() bool {
	now := s.allocated()
	quiet := now-s.last < quietBytes
	s.last = now
	if !quiet || now-s.settle < stormBytes {
		return false
	}
	s.free()
	s.last = s.allocated()
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

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
