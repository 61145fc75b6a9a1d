package transport

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// A polledListener accepts connections as Sockets, without the net package's
// descriptor and its own watch on it.
type polledListener struct {
	net.Listener
	file   *os.File // its socket once more: a net.Listener's own may not be read raw
	raw    syscall.RawConn
	unix   bool
	poller func() *Poller
	each   func(fd int) // sets what connections do not inherit; nil: they do
}

// newPolledListener has ln's connections watched by the Pollers that opts
// names; ln itself if it is no socket of a kind that can.
func newPolledListener(ln net.Listener, opts Options) net.Listener {
	filer, ok := ln.(interface{ File() (*os.File, error) })
	if !ok || opts.Poller == nil {
		return ln
	}
	l := &polledListener{Listener: ln, poller: opts.Poller}
	_, tcp := ln.(*net.TCPListener)
	if _, l.unix = ln.(*net.UnixListener); !l.unix && !tcp {
		return ln
	}
	var err error
	if l.file, err = filer.File(); err != nil {
		return ln
	}
	if l.raw, err = l.file.SyscallConn(); err == nil && tcp {
		l.raw.Control(func(fd uintptr) {
			if shape(int(fd), opts) != nil { // Multipath TCP of older systems, say
				l.each = func(fd int) { shape(fd, opts) }
			}
		})
	}
	if err != nil {
		l.file.Close()
		return ln
	}
	return l
}

// shape sets what each connection is to have, as far as the system lets it: on
// the listener, from which connections have it without a system call of their
// own, or else on each.
func shape(fd int, opts Options) error {
	nodelay := 1
	if opts.Nagle {
		nodelay = 0
	}
	err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, nodelay)
	if opts.KeepAlive < 0 {
		return err
	}
	idle := opts.KeepAlive
	if idle == 0 {
		idle = 15 * time.Second
	}
	secs := max(1, int(idle/time.Second))
	for _, o := range [][3]int{
		{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, secs},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, secs},
	} {
		err = errors.Join(err, syscall.SetsockoptInt(fd, o[0], o[1], o[2]))
	}
	return err
}

// Close stops listening.
func (l *polledListener) Close() error {
	return errors.Join(l.Listener.Close(), l.file.Close())
}

// Accept returns a *Socket that is not attached yet.
func (l *polledListener) Accept() (net.Conn, error) {
	var nfd int
	var sa syscall.Sockaddr
	var err error
	waited := l.raw.Read(func(fd uintptr) bool {
		for {
			nfd, sa, err = syscall.Accept4(int(fd), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			if err != syscall.EINTR {
				return err != syscall.EAGAIN
			}
		}
	})
	if waited != nil {
		return nil, net.ErrClosed
	}
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: os.NewSyscallError("accept4", err)}
	}
	s := &Socket{p: l.poller(), fd: int32(nfd), peer: endpoint{unix: l.unix}}
	s.set(writable | away)
	if l.each != nil {
		l.each(nfd)
	}
	if !l.unix {
		s.peer = endpointOf(sa)
	}
	return s, nil
}
