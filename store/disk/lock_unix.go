//go:build unix

package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lock keeps a second process out of dir for as long as the file is open. The
// system lets go of it when the process ends, however it does.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	// Somebody who merely looks has it for no time: one more try is enough.
	if err = flock(f, dir, syscall.LOCK_EX); errors.Is(err, ErrInUse) {
		time.Sleep(20 * time.Millisecond)
		err = flock(f, dir, syscall.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func flock(f *os.File, dir string, how int) error {
	err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%s: %w", dir, ErrInUse)
	}
	return err
}

// tryLock says what keeps dir from being locked, and lets go of it.
func tryLock(dir string) error {
	f, err := os.Open(filepath.Join(dir, "LOCK"))
	if err != nil {
		return err
	}
	defer f.Close()
	return flock(f, dir, syscall.LOCK_SH)
}
