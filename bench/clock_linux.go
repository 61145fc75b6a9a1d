package bench

import (
	"syscall"
	"time"
	"unsafe"
)

// processorTime reads the clock that counts another process's time at work, to
// the nanosecond; /proc rounds to ticks.
func processorTime(pid int) (time.Duration, bool) {
	const cpuClockSched = 2
	var ts syscall.Timespec
	clock := uintptr(^pid<<3 | cpuClockSched) // MAKE_PROCESS_CPUCLOCK
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano()), errno == 0
}
