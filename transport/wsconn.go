package transport

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// closeWait is how long a closing connection tries to say so.
	closeWait = 100 * time.Millisecond
	// controlWait bounds an answer to a ping or a close: Read writes it, and
	// must not wait for a peer that sends and never reads.
	controlWait = time.Second
)

// A wsConn presents binary frames as a stream; either end.
type wsConn struct {
	raw    net.Conn
	kind   Kind
	client bool // masks what it sends

	rmu   sync.Mutex // one Read at a time; guards:
	in    deframer
	early []byte // came along with the upgrade
	rerr  error  // what every further Read returns

	wmu  sync.Mutex // one frame at a time; guards:
	werr error      // what every further Write returns

	mu        sync.Mutex // never held over I/O; guards:
	wdeadline time.Time  // the caller's
	pong      [maxControl]byte
	npong     int
	ponging   bool // pong[:npong] waits to be sent
	closing   int  // the code of a close that waits to be sent, 0: none
}

func newWSConn(raw net.Conn, kind Kind, client bool, maxFrame int64, early []byte) *wsConn {
	return &wsConn{
		raw: raw, kind: kind, client: client, early: early,
		in: deframer{masked: !client, maxFrame: maxFrame},
	}
}

func (c *wsConn) Kind() Kind                        { return c.kind }
func (c *wsConn) Handshake(context.Context) error   { return nil }
func (c *wsConn) TLS() *tls.ConnectionState         { return tlsState(c.raw) }
func (c *wsConn) LocalAddr() net.Addr               { return c.raw.LocalAddr() }
func (c *wsConn) RemoteAddr() net.Addr              { return c.raw.RemoteAddr() }
func (c *wsConn) SetReadDeadline(t time.Time) error { return c.raw.SetReadDeadline(t) }

func (c *wsConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wdeadline = t
	return c.raw.SetWriteDeadline(t)
}

func (c *wsConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Read returns the payload of binary frames as one stream, wherever frames
// begin and end [MQTT-6.0.0-2, 3.1.1] [MQTT-6.0.0-2, 5.0]. The peer's normal
// close is io.EOF, any other a *CloseError.
func (c *wsConn) Read(p []byte) (int, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if c.rerr != nil || len(p) == 0 {
		return 0, c.rerr
	}
	for {
		n, err := c.fill(p)
		n, ferr := c.in.feed(p[:n], c.control)
		c.answer()
		if ferr != nil {
			c.rerr = ferr
			var ce *CloseError
			if errors.As(ferr, &ce) && ce.Local {
				c.close(ce.Code, ce.Reason)
			}
			err = ferr
		}
		if n > 0 {
			return n, nil // an error will be there next time
		}
		if err == io.EOF && ferr == nil && !c.in.idle() {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
	}
}

func (c *wsConn) fill(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	c.early = nil
	return c.raw.Read(p)
}

// control handles a control frame in the midst of Read.
func (c *wsConn) control(op byte, payload []byte) error {
	switch op {
	case opPing:
		// Only the latest of several pings needs its pong (RFC 6455, 5.5.3).
		c.mu.Lock()
		c.npong, c.ponging = copy(c.pong[:], payload), true
		c.mu.Unlock()
	case opClose:
		code, reason, err := parseClose(payload)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.closing = code
		c.mu.Unlock()
		switch code {
		case CloseNormal, CloseGoingAway, CloseNoStatus:
			return io.EOF
		}
		return &CloseError{Code: code, Reason: reason}
	}
	return nil
}

// answer sends what control left, unless a writer holds the connection, who
// then sends it when done: Read never waits for a Write.
func (c *wsConn) answer() {
	if c.answerWaits() && c.wmu.TryLock() {
		c.unlockWrite()
	}
}

func (c *wsConn) answerWaits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ponging || c.closing != 0
}

// unlockWrite leaves no answer behind: one queued between the last look and
// the unlock is seen by the loop.
func (c *wsConn) unlockWrite() {
	for {
		if c.answerWaits() {
			c.sendAnswer()
		}
		c.wmu.Unlock()
		if !c.answerWaits() || !c.wmu.TryLock() {
			return
		}
	}
}

// sendAnswer needs wmu.
func (c *wsConn) sendAnswer() {
	c.mu.Lock()
	var pong []byte
	if c.ponging {
		pong = append(make([]byte, 0, maxControl), c.pong[:c.npong]...)
	}
	code := c.closing
	c.ponging, c.closing = false, 0
	c.mu.Unlock()
	if pong != nil {
		c.sendControl(opPong, pong, controlWait)
	}
	if code != 0 {
		c.sendClose(code, "", controlWait)
	}
}

// Write sends p as one binary frame. p is not kept.
func (c *wsConn) Write(p []byte) (int, error) {
	c.wmu.Lock()
	defer c.unlockWrite()
	if c.werr != nil || len(p) == 0 {
		return 0, c.werr
	}
	return c.writeFrame(opBinary, p)
}

// framePool holds scratch for a header and the first of its payload, so that
// they leave in one write.
var framePool = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// writeFrame needs wmu. A failed write has cut the stream: it is the last.
func (c *wsConn) writeFrame(op byte, p []byte) (sent int, err error) {
	if c.werr != nil {
		return 0, c.werr
	}
	scratch := framePool.Get().(*[16 << 10]byte)
	defer framePool.Put(scratch)
	var key *[4]byte
	if c.client {
		key = new([4]byte)
		rand.Read(key[:])
	}
	buf := appendHeader(scratch[:0], op, len(p), key)
	header, pos := len(buf), 0
	for {
		k := min(cap(buf)-len(buf), len(p)-sent)
		buf = append(buf, p[sent:sent+k]...)
		if c.client {
			pos = xorMask(buf[header:], *key, pos)
		}
		n, err := c.raw.Write(buf)
		sent += max(0, n-header)
		if err != nil {
			c.werr = err
			return sent, err
		}
		if sent == len(p) {
			return sent, nil
		}
		buf, header = scratch[:0], 0
		if !c.client {
			n, err := c.raw.Write(p[sent:])
			c.werr = err
			return sent + n, err
		}
	}
}

// sendControl needs wmu; it gives the write at most wait, and the caller's
// deadline back afterwards.
func (c *wsConn) sendControl(op byte, p []byte, wait time.Duration) error {
	limit := time.Now().Add(wait)
	c.mu.Lock()
	if !c.wdeadline.IsZero() && c.wdeadline.Before(limit) {
		limit = c.wdeadline
	}
	c.raw.SetWriteDeadline(limit)
	c.mu.Unlock()
	_, err := c.writeFrame(op, p)
	c.mu.Lock()
	c.raw.SetWriteDeadline(c.wdeadline)
	c.mu.Unlock()
	return err
}

// sendClose needs wmu; it is the last frame this end sends.
func (c *wsConn) sendClose(code int, reason string, wait time.Duration) error {
	if c.werr != nil {
		return nil // said already, or nothing can be said any more
	}
	var p []byte
	if code != CloseNoStatus {
		p = binary.BigEndian.AppendUint16(nil, uint16(code))
		p = append(p, reason[:min(len(reason), maxReason)]...)
	}
	err := c.sendControl(opClose, p, wait)
	c.werr = net.ErrClosed
	return err
}

// CloseWrite sends a close frame; the peer's own ends Read.
func (c *wsConn) CloseWrite() error {
	c.wmu.Lock()
	defer c.unlockWrite()
	return c.sendClose(CloseNormal, "", controlWait)
}

// Close sends a close frame if that can be done at once, and waits for no
// answer.
func (c *wsConn) Close() error { return c.close(CloseNormal, "") }

func (c *wsConn) close(code int, reason string) error {
	// A writer at work blocks on this very peer: no close frame then.
	if c.wmu.TryLock() {
		c.sendClose(code, reason, closeWait)
		c.wmu.Unlock()
	}
	if tc, ok := c.raw.(*tls.Conn); ok {
		return closeTLS(tc)
	}
	return c.raw.Close()
}
