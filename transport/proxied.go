package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Proxies are those that stand before a listener and say, in a PROXY header
// (version 1 or 2) at the front of each connection, whose it is. Nobody else may
// connect.
type Proxies struct {
	// Trusted reports whether a proxy may stand at an address; it may be asked
	// from several goroutines. nil: nobody may. Peers of a unix socket are not
	// asked for: its permissions say who may connect.
	Trusted func(netip.Addr) bool

	// RequireTLS reports whether clients are refused that did not come to the
	// proxy over TLS, as its header says: that of version 2 alone does. The
	// proxy itself, checking the broker's health, is not (LOCAL). nil: no.
	RequireTLS func() bool
}

// A ProxyError is a connection that was refused for what a proxy said of it, or
// for who the proxy is: reported to Options.OnError.
type ProxyError struct {
	Remote net.Addr // the other end, as the system has it
	Err    error
}

func (e *ProxyError) Error() string {
	return fmt.Sprintf("connection of %v refused: %v", e.Remote, e.Err)
}

// Unwrap returns what was wrong.
func (e *ProxyError) Unwrap() error { return e.Err }

var (
	errNotTrusted = errors.New("it is none of the proxies that may connect")
	errNoTLS      = errors.New("the client did not come to the proxy over TLS")
)

// mostHeaders bounds connections whose header is still to come: the next is
// accepted when one of them is through.
const mostHeaders = 1024

// A proxiedListener reads the header of each connection in a goroutine of its
// own, and hands them out with their client's address.
type proxiedListener struct {
	net.Listener
	opts  Options
	ready chan net.Conn
	room  chan struct{} // a token for each whose header is still to come

	once   sync.Once
	closed chan struct{}
	done   chan struct{} // nobody accepts any more; guards:
	err    error         // why

	mu      sync.Mutex
	pending map[net.Conn]struct{} // guarded by mu
}

// newFrontListener is ln as every kind of listener has it in front.
func newFrontListener(ln net.Listener, opts Options) net.Listener {
	front := newRetryListener(ln, opts)
	if opts.Proxies == nil {
		return front
	}
	l := &proxiedListener{
		Listener: front, opts: opts, ready: make(chan net.Conn), room: make(chan struct{}, mostHeaders),
		closed: make(chan struct{}), done: make(chan struct{}), pending: map[net.Conn]struct{}{},
	}
	go l.acceptAll()
	return l
}

func (l *proxiedListener) acceptAll() {
	defer close(l.done)
	for {
		l.room <- struct{}{}
		c, err := l.Listener.Accept()
		if err != nil {
			l.err = err
			return
		}
		if !l.trusts(c.RemoteAddr()) {
			l.opts.report(&ProxyError{c.RemoteAddr(), errNotTrusted})
			c.Close()
			<-l.room
			continue
		}
		go l.introduce(c)
	}
}

func (l *proxiedListener) trusts(remote net.Addr) bool {
	t, ok := remote.(*net.TCPAddr)
	if !ok {
		return true // a unix socket's
	}
	trusted := l.opts.Proxies.Trusted
	return trusted != nil && trusted(t.AddrPort().Addr().Unmap().WithZone(""))
}

// introduce reads the header of c and hands it on.
func (l *proxiedListener) introduce(c net.Conn) {
	l.mu.Lock()
	l.pending[c] = struct{}{}
	l.mu.Unlock()
	named, err := l.read(c)
	l.mu.Lock()
	delete(l.pending, c)
	l.mu.Unlock()
	<-l.room
	if err != nil {
		select {
		case <-l.closed: // which is why
		default:
			if err == errNotAdmitted {
				break // who did not knows
			}
			l.opts.report(&ProxyError{c.RemoteAddr(), err})
		}
		c.Close()
		return
	}
	select {
	case l.ready <- named:
	case <-l.closed:
		c.Close()
	}
}

func (l *proxiedListener) read(c net.Conn) (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	s, polled := c.(interface {
		watch() error
		rename(netip.AddrPort)
	})
	if polled {
		if err := s.watch(); err != nil {
			return nil, err
		}
	}
	if t := l.opts.handshakeTimeout(); t > 0 {
		c.SetReadDeadline(time.Now().Add(t))
	}
	h, err := readProxyHeader(c)
	switch {
	case err != nil:
		return nil, err
	case l.opts.Proxies.RequireTLS != nil && l.opts.Proxies.RequireTLS() && !h.local && !h.tls:
		return nil, errNoTLS
	}
	c.SetReadDeadline(time.Time{})
	if h.source.IsValid() && polled {
		s.rename(h.source)
	} else if h.source.IsValid() {
		c = &proxiedConn{c, net.TCPAddrFromAddrPort(h.source)}
	}
	if admit := l.opts.Admit; admit != nil && !admit(c.RemoteAddr()) {
		return nil, errNotAdmitted
	}
	return c, nil
}

var errNotAdmitted = errors.New("not admitted")

func (l *proxiedListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.done:
		return nil, l.err
	}
}

func (l *proxiedListener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = l.Listener.Close()
		l.mu.Lock()
		for c := range l.pending {
			c.Close()
		}
		l.mu.Unlock()
		<-l.done
	})
	return err
}

// A proxiedConn has its client's address in place of its proxy's.
type proxiedConn struct {
	net.Conn
	remote net.Addr
}

func (c *proxiedConn) RemoteAddr() net.Addr { return c.remote }
func (c *proxiedConn) CloseWrite() error    { return closeWrite(c.Conn) }
