//go:build unix

package client

import (
	"os"
	"syscall"
)

// lockFile keeps a second program away; the lock goes with the program.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
