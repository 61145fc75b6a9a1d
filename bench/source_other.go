//go:build !linux

package bench

import "syscall"

// chooseLate has no say here.
func chooseLate(_, _ string, _ syscall.RawConn) error { return nil }
