package transport

import (
	"errors"
	"fmt"
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
	err    error     // of Close; written once before closed is
	short  time.Time // when a shortage of descriptors was reported last; Accept's
}

func newRetryListener(ln net.Listener, opts Options) *retryListener {
	return &retryListener{Listener: ln, opts: opts, closed: make(chan struct{})}
}

const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
	shortEvery = time.Minute
)

// Accept returns a connection or a final error.
func (l *retryListener) Accept() (net.Conn, error) {
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		c, err := l.Listener.Accept()
		if err == nil && l.opts.Admit != nil && l.opts.Proxies == nil && !l.opts.Admit(c.RemoteAddr()) {
			c.Close()
			wait = minBackoff / 2
			continue
		}
		if err == nil {
			if tc, ok := c.(*net.TCPConn); ok && l.opts.Nagle {
				tc.SetNoDelay(false) // an error here is one the first read will see
			}
			return c, nil
		}
		if !temporary(err) {
			return nil, err
		}
		l.report(err)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-l.closed:
			t.Stop()
			return nil, net.ErrClosed
		}
	}
}

// report passes an error on. That descriptors have run out is said once in a
// while: it comes with every connection that another one leaves room for.
func (l *retryListener) report(err error) {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		now := time.Now()
		if !l.short.IsZero() && now.Sub(l.short) < shortEvery {
			return
		}
		l.short = now
		err = fmt.Errorf("%w: connections wait until others end; raise the limit of open files (ulimit -n; LimitNOFILE= of a systemd unit)", err)
	}
	l.opts.report(err)
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
