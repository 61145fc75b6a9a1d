package transport

import (
	"container/list"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
)

// A pendingListener bounds connections that have proved nothing yet. When one
// too many arrives the oldest goes: strangers who stall push each other out,
// while a client that gets on with it is through in a round trip or two.
type pendingListener struct {
	net.Listener
	opts Options

	mu     sync.Mutex
	order  list.List // of *pendingConn, oldest first
	closed bool
}

var errPending = errors.New("too many connections not upgraded yet")

func newPendingListener(ln net.Listener, opts Options) *pendingListener {
	return &pendingListener{Listener: ln, opts: opts}
}

func (l *pendingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	pc := &pendingConn{Conn: c, list: l}
	l.mu.Lock()
	var oldest *pendingConn
	if l.order.Len() >= l.opts.WebSocket.MaxPending {
		oldest = l.order.Front().Value.(*pendingConn)
		l.remove(oldest)
	}
	pc.elem = l.order.PushBack(pc)
	closed := l.closed
	l.mu.Unlock()
	if oldest != nil {
		oldest.Conn.Close()
		l.opts.report(fmt.Errorf("websocket: closed %s: %w", oldest.RemoteAddr(), errPending))
	}
	if closed {
		pc.Close()
	}
	return pc, nil
}

// claim takes an upgraded connection off the list, after which nobody pushes
// it out; false: somebody has.
func (l *pendingListener) claim(c net.Conn) bool {
	if tc, ok := c.(*tls.Conn); ok {
		c = tc.NetConn()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remove(c.(*pendingConn))
}

// remove needs mu; it reports whether pc was pending.
func (l *pendingListener) remove(pc *pendingConn) bool {
	if pc.elem == nil {
		return false
	}
	l.order.Remove(pc.elem)
	pc.elem = nil
	return true
}

func (l *pendingListener) closeAll() {
	l.mu.Lock()
	l.closed = true
	var all []*pendingConn
	for e := l.order.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*pendingConn))
	}
	l.mu.Unlock()
	for _, pc := range all {
		pc.Close()
	}
}

type pendingConn struct {
	net.Conn
	list *pendingListener
	elem *list.Element // guarded by list.mu; nil: no longer pending
}

func (c *pendingConn) Close() error {
	c.list.mu.Lock()
	c.list.remove(c)
	c.list.mu.Unlock()
	return c.Conn.Close()
}
