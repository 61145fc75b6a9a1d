package bench

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// A pacer wakes its caller at a steady interval. Go's own timers are a
// millisecond late when nothing else goes on; a timer descriptor is not, and
// waiting for it takes no thread.
type pacer struct {
	f   *os.File
	buf [8]byte
}

func newPacer(interval time.Duration) (*pacer, error) {
	const monotonic, nonblock, cloexec = 1, 0x800, 0x80000
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic, nonblock|cloexec, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("timerfd_create", errno)
	}
	t := syscall.NsecToTimespec(int64(interval))
	spec := [2]syscall.Timespec{t, t} // the interval, and the first time
	_, _, errno = syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		syscall.Close(int(fd))
		return nil, os.NewSyscallError("timerfd_settime", errno)
	}
	return &pacer{f: os.NewFile(fd, "timer")}, nil
}

func (p *pacer) wait() error { _, err := p.f.Read(p.buf[:]); return err }
func (p *pacer) close()      { p.f.Close() }
