//go:build tinygo && cortexm

// Package cortexm reads the processor's clock and how much memory a program
// has, and has used, for the boards with a Cortex-M.
package cortexm

import (
	"runtime/volatile"
	"time"
	"unsafe"
)

// Tick is one period of the processor's clock: 12.5 MHz.
const Tick = 80 * time.Nanosecond

type systick struct {
	csr, rvr, cvr volatile.Register32
}

var tick = (*systick)(unsafe.Pointer(uintptr(0xe000e010)))

// Clock counts time since Start with SysTick, 24 bits that count down and wrap
// every 1.3 s: Now must be called more often. No interrupt is taken.
type Clock struct {
	last  uint32
	total time.Duration
}

// Start starts the clock at 0.
func (c *Clock) Start() {
	tick.rvr.Set(0xffffff)
	tick.cvr.Set(0)
	tick.csr.Set(1<<2 | 1<<0) // the processor's clock, on
	c.last, c.total = tick.cvr.Get(), 0
}

// Now returns the time since Start.
func (c *Clock) Now() time.Duration {
	now := tick.cvr.Get()
	c.total += time.Duration((c.last-now)&0xffffff) * Tick
	c.last = now
	return c.total
}
