package transport

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// brokenListener fails as told, then blocks until closed.
type brokenListener struct {
	net.Listener
	errs   []error
	closed chan struct{}
}

func (l *brokenListener) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		a, _ := NewPipe(0)
		return a, nil
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
}

func (l *brokenListener) Close() error { close(l.closed); return nil }

func TestAcceptSurvivesShortages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		bl := &brokenListener{errs: []error{syscall.EMFILE, syscall.ECONNABORTED, syscall.ENFILE}, closed: make(chan struct{})}
		l, err := NewListener(bl, "tcp://x", Options{OnError: func(err error) { told = append(told, err) }})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		// 5, 10 and 20 ms.
		if waited := time.Since(start); waited != 7*minBackoff {
			t.Errorf("waited %v", waited)
		}
		// No descriptors, once for all of them, and what to do about it.
		if len(told) != 2 || !errors.Is(told[0], syscall.EMFILE) || !strings.Contains(told[0].Error(), "ulimit -n") {
			t.Errorf("told %v", told)
		}
		<-time.After(shortEvery)
		bl.errs = []error{syscall.EMFILE, syscall.EMFILE}
		if _, err := l.Accept(); err != nil || len(told) != 3 {
			t.Errorf("%v, told %v", err, told)
		}
		bl.errs = []error{syscall.EBADF}
		if _, err := l.Accept(); !errors.Is(err, syscall.EBADF) {
			t.Errorf("a final error = %v", err)
		}
	})
}

func TestCloseEndsBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bl := &brokenListener{closed: make(chan struct{})}
		for range 100 {
			bl.errs = append(bl.errs, syscall.EMFILE)
		}
		l, err := NewListener(bl, "tcp://x", Options{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := l.Accept()
			done <- err
		}()
		<-time.After(90 * time.Second) // fake: the wait grows to 1 s and stays there
		synctest.Wait()
		if left := len(bl.errs); left < 1 || left > 10 {
			t.Errorf("%d attempts in 90 s", 100-left)
		}
		start := time.Now()
		l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) || time.Since(start) != 0 {
			t.Errorf("Accept = %v, %v after Close", err, time.Since(start))
		}
	})
}
