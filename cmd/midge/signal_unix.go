//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// hangUps are the wishes for a reload: SIGHUP.
func hangUps() (told chan os.Signal, stop func()) {
	told = make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGHUP)
	return told, func() { signal.Stop(told) }
}

func hangUp(pid int) error { return syscall.Kill(pid, syscall.SIGHUP) }

// resized is told when the terminal has another size.
func resized() (told chan os.Signal, stop func()) {
	told = make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGWINCH)
	return told, func() { signal.Stop(told) }
}
