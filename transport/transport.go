package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"time"
)

// A Kind names what carries a connection, for people and for hooks.
type Kind string

const (
	TCP  Kind = "tcp"
	TLS  Kind = "tls"
	WS   Kind = "ws"
	WSS  Kind = "wss"
	Unix Kind = "unix"
	Pipe Kind = "pipe"
)

// A Conn is a net.Conn that knows how it is carried.
type Conn interface {
	net.Conn

	// Kind never changes.
	Kind() Kind

	// Handshake finishes what Accept left undone: the TLS handshake on a
	// connection from a TLS listener, nothing on any other. It blocks until
	// done or until ctx ends, which closes the connection. Call it before
	// the first Read or Write; calling it again returns the first outcome.
	Handshake(ctx context.Context) error

	// TLS describes the secured connection, its peer certificates included;
	// nil where there is no TLS and until the handshake is done.
	TLS() *tls.ConnectionState

	// CloseWrite tells the peer that nothing follows, and leaves reading
	// open. Write, CloseWrite, Read to the end under a deadline, Close: so
	// the last words arrive even when the peer has sent what nobody read.
	CloseWrite() error
}

// A Listener hands out connections as peers make them.
type Listener interface {
	// Accept blocks until a connection arrives or the listener is closed,
	// then wrapping net.ErrClosed. Passing shortages (no file descriptors,
	// a peer gone already) are waited out inside and told to
	// Options.OnError; every error returned is final.
	Accept() (Conn, error)

	// Addr is the address bound, with the port the system chose.
	Addr() net.Addr

	// Close stops listening and ends handshakes the listener runs itself.
	// Connections delivered by Accept live on.
	Close() error

	// String is the address as a URL, fit for Dial where that makes sense.
	String() string
}

// Options shape a listener. The zero value listens with the defaults named.
type Options struct {
	// TLS is required for tls and wss, and ignored otherwise.
	TLS *ServerTLS

	// WebSocket is for ws and wss.
	WebSocket WebSocket

	// UnixMode is the socket file's permission bits; 0: as the umask leaves it.
	UnixMode fs.FileMode

	// KeepAlive is the idle time before TCP keep-alive probes start, and the
	// time between them; 0: 15 s, negative: no probes.
	KeepAlive time.Duration

	// Nagle true lets the system hold small writes back (TCP_NODELAY off).
	Nagle bool

	// HandshakeTimeout bounds handshakes that the listener runs itself: TLS
	// under wss, and the WebSocket upgrade. 0: 10 s; negative: none.
	HandshakeTimeout time.Duration

	// Admit, when set, is asked about each connection before anything is done for
	// it, and about one behind a proxy once the proxy has said whose it is. False
	// closes it. It must not block. nil: all are admitted.
	Admit func(remote net.Addr) bool

	// Proxies, when set, are what connections come from, each with a header that
	// says whose it is: Conn.RemoteAddr is that client's.
	Proxies *Proxies

	// Poller chooses who watches the next connection of a plain TCP or unix
	// listener: Accept then returns a *Socket that is not attached yet. Nil, and
	// everywhere but on Linux: each connection is for a goroutine to read.
	Poller func() *Poller

	// Listen binds the socket of a listener that is not a unix one, for an
	// option of sockets that has no field here; network is "tcp". It may run
	// anything on the way, such as noting the address. nil: net.ListenConfig does,
	// with KeepAlive.
	Listen func(ctx context.Context, network, address string) (net.Listener, error)

	// OnError hears of what the listener survived: failed accepts, refused
	// upgrades (*RefusedError). Called from several goroutines; must not
	// block. nil: nobody is told.
	OnError func(error)
}

func (o Options) handshakeTimeout() time.Duration {
	switch {
	case o.HandshakeTimeout == 0:
		return 10 * time.Second
	case o.HandshakeTimeout < 0:
		return 0
	}
	return o.HandshakeTimeout
}

func (o Options) report(err error) {
	if o.OnError != nil {
		o.OnError(err)
	}
}

// Listen binds the address url names; ctx bounds only the binding (name
// resolution). See the package comment for the URLs understood.
func Listen(ctx context.Context, url string, opts Options) (Listener, error) {
	a, err := parseAddress(url)
	if err != nil {
		return nil, err
	}
	// Everything that can be wrong in the options is found before the bind.
	wrap, err := a.wrapper(opts)
	if err != nil {
		return nil, fmt.Errorf("transport: listen %s: %w", url, err)
	}
	var ln net.Listener
	switch {
	case a.kind == Unix:
		ln, err = listenUnix(ctx, a.host, opts)
	case opts.Listen != nil:
		ln, err = opts.Listen(ctx, "tcp", a.host)
	default:
		lc := net.ListenConfig{KeepAlive: opts.KeepAlive}
		ln, err = lc.Listen(ctx, "tcp", a.host)
	}
	if err != nil {
		return nil, fmt.Errorf("transport: listen %s: %w", url, err)
	}
	return wrap(ln), nil
}

// NewListener serves url's kind of transport on ln, which may come from
// elsewhere (a socket inherited from a supervisor, another network). The
// host and port in url are ignored. The Listener owns ln.
func NewListener(ln net.Listener, url string, opts Options) (Listener, error) {
	a, err := parseAddress(url)
	if err != nil {
		return nil, err
	}
	wrap, err := a.wrapper(opts)
	if err != nil {
		return nil, fmt.Errorf("transport: listen %s: %w", url, err)
	}
	return wrap(ln), nil
}
