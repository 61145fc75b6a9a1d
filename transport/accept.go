package transport

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// A retryListener waits temporary accept errors out: a listener must survive
// a minute without file descriptors.
type retryListener struct {
	net.Listener
	opts   Options
	once   sync.Once
	closed chan struct{}
	err    error // of Close; written once before closed is
}

func newRetryListener(ln net.Listener, opts Options) *retryListener {
	return &retryListener{Listener: ln, opts: opts, closed: make(chan struct{})}
}

const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// Accept returns a connection or a final error.
func (l *retryListener) Accept() (net.Conn, error) {
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		c, err := l.Listener.Accept()
		if err == nil {
			if tc, ok := c.(*net.TCPConn); ok && l.opts.Nagle {
				tc.SetNoDelay(false) // an error here is one the first read will see
			}
			return c, nil
		}
		if !temporary(err) {
			return nil, err
		}
		l.opts.report(err)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-l.closed:
			t.Stop()
			return nil, net.ErrClosed
		}
	}
}

func (l *retryListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.err = l.Listener.Close()
	})
	return l.err
}

// temporary reports accept errors that say nothing against the listener:
// shortages, and peers that left before they were accepted.
func temporary(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EAGAIN,
		syscall.EPROTO, syscall.ENETDOWN, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
