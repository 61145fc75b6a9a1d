package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A raw is a connection without manners.
type raw struct {
	*net.TCPConn
	r    *bufio.Reader // once it has been let in
	body []byte
}

// dialRaw connects from one of the machine's own addresses. What it closes is
// gone at once and takes no port along.
func dialRaw(ctx context.Context, home, addr string) (*raw, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(home)}, Timeout: 5 * time.Second, KeepAlive: -1}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tc := nc.(*net.TCPConn)
	tc.SetLinger(0)
	return &raw{TCPConn: tc}, nil
}

// hello is a CONNECT of 5.0.
func hello(id, user, password string) []byte {
	p := packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte(id), KeepAlive: 60}
	if user != "" {
		p.HasUsername, p.Username = true, []byte(user)
		p.HasPassword, p.Password = true, []byte(password)
	}
	return p.Append(nil)
}

// answer reads what the broker says to CONNECT, and puts it in words.
func (c *raw) answer(wait time.Duration) string {
	c.SetReadDeadline(time.Now().Add(wait))
	b := make([]byte, 256)
	n, err := c.Read(b)
	switch {
	case n >= 4 && packet.Type(b[0]>>4) == packet.CONNACK:
		return connack(b[:n])
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "nothing"
	}
	return "closed"
}

// connack is its code and reason.
func connack(b []byte) string {
	code := mqtt.ReasonCode(b[3])
	if code == mqtt.Success {
		return "let in"
	}
	text := fmt.Sprintf("CONNACK 0x%02X %v", byte(code), code)
	h, err := packet.ReadHeader(b)
	var k packet.Connack
	if err == nil && len(b) >= h.Size+h.Len && k.Decode(mqtt.V5, b[h.Size:h.Size+h.Len]) == nil && k.Properties != nil && len(k.Properties.ReasonString) > 0 {
		// When a ban ends is not the same for two.
		reason, _, _ := strings.Cut(string(k.Properties.ReasonString), ", until ")
		text += fmt.Sprintf(" %q", reason)
	}
	return text
}
