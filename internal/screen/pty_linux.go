package screen

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A PTY is a pseudo terminal: what is written to Program's end is read from
// Ours, and the other way round.
type PTY struct{ Ours, Program *os.File }

// OpenPTY makes one of w columns and h lines.
func OpenPTY(w, h int) (*PTY, error) {
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	p := &PTY{Ours: ours}
	n := 0
	err = p.control(func(fd int) (err error) {
		if n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err != nil {
			return err
		}
		return unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	})
	if err == nil {
		p.Program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		err = p.Resize(w, h)
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("pseudo terminal: %w", err)
	}
	return p, nil
}

// Resize changes its size; who has it as controlling terminal gets SIGWINCH.
func (p *PTY) Resize(w, h int) error {
	return p.control(func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(h), Col: uint16(w)})
	})
}

// control leaves the file as it is: Fd would make its reads such that Close does
// not end them.
func (p *PTY) control(f func(fd int) error) error {
	raw, err := p.Ours.SyscallConn()
	if err != nil {
		return err
	}
	if bad := raw.Control(func(fd uintptr) { err = f(int(fd)) }); bad != nil {
		return bad
	}
	return err
}

// Close closes both ends.
func (p *PTY) Close() {
	p.Ours.Close()
	if p.Program != nil {
		p.Program.Close()
	}
}
