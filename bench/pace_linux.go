package bench

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// A pacer sleeps to the microsecond. Go's own timers are a millisecond late
// when nothing else goes on; a timer descriptor is not, and waiting for it
// takes no thread.
type pacer struct {
	f   *os.File
	raw syscall.RawConn
	buf [8]byte
}

func newPacer() (*pacer, error) {
	const monotonic, nonblock, cloexec = 1, 0x800, 0x80000
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic, nonblock|cloexec, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("timerfd_create", errno)
	}
	f := os.NewFile(fd, "timer")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &pacer{f: f, raw: raw}, nil
}

// sleep returns an error once the pacer is closed. d is above zero.
func (p *pacer) sleep(d time.Duration) error {
	spec := [2]syscall.Timespec{{}, syscall.NsecToTimespec(int64(d))} // no interval; the first time
	err := p.raw.Control(func(fd uintptr) {                           // which is not closed, and another's, meanwhile
		syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	})
	if err != nil {
		return err
	}
	_, err = p.f.Read(p.buf[:])
	return err
}

func (p *pacer) close() { p.f.Close() }
