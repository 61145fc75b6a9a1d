//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

func claim(f *os.File) claimed {
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case err == nil:
		return claimedNow
	case errors.Is(err, syscall.EWOULDBLOCK):
		return claimedAlready
	}
	return claimUnknown // not on every network's files
}
