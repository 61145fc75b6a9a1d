package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// PipeBuffer is how many bytes one direction of a pipe holds, when not told
// otherwise, before Write blocks.
const PipeBuffer = 64 << 10

// pipeBacklog is how many connections wait for Accept before Dial blocks.
const pipeBacklog = 128

// A PipeListener is a Listener in memory, for tests and for programs that
// embed both ends. It does no I/O and starts no goroutine, so it works inside
// a testing/synctest bubble when created there.
type PipeListener struct {
	name string
	size int

	mu     sync.Mutex
	cond   sync.Cond // queue or closed changed, or a Dial's context ended
	queue  []Conn    // server ends not accepted yet
	dialed int
	closed bool
}

var _ Listener = (*PipeListener)(nil)

// ListenPipe returns a listener whose connections hold size bytes in each
// direction; 0: PipeBuffer. The name shows in addresses and means nothing.
func ListenPipe(name string, size int) *PipeListener {
	l := &PipeListener{name: name, size: size}
	l.cond.L = &l.mu
	return l
}

// Dial connects to the listener. It blocks only while 128 connections wait
// to be accepted.
func (l *PipeListener) Dial(ctx context.Context) (Conn, error) {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.cond.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) >= pipeBacklog && !l.closed && ctx.Err() == nil {
		l.cond.Wait()
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("transport: dial %s: %w", l, err)
	}
	if l.closed {
		return nil, fmt.Errorf("transport: dial %s: nobody listens: %w", l, net.ErrClosed)
	}
	l.dialed++
	client, server := newPipe(pipeAddr(fmt.Sprintf("%s/%d", l.name, l.dialed)), pipeAddr(l.name), l.size)
	l.queue = append(l.queue, server)
	l.cond.Broadcast()
	return client, nil
}

// Accept returns the next connection dialed.
func (l *PipeListener) Accept() (Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.cond.Wait()
	}
	if l.closed {
		return nil, fmt.Errorf("transport: accept %s: %w", l, net.ErrClosed)
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	l.cond.Broadcast()
	return c, nil
}

// Close ends Accept and Dial; connections not accepted yet are closed.
func (l *PipeListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, c := range l.queue {
		c.Close()
	}
	l.queue = nil
	l.cond.Broadcast()
	return nil
}

func (l *PipeListener) Addr() net.Addr { return pipeAddr(l.name) }
func (l *PipeListener) String() string { return "pipe://" + l.name }

// NewPipe returns both ends of a connection in memory. Unlike net.Pipe's, its
// writes succeed until size bytes wait to be read (0: PipeBuffer).
func NewPipe(size int) (a, b Conn) { return newPipe("a", "b", size) }

func newPipe(a, b pipeAddr, size int) (*pipeConn, *pipeConn) {
	if size <= 0 {
		size = PipeBuffer
	}
	ab, ba := newHalf(size), newHalf(size)
	return &pipeConn{local: a, remote: b, in: ba, out: ab}, &pipeConn{local: b, remote: a, in: ab, out: ba}
}

type pipeAddr string

func (a pipeAddr) Network() string { return string(Pipe) }
func (a pipeAddr) String() string  { return string(a) }

type pipeConn struct {
	local, remote pipeAddr
	in, out       *half
}

func (c *pipeConn) Kind() Kind                      { return Pipe }
func (c *pipeConn) Handshake(context.Context) error { return nil }
func (c *pipeConn) TLS() *tls.ConnectionState       { return nil }
func (c *pipeConn) LocalAddr() net.Addr             { return c.local }
func (c *pipeConn) RemoteAddr() net.Addr            { return c.remote }
func (c *pipeConn) Read(p []byte) (int, error)      { return c.in.read(p) }
func (c *pipeConn) Write(p []byte) (int, error)     { return c.out.write(p) }
func (c *pipeConn) CloseWrite() error               { c.out.closeWrite(); return nil }

// Close lets the peer read what was written before. Closing again is fine.
func (c *pipeConn) Close() error {
	c.out.closeWrite()
	c.out.writeDeadline(time.Time{})
	c.in.closeRead()
	c.in.readDeadline(time.Time{})
	return nil
}

func (c *pipeConn) SetDeadline(t time.Time) error {
	c.in.readDeadline(t)
	c.out.writeDeadline(t)
	return nil
}

func (c *pipeConn) SetReadDeadline(t time.Time) error  { c.in.readDeadline(t); return nil }
func (c *pipeConn) SetWriteDeadline(t time.Time) error { c.out.writeDeadline(t); return nil }

// A half is one direction of a pipe.
type half struct {
	size int

	mu          sync.Mutex
	cond        sync.Cond // anything below changed
	buf         []byte    // buf[off:] waits to be read; grown on demand to size
	off         int
	readClosed  bool
	writeClosed bool
	rd, wd      deadline
}

func newHalf(size int) *half {
	h := &half{size: size}
	h.cond.L = &h.mu
	return h
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readClosed:
			return 0, net.ErrClosed
		case h.rd.expired:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case h.off < len(h.buf):
			n := copy(p, h.buf[h.off:])
			h.off += n
			if h.off == len(h.buf) {
				h.buf, h.off = h.buf[:0], 0
			}
			h.cond.Broadcast()
			return n, nil
		case h.writeClosed:
			return 0, io.EOF
		}
		h.cond.Wait()
	}
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.writeClosed:
			return n, net.ErrClosed
		case h.readClosed:
			return n, io.ErrClosedPipe
		case h.wd.expired:
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		if room := h.size - (len(h.buf) - h.off); room > 0 {
			k := min(room, len(p))
			if len(h.buf)+k > cap(h.buf) && h.off > 0 {
				h.buf, h.off = h.buf[:copy(h.buf, h.buf[h.off:])], 0
			}
			h.buf = append(h.buf, p[:k]...)
			n, p = n+k, p[k:]
			h.cond.Broadcast()
			continue
		}
		h.cond.Wait()
	}
}

func (h *half) closeRead() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readClosed, h.buf, h.off = true, nil, 0
	h.cond.Broadcast()
}

func (h *half) closeWrite() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writeClosed = true
	h.cond.Broadcast()
}

func (h *half) readDeadline(t time.Time)  { h.setDeadline(&h.rd, t) }
func (h *half) writeDeadline(t time.Time) { h.setDeadline(&h.wd, t) }

// A deadline is owned by its half's mutex.
type deadline struct {
	timer   *time.Timer
	set     int // counts changes: a timer that fired late must not count
	expired bool
}

func (h *half) setDeadline(d *deadline, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.set++
	d.expired = false
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.expired = true
		h.cond.Broadcast()
		return
	}
	set := d.set
	d.timer = time.AfterFunc(wait, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if d.set == set {
			d.expired = true
			h.cond.Broadcast()
		}
	})
}
