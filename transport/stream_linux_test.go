package transport

import (
	"net"
	"syscall"
	"testing"
)

// The options reach the socket, under TLS and WebSocket as well.
func TestSocketOptions(t *testing.T) {
	pki := newPKI(t)
	for _, url := range []string{"tcp://127.0.0.1:0", "tls://127.0.0.1:0", "ws://127.0.0.1:0", "wss://127.0.0.1:0"} {
		for _, opts := range []Options{{}, {Nagle: true, KeepAlive: -1}} {
			opts.TLS = pki.server()
			l := listen(t, url, opts)
			_, server := connect(t, l, DialOptions{TLS: pki.client()})
			on := 1
			if opts.Nagle {
				on = 0
			}
			tc := tcpUnder(t, server)
			if got := sockopt(t, tc, syscall.IPPROTO_TCP, syscall.TCP_NODELAY); got != on {
				t.Errorf("%s: TCP_NODELAY %d, want %d", url, got, on)
			}
			if got := sockopt(t, tc, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); got != on {
				t.Errorf("%s: SO_KEEPALIVE %d, want %d", url, got, on)
			}
		}
	}
}

func tcpUnder(t *testing.T, c net.Conn) *net.TCPConn {
	for {
		switch under := c.(type) {
		case *net.TCPConn:
			return under
		case *streamConn:
			c = under.Conn
		case *wsConn:
			c = under.raw
		case *pendingConn:
			c = under.Conn
		case interface{ NetConn() net.Conn }:
			c = under.NetConn()
		default:
			t.Fatalf("no socket under %T", c)
		}
	}
}

func sockopt(t *testing.T, c *net.TCPConn, level, name int) (value int) {
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { value, err = syscall.GetsockoptInt(int(fd), level, name) })
	if err != nil {
		t.Fatal(err)
	}
	return value
}
