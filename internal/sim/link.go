package sim

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/midgemq/midge/transport"
)

// A Wire is how one connection treats what is sent over it.
type Wire struct {
	Delay time.Duration // each way
	Chunk int           // bytes a read sees at most; 0: all there is
	Room  int           // bytes one direction takes before a write blocks
}

// A link is one connection: two lanes, and a fault in each if need be.
type link struct {
	world *World
	host  *host  // the server's life it belongs to
	up    lane   // to the server
	down  lane   // to the client
	view  *watch // who looks at it from the client's side

	faulty atomic.Bool // something has been done to it
	awake  atomic.Bool // its client has stalled for long enough
}

// A lane is one direction of a link: bytes under way, and bytes that have
// arrived and wait to be read.
type lane struct {
	link *link
	wire Wire

	mu      sync.Mutex
	cond    sync.Cond // anything below changed
	flight  []parcel  // guarded by mu
	arrived []byte    // guarded by mu
	busy    bool      // guarded by mu: a timer is set for the first of flight
	gone    bool      // guarded by mu: what is written vanishes, and what is under way
	budget  int       // guarded by mu: bytes until the link tears; negative: it does not
	closed  bool      // guarded by mu: by the writer; what is under way still arrives
	shut    bool      // guarded by mu: by the reader
	reset   bool      // guarded by mu
	sent    int       // guarded by mu: bytes taken from the writer
	read    int       // guarded by mu: bytes handed to the reader
	rd, wd  deadline  // guarded by mu
}

type parcel struct {
	at  time.Time
	b   []byte
	end bool // the writer has closed
}

func (w *World) newLink(h *host, wire Wire) *link {
	if wire.Room <= 0 {
		wire.Room = 64 << 10
	}
	k := &link{world: w, host: h}
	for i, l := range []*lane{&k.up, &k.down} {
		l.link, l.wire, l.budget = k, wire, -1
		if wire.Delay > 0 { // no two alike: of what happens at one instant the order is left to chance
			l.wire.Delay += time.Duration(2*w.links.Add(1)) + time.Duration(i)
		}
		l.cond.L = &l.mu
	}
	return k
}

// write takes p as far as there is room, and waits for more.
func (l *lane) write(p []byte) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.closed:
			return n, net.ErrClosed
		case l.reset || l.shut && !l.gone:
			return n, syscall.ECONNRESET
		case l.wd.expired:
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		if room := l.wire.Room - l.waitingLocked(); room > 0 {
			k := min(room, len(p))
			l.sendLocked(parcel{b: append([]byte(nil), p[:k]...)})
			n, p = n+k, p[k:]
			continue
		}
		l.cond.Wait()
	}
}

// offer is a write that never waits: the sender's own buffer is large.
func (l *lane) offer(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && !l.reset && (l.gone || !l.shut) {
		l.sendLocked(parcel{b: p})
	}
}

func (l *lane) waitingLocked() int {
	n := len(l.arrived)
	for _, p := range l.flight {
		n += len(p.b)
	}
	return n
}

// sendLocked puts a parcel under way.
func (l *lane) sendLocked(p parcel) {
	l.sent += len(p.b)
	p.at = time.Now().Add(l.wire.Delay)
	l.flight = append(l.flight, p)
	l.moveLocked()
}

// moveLocked lets arrive what has been under way for long enough.
func (l *lane) moveLocked() {
	for !l.gone && !l.reset && len(l.flight) > 0 {
		p := &l.flight[0]
		if wait := time.Until(p.at); wait > 0 {
			if !l.busy {
				l.busy = true
				time.AfterFunc(wait, l.move)
			}
			break
		}
		if l.budget >= 0 && len(p.b) >= l.budget {
			l.arrived = append(l.arrived, p.b[:l.budget]...)
			l.resetLocked()
			go l.link.cut()
			break
		}
		if l.budget > 0 {
			l.budget -= len(p.b)
		}
		l.arrived = append(l.arrived, p.b...)
		l.closed = l.closed || p.end
		l.flight = l.flight[1:]
		if p.end {
			break
		}
	}
	l.cond.Broadcast()
	l.link.world.poke()
}

func (l *lane) move() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	l.moveLocked()
}

func (l *lane) resetLocked() {
	l.reset, l.flight = true, nil
	l.cond.Broadcast()
	l.link.world.poke()
}

// over reports what a reader that has read everything is told.
func (l *lane) overLocked() error {
	switch {
	case l.shut:
		return net.ErrClosed
	case l.rd.expired:
		return os.ErrDeadlineExceeded
	case len(l.arrived) > 0:
		return nil
	case l.reset:
		return syscall.ECONNRESET
	case l.closed && len(l.flight) == 0:
		return io.EOF
	}
	return errWait
}

type waitError struct{}

func (waitError) Error() string { return "nothing yet" }

var errWait error = waitError{}

func (l *lane) readInto(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch err := l.overLocked(); {
		case err == nil:
			if l.wire.Chunk > 0 && len(p) > l.wire.Chunk {
				p = p[:l.wire.Chunk]
			}
			n := copy(p, l.arrived)
			l.arrived = l.arrived[n:]
			l.read += n
			l.cond.Broadcast()
			return n, nil
		case err != errWait:
			return 0, err
		}
		l.cond.Wait()
	}
}

// take is a read that does not wait. The error is nil, an end, or errWait.
func (l *lane) take() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.overLocked(); err != nil {
		return nil, err
	}
	b := l.arrived
	l.arrived = nil
	l.read += len(b)
	l.cond.Broadcast()
	return b, nil
}

// finish ends writing: the peer reads what is under way, and then the end.
func (l *lane) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && !l.reset {
		l.flight = append(l.flight, parcel{at: time.Now().Add(l.wire.Delay), end: true})
		l.moveLocked()
	}
	l.closed = true
	l.cond.Broadcast()
}

// quit ends reading.
func (l *lane) quit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shut, l.arrived = true, nil
	l.cond.Broadcast()
}

// vanish makes the lane swallow everything, unnoticed.
func (l *lane) vanish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
}

func (l *lane) tearAfter(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.budget = n
}

// slow reports whether the lane holds up who writes to it.
func (l *lane) slow() bool { return l.wire.Delay > 0 && l.wire.Room < 16<<10 }

// drained reports whether the reader has had all that was written.
func (l *lane) drained() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent == l.read && !l.reset
}

// cut resets the link in both directions.
func (k *link) cut() {
	k.faulty.Store(true)
	for _, l := range []*lane{&k.up, &k.down} {
		l.mu.Lock()
		if !l.reset {
			l.resetLocked()
		}
		l.mu.Unlock()
	}
}

// A deadline is owned by its lane's mutex.
type deadline struct {
	timer   *time.Timer
	set     int // a timer that fired late must not count
	expired bool
}

func (l *lane) setDeadline(d *deadline, t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.set++
	d.timer, d.expired = nil, false
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.expired = true
		l.cond.Broadcast()
		return
	}
	set := d.set
	d.timer = time.AfterFunc(wait, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if d.set == set {
			d.expired = true
			l.cond.Broadcast()
		}
	})
}

// An end is one end of a link, as a net.Conn.
type end struct {
	k       *link
	in, out *lane
	server  bool
	ahead   int // bytes seen that a write had no time for; the next one begins with them
}

type address string

func (a address) Network() string { return "sim" }
func (a address) String() string  { return string(a) }

func (e *end) Kind() transport.Kind            { return transport.Pipe }
func (e *end) Handshake(context.Context) error { return nil }
func (e *end) TLS() *tls.ConnectionState       { return nil }
func (e *end) LocalAddr() net.Addr             { return address("here") }
func (e *end) RemoteAddr() net.Addr            { return address("there") }

func (e *end) Read(p []byte) (int, error) {
	for {
		n, err := e.in.readInto(p)
		if !e.server {
			e.k.view.receive(p[:n], err)
		} else if err == nil {
			if n = e.k.world.lie.toServer(p[:n]); n == 0 {
				continue
			}
		}
		return n, err
	}
}

func (e *end) Write(p []byte) (int, error) {
	if e.server {
		if !e.k.host.says(len(p)) {
			return 0, syscall.ECONNRESET
		}
		return e.out.write(e.k.world.lie.toClient(p))
	}
	e.k.view.send(p[min(e.ahead, len(p)):])
	n, err := e.out.write(p)
	e.ahead = len(p) - n
	return n, err
}

func (e *end) CloseWrite() error { e.out.finish(); return nil }

func (e *end) Close() error {
	if e.server {
		e.k.world.serverClosed(e.k)
	} else {
		e.k.view.hungUp()
	}
	e.in.quit()
	e.out.finish()
	return nil
}

func (e *end) SetDeadline(t time.Time) error {
	e.in.setDeadline(&e.in.rd, t)
	e.out.setDeadline(&e.out.wd, t)
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error  { e.in.setDeadline(&e.in.rd, t); return nil }
func (e *end) SetWriteDeadline(t time.Time) error { e.out.setDeadline(&e.out.wd, t); return nil }

// A door is a listener in memory.
type door struct {
	mu     sync.Mutex
	cond   sync.Cond
	queue  []transport.Conn // guarded by mu
	closed bool             // guarded by mu
}

func newDoor() *door {
	d := new(door)
	d.cond.L = &d.mu
	return d
}

func (d *door) Addr() net.Addr { return address("door") }
func (d *door) String() string { return "sim://door" }

func (d *door) Accept() (transport.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.queue) == 0 && !d.closed {
		d.cond.Wait()
	}
	if d.closed {
		return nil, net.ErrClosed
	}
	c := d.queue[0]
	d.queue = d.queue[1:]
	return c, nil
}

func (d *door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, c := range d.queue {
		go c.Close()
	}
	d.queue = nil
	d.cond.Broadcast()
	return nil
}

func (d *door) enter(c transport.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.queue = append(d.queue, c)
	d.cond.Broadcast()
	return true
}
