package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// ErrAgain is what a Socket's TryRead and TryWrite return when there is nothing
// to read, or no room to write.
var ErrAgain = errors.New("transport: nothing to do now")

// A Socket is a TCP or unix connection watched by a Poller. Between Leave and
// Park it is a net.Conn like others, whose methods block; otherwise it belongs
// to the goroutine that calls the Poller's Wait, and only TryRead and TryWrite
// may be called there. TryWrite, the deadlines and Close may be called from
// anywhere.
type Socket struct {
	// Owner is whatever its user likes to find again. Written before Attach.
	Owner any

	// Immutable.
	p    *Poller
	peer endpoint
	fd   int32

	users atomic.Int32  // who is in a system call, and the mark of a closed one
	state atomic.Uint32 // see below

	// Guarded by the Poller's mu.
	deadline   notch // of reads; 0: none
	due        notch // when the wheel looks at it; 0: it is not in the wheel
	prev, next link

	giveUp notch      // guarded by mu: the write deadline; 0: none
	cond   *sync.Cond // guarded by mu: of those who wait; nil until somebody does
	mu     sync.Mutex
}

// What a Socket's state says.
const (
	readable uint32 = 1 << iota // reported by epoll and not read to the end since
	ended                       // epoll has reported the end, or an error: it will not again
	writable                    // reported since the last write that found no room
	expired                     // the read deadline has passed
	away                        // guarded by mu: taken by Leave, or not attached yet
)

func (s *Socket) is(state uint32) bool { return s.state.Load()&state != 0 }
func (s *Socket) set(state uint32)     { s.state.Or(state) }
func (s *Socket) unset(state uint32)   { s.state.And(^state) }

// An endpoint is an address in few bytes. That of a unix socket is unspecified,
// unless it stands for another.
type endpoint struct {
	ip   [16]byte // IPv4 as 4in6
	zone uint32   // an interface's index
	port uint16
	unix bool
}

// Attach begins to watch the socket: from now on Wait returns it, and at once
// if there is something to tell already, such as a deadline that has passed.
func (s *Socket) Attach(owner any) error {
	if !s.enter() {
		return net.ErrClosed
	}
	defer s.leave()
	s.Owner = owner
	if err := s.p.add(s); err != nil {
		return err
	}
	if !s.Park() {
		s.mu.Lock()
		s.unset(away)
		s.mu.Unlock()
		s.p.post(s)
	}
	return nil
}

// watch has the Poller look at the socket before Attach, so that Read can wait.
func (s *Socket) watch() error {
	if !s.enter() {
		return net.ErrClosed
	}
	defer s.leave()
	return s.p.add(s)
}

// rename gives the socket the address of whom it stands for. Before Attach.
func (s *Socket) rename(a netip.AddrPort) {
	s.peer = endpoint{ip: a.Addr().As16(), port: a.Port(), unix: s.peer.unix}
}

// Leave takes the socket from its Poller, for a goroutine that may block.
func (s *Socket) Leave() {
	s.mu.Lock()
	s.set(away)
	s.mu.Unlock()
}

// Away reports whether Leave has taken the socket and Park not given it back.
func (s *Socket) Away() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.is(away)
}

// Park gives the socket back. False is one that has something to read or to
// tell: it stays with the caller.
func (s *Socket) Park() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.is(readable) || s.is(expired) || s.users.Load() >= closedMark {
		return false
	}
	s.unset(away)
	return true
}

// Doze gives the socket back until its read deadline, whatever there is to
// read: then Wait returns it, or before, for what may be nothing. False is a
// deadline that has passed, or a closed socket: it stays with the caller.
func (s *Socket) Doze() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.is(expired) || s.users.Load() >= closedMark {
		return false
	}
	s.unset(away)
	return true
}

// report takes what epoll says, and tells whether Wait is to return the socket.
func (s *Socket) report(events uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		s.set(ended)
	}
	if events&^syscall.EPOLLOUT != 0 {
		s.set(readable)
	}
	if events&(syscall.EPOLLOUT|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		s.set(writable)
	}
	s.signalLocked()
	return !s.is(away) && events&^syscall.EPOLLOUT != 0
}

// expire is report for a deadline.
func (s *Socket) expire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(expired)
	s.signalLocked()
	return !s.is(away)
}

func (s *Socket) signalLocked() {
	if s.cond != nil {
		s.cond.Broadcast()
	}
}

// closedMark is added to users by Close.
const closedMark = 1 << 30

// enter holds the descriptor open for one system call. It does not touch the
// count of a closed socket: the last to leave closes the descriptor, once.
func (s *Socket) enter() bool {
	for {
		u := s.users.Load()
		if u >= closedMark {
			return false
		}
		if s.users.CompareAndSwap(u, u+1) {
			return true
		}
	}
}

func (s *Socket) leave() {
	if s.users.Add(-1) == closedMark {
		s.p.drop(s)
		syscall.Close(int(s.fd)) // which ends epoll's interest too
	}
}

// More reports whether TryRead may have something to tell beyond what it told
// last: more bytes than b had room for, or the end behind them.
func (s *Socket) More() bool { return s.is(readable) }

// TryRead reads what there is, into b, which is not empty.
func (s *Socket) TryRead(b []byte) (int, error) {
	if s.is(expired) {
		return 0, os.ErrDeadlineExceeded
	}
	if !s.enter() {
		return 0, net.ErrClosed
	}
	defer s.leave()
	s.unset(readable) // before: what comes while we read counts
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			return 0, ErrAgain
		case errno != 0:
			s.set(readable)
			return 0, s.failed("read", errno)
		case n == 0:
			s.set(readable)
			return 0, io.EOF
		case int(n) == len(b), s.is(ended):
			s.set(readable)
		}
		return int(n), nil
	}
}

// TryWrite writes as much of b as there is room for; with less than all of it,
// the error is ErrAgain or the reason.
func (s *Socket) TryWrite(b []byte) (n int, err error) {
	if !s.enter() {
		return 0, net.ErrClosed
	}
	defer s.leave()
	s.unset(writable)
	for n < len(b) {
		k, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(s.fd), uintptr(unsafe.Pointer(&b[n])), uintptr(len(b)-n))
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			return n, ErrAgain
		case errno != 0:
			return n, s.failed("write", errno)
		default:
			n += int(k)
		}
	}
	s.set(writable)
	return n, nil
}

func (s *Socket) failed(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: s.network(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

// Read is TryRead that waits, for a socket taken with Leave.
func (s *Socket) Read(b []byte) (int, error) {
	for {
		n, err := s.TryRead(b)
		if err != ErrAgain {
			return n, err
		}
		s.wait(func() bool { return s.is(readable) || s.is(expired) })
	}
}

// Write writes all of b, waiting for room.
func (s *Socket) Write(b []byte) (n int, err error) {
	for {
		k, err := s.TryWrite(b[n:])
		n += k
		if err != ErrAgain {
			return n, err
		}
		late := false
		s.wait(func() bool {
			late = s.giveUp != 0 && time.Since(s.p.epoch) >= s.giveUp.time()
			return late || s.is(writable)
		})
		if late && !s.is(writable) {
			return n, &net.OpError{Op: "write", Net: s.network(), Addr: s.RemoteAddr(), Err: os.ErrDeadlineExceeded}
		}
	}
}

// wait returns when done does, the socket is closed, or the write deadline has
// passed.
func (s *Socket) wait(done func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cond == nil {
		s.cond = sync.NewCond(&s.mu)
	}
	for !done() && s.users.Load() < closedMark {
		var alarm *time.Timer
		if s.giveUp != 0 {
			alarm = time.AfterFunc(s.giveUp.time()-time.Since(s.p.epoch), func() {
				s.mu.Lock()
				s.cond.Broadcast()
				s.mu.Unlock()
			})
		}
		s.cond.Wait()
		if alarm != nil {
			alarm.Stop()
		}
	}
}

// SetReadDeadline is kept to within a quarter of a second.
func (s *Socket) SetReadDeadline(t time.Time) error {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	s.deadline = 0
	if t.IsZero() {
		s.unset(expired)
		return nil
	}
	now := p.now()
	s.deadline = notchAfter(t.Sub(p.epoch))
	if int64(t.Sub(p.epoch)) > now {
		s.unset(expired)
		if s.users.Load() >= closedMark {
			return nil // nobody waits, and drop may have been by
		}
		p.wheel.set(s, s.deadline, now)
		if int64(s.due.time()) < p.until {
			p.wakeLocked()
		}
		return nil
	}
	if s.expire() {
		p.posted = append(p.posted, s)
		p.wakeLocked()
	}
	return nil
}

// SetWriteDeadline is for Write.
func (s *Socket) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveUp = 0
	if !t.IsZero() {
		s.giveUp = notchAfter(t.Sub(s.p.epoch))
	}
	s.signalLocked()
	return nil
}

// SetDeadline sets both.
func (s *Socket) SetDeadline(t time.Time) error {
	s.SetWriteDeadline(t)
	return s.SetReadDeadline(t)
}

// Close ends the connection; who is blocked gets net.ErrClosed, and so does the
// Poller's goroutine, at its next TryRead.
func (s *Socket) Close() error {
	for {
		u := s.users.Load()
		if u >= closedMark {
			return net.ErrClosed
		}
		if s.users.CompareAndSwap(u, u+closedMark+1) {
			break
		}
	}
	s.mu.Lock()
	s.signalLocked()
	tell := !s.is(away)
	s.mu.Unlock()
	s.leave()
	if tell {
		s.p.post(s)
	}
	return nil
}

// CloseWrite sends what has been written and then the end.
func (s *Socket) CloseWrite() error {
	if !s.enter() {
		return net.ErrClosed
	}
	defer s.leave()
	return os.NewSyscallError("shutdown", syscall.Shutdown(int(s.fd), syscall.SHUT_WR))
}

func (s *Socket) network() string {
	if s.peer.unix {
		return "unix"
	}
	return "tcp"
}

// RemoteAddr is made anew by each call.
func (s *Socket) RemoteAddr() net.Addr {
	if s.peer == (endpoint{unix: true}) {
		return &net.UnixAddr{Net: "unix"}
	}
	return s.peer.addr()
}

// LocalAddr asks the system.
func (s *Socket) LocalAddr() net.Addr {
	if !s.enter() {
		return nil
	}
	defer s.leave()
	sa, err := syscall.Getsockname(int(s.fd))
	if err != nil {
		return nil
	}
	if un, ok := sa.(*syscall.SockaddrUnix); ok {
		return &net.UnixAddr{Name: un.Name, Net: "unix"}
	}
	return endpointOf(sa).addr()
}

func endpointOf(sa syscall.Sockaddr) endpoint {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return endpoint{ip: netip.AddrFrom4(sa.Addr).As16(), port: uint16(sa.Port)}
	case *syscall.SockaddrInet6:
		return endpoint{ip: sa.Addr, zone: sa.ZoneId, port: uint16(sa.Port)}
	}
	return endpoint{}
}

func (e endpoint) addr() net.Addr {
	a := &struct { // one object
		net.TCPAddr
		ip [16]byte
	}{ip: e.ip}
	a.IP, a.Port = a.ip[:], int(e.port)
	if v4 := a.IP.To4(); v4 != nil {
		a.IP = v4
	}
	if e.zone != 0 {
		if nic, err := net.InterfaceByIndex(int(e.zone)); err == nil {
			a.Zone = nic.Name
		}
	}
	return &a.TCPAddr
}

// Handshake has nothing to do.
func (s *Socket) Handshake(context.Context) error { return nil }

// TLS is nil.
func (s *Socket) TLS() *tls.ConnectionState { return nil }

// Kind is TCP or Unix.
func (s *Socket) Kind() Kind {
	if s.peer.unix {
		return Unix
	}
	return TCP
}
