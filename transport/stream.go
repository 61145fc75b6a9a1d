package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"path"
)

// A streamListener serves TCP and unix sockets as they come.
type streamListener struct {
	net.Listener
	kind Kind
}

func newStreamListener(ln net.Listener, kind Kind, opts Options) Listener {
	return &streamListener{newFrontListener(newPolledListener(ln, opts), opts), kind}
}

func (l *streamListener) Accept() (Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if s, ok := c.(*Socket); ok {
		return s, nil
	}
	return &streamConn{c, l.kind}, nil
}

func (l *streamListener) String() string {
	file := l.Addr().String()
	switch {
	case l.kind != Unix:
		return urlOf(l.kind, file)
	case !path.IsAbs(file):
		return "unix:" + file
	}
	return (&url.URL{Scheme: "unix", Path: file}).String()
}

// A streamConn is a socket that needs nothing added.
type streamConn struct {
	net.Conn
	kind Kind
}

func (c *streamConn) Kind() Kind                      { return c.kind }
func (c *streamConn) Handshake(context.Context) error { return nil }
func (c *streamConn) TLS() *tls.ConnectionState       { return nil }
func (c *streamConn) CloseWrite() error               { return closeWrite(c.Conn) }

// closeWrite half-closes c; where c cannot, the peer learns of the end when
// the connection is closed.
func closeWrite(c net.Conn) error {
	if cw, ok := c.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return nil
}
