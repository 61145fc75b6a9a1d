package transport

import (
	"bufio"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// WebSocket shapes a ws or wss listener. The zero value is safe: MQTT only,
// and browsers only from pages of the same host.
type WebSocket struct {
	// Subprotocols are those accepted, best first; nil: "mqtt", then
	// "mqttv3.1", which MQTT 3.1 clients offer.
	Subprotocols []string

	// Root true accepts the path "/" besides the one in the URL.
	Root bool

	// Origins are pages, besides those of the same host and port, whose
	// scripts may connect: "https://app.example.com", "null", or "*" for
	// all. Clients that are no browsers send no Origin and are not asked.
	Origins []string

	// MaxFrame bounds the payload bytes of one frame; 0 or less: no bound,
	// which costs no memory because frames are never gathered.
	MaxFrame int64

	// MaxPending bounds connections not upgraded yet; 0: 256. One more ends
	// the oldest, which has had the most time.
	MaxPending int
}

// defaultSubprotocols are accepted by listeners told nothing else.
var defaultSubprotocols = []string{"mqtt", "mqttv3.1"}

const (
	defaultMaxPending = 256
	maxHTTPHeader     = 16 << 10 // bytes of headers either end reads
)

// A RefusedError is a WebSocket upgrade that did not happen: reported to
// Options.OnError by a listener, returned by Dial.
type RefusedError struct {
	Remote net.Addr
	Status int    // HTTP status
	Reason string // the text sent along
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("websocket: upgrade with %s refused: %d %s", e.Remote, e.Status, e.Reason)
}

// A wsListener lets net/http accept and upgrade, each connection in a
// goroutine that ends with the upgrade, and hands finished ones to Accept.
type wsListener struct {
	kind    Kind
	path    string
	opts    Options
	pending *pendingListener
	server  http.Server
	ready   chan upgraded

	once   sync.Once
	closed chan struct{}
	done   chan struct{} // Serve returned; guards:
	err    error         // its reason
}

func newWSListener(ln net.Listener, a address, config *tls.Config, opts Options) Listener {
	if len(opts.WebSocket.Subprotocols) == 0 {
		opts.WebSocket.Subprotocols = defaultSubprotocols
	}
	if opts.WebSocket.MaxPending <= 0 {
		opts.WebSocket.MaxPending = defaultMaxPending
	}
	l := &wsListener{
		kind: a.kind, path: a.path, opts: opts,
		pending: newPendingListener(newFrontListener(ln, opts), opts),
		ready:   make(chan upgraded),
		closed:  make(chan struct{}),
		done:    make(chan struct{}),
	}
	timeout := opts.handshakeTimeout()
	l.server = http.Server{
		Handler:                      http.HandlerFunc(l.upgrade),
		ReadHeaderTimeout:            timeout, // TLS handshakes too
		ReadTimeout:                  timeout,
		WriteTimeout:                 timeout,
		MaxHeaderBytes:               maxHTTPHeader,
		DisableGeneralOptionsHandler: true,
		TLSNextProto:                 map[string]func(*http.Server, *tls.Conn, http.Handler){}, // no HTTP/2
		ErrorLog:                     log.New(errorWriter(opts.report), "", 0),
	}
	l.server.SetKeepAlivesEnabled(false)
	serve := net.Listener(l.pending)
	if config != nil {
		serve = tls.NewListener(serve, config)
	}
	go func() {
		defer close(l.done)
		l.err = l.server.Serve(serve)
	}()
	return l
}

// errorWriter reports what net/http would log.
type errorWriter func(error)

func (w errorWriter) Write(p []byte) (int, error) {
	w(errors.New(strings.TrimSpace(string(p))))
	return len(p), nil
}

func (l *wsListener) Addr() net.Addr { return l.pending.Addr() }
func (l *wsListener) String() string { return urlOf(l.kind, l.Addr().String()) + l.path }

func (l *wsListener) Accept() (Conn, error) {
	for {
		select {
		case u := <-l.ready:
			if l.pending.claim(u.raw) {
				return u.Conn, nil
			}
		case <-l.done:
			err := l.err
			if errors.Is(err, http.ErrServerClosed) {
				err = net.ErrClosed
			}
			return nil, fmt.Errorf("transport: accept %s: %w", l, err)
		}
	}
}

func (l *wsListener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = l.server.Close()
		l.pending.closeAll()
		<-l.done
	})
	return err
}

// An upgraded connection waits for Accept, pending still.
type upgraded struct {
	Conn
	raw net.Conn // as net/http had it
}

// upgrade is the HTTP handler.
func (l *wsListener) upgrade(w http.ResponseWriter, r *http.Request) {
	subprotocol, status, reason := l.check(w.Header(), r)
	if status != 0 {
		http.Error(w, reason, status)
		l.opts.report(&RefusedError{addr(r.RemoteAddr), status, reason})
		return
	}
	raw, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		l.opts.report(err)
		return
	}
	c, err := l.switchProtocols(raw, buf, subprotocol, r.Header.Get("Sec-Websocket-Key"))
	if err != nil {
		raw.Close()
		l.opts.report(fmt.Errorf("websocket: upgrade of %s: %w", r.RemoteAddr, err))
		return
	}
	select {
	case l.ready <- upgraded{c, raw}:
	case <-l.closed:
		c.Close()
	}
}

// addr is the peer's address as net/http keeps it.
type addr string

func (a addr) Network() string { return "tcp" }
func (a addr) String() string  { return string(a) }

func (l *wsListener) switchProtocols(raw net.Conn, buf *bufio.ReadWriter, subprotocol, key string) (Conn, error) {
	if timeout := l.opts.handshakeTimeout(); timeout > 0 {
		raw.SetWriteDeadline(time.Now().Add(timeout))
	}
	// [MQTT-6.0.0-4, 3.1.1] [MQTT-6.0.0-4, 5.0]
	_, err := raw.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + acceptKey(key) + "\r\nSec-WebSocket-Protocol: " + subprotocol + "\r\n\r\n"))
	if err != nil {
		return nil, err
	}
	raw.SetWriteDeadline(time.Time{})
	early, _ := buf.Reader.Peek(buf.Reader.Buffered())
	early = slices.Clone(early)
	if pc, ok := raw.(*pendingConn); ok {
		return newWSConn(pc.Conn, l.kind, false, l.opts.WebSocket.MaxFrame, early), nil
	}
	return newWSConn(raw, l.kind, false, l.opts.WebSocket.MaxFrame, early), nil
}

// check judges an upgrade request (RFC 6455, 4.2.1); status 0 lets it pass.
func (l *wsListener) check(answer http.Header, r *http.Request) (subprotocol string, status int, reason string) {
	ws := &l.opts.WebSocket
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key"))
	if path := r.URL.EscapedPath(); path != l.path && !(ws.Root && path == "/") {
		return "", http.StatusNotFound, "no MQTT at this path"
	}
	if !l.allowOrigin(r) {
		return "", http.StatusForbidden, fmt.Sprintf("origin %q is not allowed", r.Header["Origin"])
	}
	switch {
	case r.Method != http.MethodGet:
		answer.Set("Allow", http.MethodGet)
		return "", http.StatusMethodNotAllowed, "a WebSocket starts with GET"
	case !r.ProtoAtLeast(1, 1), !hasToken(r.Header, "Connection", "upgrade"), !hasToken(r.Header, "Upgrade", "websocket"):
		answer.Set("Connection", "Upgrade")
		answer.Set("Upgrade", "websocket")
		return "", http.StatusUpgradeRequired, "only WebSocket is spoken here"
	case r.Header.Get("Sec-Websocket-Version") != "13":
		answer.Set("Sec-Websocket-Version", "13")
		return "", http.StatusUpgradeRequired, "want WebSocket version 13"
	case err != nil || len(key) != 16 || len(r.Header["Sec-Websocket-Key"]) != 1:
		return "", http.StatusBadRequest, "Sec-WebSocket-Key is not 16 bytes in base64"
	}
	// [MQTT-6.0.0-3, 3.1.1] [MQTT-6.0.0-3, 5.0]
	for _, p := range ws.Subprotocols {
		if slices.Contains(tokens(r.Header, "Sec-Websocket-Protocol"), p) {
			return p, 0, ""
		}
	}
	return "", http.StatusBadRequest, "offer the WebSocket subprotocol " + strings.Join(ws.Subprotocols, " or ")
}

// allowOrigin holds pages of other hosts off: a browser lets any page connect
// anywhere, so that only this check keeps it from the user's own network.
func (l *wsListener) allowOrigin(r *http.Request) bool {
	origins := r.Header["Origin"]
	if len(origins) == 0 || slices.Contains(l.opts.WebSocket.Origins, "*") {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	for _, allowed := range l.opts.WebSocket.Origins {
		if strings.EqualFold(allowed, origins[0]) {
			return true
		}
	}
	u, err := url.Parse(origins[0])
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

func (ws *WebSocket) validate() error {
	for _, o := range ws.Origins {
		u, err := url.Parse(o)
		full := err == nil && u.Scheme != "" && u.Host != "" && u.Scheme+"://"+u.Host == o
		if o != "*" && o != "null" && !full {
			return fmt.Errorf("origin %q is none of scheme://host, scheme://host:port, null, *", o)
		}
	}
	for _, p := range ws.Subprotocols {
		if p == "" || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }) {
			return fmt.Errorf("subprotocol %q is no token", p)
		}
	}
	return nil
}

func tokens(h http.Header, key string) (list []string) {
	for _, line := range h[key] {
		for t := range strings.SplitSeq(line, ",") {
			list = append(list, strings.TrimSpace(t))
		}
	}
	return list
}

func hasToken(h http.Header, key, want string) bool {
	return slices.ContainsFunc(tokens(h, key), func(t string) bool { return strings.EqualFold(t, want) })
}

// acceptKey proves to the client that the server understood (RFC 6455, 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
