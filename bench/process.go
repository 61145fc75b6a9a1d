package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// A usage is what a process has used and holds.
type usage struct {
	cpu time.Duration // user and system
	rss int64         // bytes
}

// tick is the unit of /proc's processor times, the same on all Linux systems
// Go runs on.
const tick = 10 * time.Millisecond

// process reads a process's usage; ok is false without a PID or /proc.
func process(pid int) (u usage, ok bool) {
	if pid <= 0 {
		return u, false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, false
	}
	// The name in parentheses may hold anything, so count from behind it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return u, false
	}
	field := func(n int) int64 { // as proc(5) counts
		v, _ := strconv.ParseInt(string(fields[n-3]), 10, 64)
		return v
	}
	u = usage{time.Duration(field(14)+field(15)) * tick, field(24) * int64(os.Getpagesize())}
	if cpu, ok := processorTime(pid); ok {
		u.cpu = cpu
	}
	return u, true
}

func checkPID(pid int) error {
	if pid == 0 {
		return nil
	}
	if _, ok := process(pid); !ok {
		return fmt.Errorf("bench: there is no process %d to be seen in /proc", pid)
	}
	return nil
}
