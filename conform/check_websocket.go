package conform

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

var webSocketChecks = []Check{
	check("websocket/subprotocol", wsSubprotocol, on311("6.0.0-4 6.0.0-3"), on5("6.0.0-4 6.0.0-3")),
	check("websocket/binary frames", wsBinary, on311("6.0.0-1"), on5("6.0.0-1")),
	check("websocket/text frame closes", wsText, on311("6.0.0-1"), on5("6.0.0-1")),
	check("websocket/packets across frames", wsAcross, on311("6.0.0-2"), on5("6.0.0-2")),
	check("websocket/several packets in a frame", wsSeveral, on311("6.0.0-2"), on5("6.0.0-2")),
	check("websocket/fragmented message", wsFragmented, on311("6.0.0-2"), on5("6.0.0-2")),
	check("websocket/ping between fragments", wsPing, on311("6.0.0-2"), on5("6.0.0-2")),
}

const (
	wsContinuation = 0x0
	wsTextFrame    = 0x1
	wsBinaryFrame  = 0x2
	wsCloseFrame   = 0x8
	wsPingFrame    = 0x9
	wsPongFrame    = 0xA
	wsFinal        = 0x80
)

// A frameConn is the client's end of a WebSocket, frame by frame. Read yields
// the payload of binary frames; every Write is one binary frame.
type frameConn struct {
	net.Conn
	r    *bufio.Reader
	left []byte

	mu    sync.Mutex
	pongs int
	odd   string // the first frame that was not what MQTT allows
}

// upgrade does the opening handshake, offering the subprotocol.
func (t *T) upgrade(subprotocol string) (*frameConn, *http.Response) {
	if t.target.DialHTTP == nil {
		t.skipf("broker offers no WebSocket")
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.target.patience())
	defer cancel()
	c, err := t.target.DialHTTP(ctx)
	if err != nil {
		t.failf("cannot connect to the WebSocket listener: %v", err)
	}
	t.closers = append(t.closers, func() { c.Close() })
	key := make([]byte, 16)
	rand.Read(key)
	c.SetDeadline(time.Now().Add(t.target.patience()))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
		cmp.Or(t.target.HTTPPath, "/mqtt"), base64.StdEncoding.EncodeToString(key), subprotocol)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil { // closed without a word, which is a refusal too
		t.logf("no answer to the opening handshake: %v", err)
		resp = &http.Response{Status: "no answer"}
	}
	c.SetDeadline(time.Time{})
	return &frameConn{Conn: c, r: r}, resp
}

// web opens a peer over WebSocket that sent nothing yet.
func (t *T) web(name string) (*peer, *frameConn) {
	c, resp := t.upgrade("mqtt")
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.failf("want 101 Switching Protocols, got %s", resp.Status)
	}
	p := newPeer(t, name, c)
	t.peers = append(t.peers, p)
	p.read()
	return p, c
}

func (c *frameConn) Write(b []byte) (int, error) {
	return len(b), c.frame(wsFinal|wsBinaryFrame, b)
}

// frame writes one masked frame.
func (c *frameConn) frame(first byte, b []byte) error {
	head := []byte{first}
	switch {
	case len(b) < 126:
		head = append(head, 0x80|byte(len(b)))
	default:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(len(b)))
	}
	mask := [4]byte{1, 2, 3, 4}
	head = append(head, mask[:]...)
	for i, x := range b {
		head = append(head, x^mask[i%4])
	}
	_, err := c.Conn.Write(head)
	return err
}

func (c *frameConn) Read(b []byte) (int, error) {
	for len(c.left) == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.left)
	c.left = c.left[n:]
	return n, nil
}

// next reads one frame of the server.
func (c *frameConn) next() error {
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return err
	}
	n := uint64(head[1] & 0x7F)
	if n >= 126 {
		ext := make([]byte, 2+6*(n-126))
		if _, err := io.ReadFull(c.r, ext); err != nil {
			return err
		}
		n = 0
		for _, x := range ext {
			n = n<<8 | uint64(x)
		}
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c.r, body); err != nil {
		return err
	}
	return c.sort(head, body)
}

func (c *frameConn) sort(head [2]byte, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch op := head[0] & 0x0F; op {
	case wsCloseFrame:
		return io.EOF
	case wsPongFrame:
		c.pongs++
	case wsBinaryFrame, wsContinuation:
		c.left = body
	default:
		c.odd = cmp.Or(c.odd, fmt.Sprintf("a frame of type %d", op))
	}
	if head[1]&0x80 != 0 {
		c.odd = cmp.Or(c.odd, "a masked frame")
	}
	return nil
}

func (c *frameConn) trouble() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.odd
}

func wsSubprotocol(t *T) {
	_, resp := t.upgrade("mqtt")
	if got := resp.Header.Get("Sec-WebSocket-Protocol"); resp.StatusCode != 101 || got != "mqtt" {
		t.failf("want the subprotocol mqtt selected, got %s with %q", resp.Status, got)
	}
	_, resp = t.upgrade("chat, mqtt")
	if got := resp.Header.Get("Sec-WebSocket-Protocol"); resp.StatusCode != 101 || got != "mqtt" {
		t.failf("want mqtt selected among several, got %s with %q", resp.Status, got)
	}
	_, resp = t.upgrade("chat")
	if got := resp.Header.Get("Sec-WebSocket-Protocol"); strings.Contains(got, "chat") {
		t.failf("want no subprotocol but mqtt selected, got %q", got)
	}
}

func (t *T) webConnect(name string) (*peer, *frameConn) {
	p, c := t.web(name)
	p.send(t.fill(name, connect{}))
	p.want("CONNACK over WebSocket", typeCONNACK, code(0))
	return p, c
}

func wsBinary(t *T) {
	p, c := t.webConnect("c")
	p.subscribe(t.topic("t"), 1)
	big := strings.Repeat("x", 5000)
	for _, body := range []string{"small", big} {
		p.send(publish{topic: t.topic("t"), payload: body, qos: 1, id: 9})
		p.pick("PUBACK", typePUBACK, id(9))
		r := p.pick("the message back", typePUBLISH, payload(body))
		p.acknowledge(r)
	}
	if odd := c.trouble(); odd != "" {
		t.failf("want binary frames only, got %s", odd)
	}
}

func wsText(t *T) {
	p, c := t.webConnect("c")
	c.frame(wsFinal|wsTextFrame, pingreq)
	p.wantClose("a close for a text frame")
}

func wsAcross(t *T) {
	p, c := t.web("c")
	stream := join(t.fill("c", connect{}).encode(t.version), pingreq,
		publish{topic: t.topic("t"), payload: "x", qos: 1, id: 7}.encode(t.version))
	for _, b := range stream {
		c.frame(wsFinal|wsBinaryFrame, one(b))
	}
	p.want("CONNACK for a CONNECT in many frames", typeCONNACK, code(0))
	p.want("PINGRESP", typePINGRESP)
	p.want("PUBACK", typePUBACK, id(7))
}

func wsSeveral(t *T) {
	p, c := t.web("c")
	c.frame(wsFinal|wsBinaryFrame, join(t.fill("c", connect{}).encode(t.version), pingreq, pingreq, pingreq[:1]))
	p.want("CONNACK", typeCONNACK, code(0))
	p.want("PINGRESP for the first", typePINGRESP)
	p.want("PINGRESP for the second", typePINGRESP)
	p.wantIdle("nothing for half a packet")
	c.frame(wsFinal|wsBinaryFrame, pingreq[1:])
	p.want("PINGRESP for the one in two frames", typePINGRESP)
}

func wsFragmented(t *T) {
	p, c := t.webConnect("c")
	c.frame(wsBinaryFrame, pingreq[:1])
	c.frame(wsContinuation, nil)
	c.frame(wsFinal|wsContinuation, pingreq[1:])
	p.want("PINGRESP for a packet in a fragmented message", typePINGRESP)
}

func wsPing(t *T) {
	p, c := t.webConnect("c")
	c.frame(wsBinaryFrame, pingreq[:1])
	c.frame(wsFinal|wsPingFrame, []byte("hi"))
	c.frame(wsFinal|wsContinuation, pingreq[1:])
	p.want("PINGRESP for a packet around a WebSocket ping", typePINGRESP)
	p.ping()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pongs != 1 {
		t.failf("want one pong, got %d", c.pongs)
	}
}
