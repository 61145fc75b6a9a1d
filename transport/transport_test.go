package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds waits on the real network; no test waits it out.
const patience = 20 * time.Second

func listen(t *testing.T, url string, opts Options) Listener {
	t.Helper()
	l, err := Listen(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// accept returns the next connection, handshake done, closed with the test.
func accept(t *testing.T, l Listener) Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Handshake(ctx); err != nil {
		t.Errorf("Handshake: %v", err)
	}
	return c
}

func dial(t *testing.T, url string, opts DialOptions) (Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := Dial(ctx, url, opts)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// connect returns both ends.
func connect(t *testing.T, l Listener, opts DialOptions) (client, server Conn) {
	t.Helper()
	accepted := make(chan Conn, 1)
	go func() { accepted <- accept(t, l) }()
	client, err := dial(t, l.String(), opts)
	if err != nil {
		l.Close() // frees accept
		<-accepted
		t.Fatal(err)
	}
	if server = <-accepted; server == nil {
		t.FailNow()
	}
	return client, server
}

// pipeNet makes a PipeListener a net.Listener, to put TLS and HTTP on top.
type pipeNet struct{ *PipeListener }

func (p pipeNet) Accept() (net.Conn, error) { return p.PipeListener.Accept() }

func (p pipeNet) netDial(ctx context.Context, _, _ string) (net.Conn, error) {
	return p.PipeListener.Dial(ctx)
}

// overPipe serves url on a pipe.
func overPipe(t *testing.T, url string, opts Options) (Listener, pipeNet) {
	t.Helper()
	p := pipeNet{ListenPipe("net", 0)}
	l, err := NewListener(p, url, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l, p
}

func needIPv6(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("SKIPPED, NOT PASSED: this machine has no IPv6 loopback: %v", err)
	}
	ln.Close()
}

func TestEndToEnd(t *testing.T) {
	pki := newPKI(t)
	socket := filepath.Join(t.TempDir(), "s")
	for _, url := range []string{
		"tcp://127.0.0.1:0", "tcp://[::1]:0", "mqtt://127.0.0.1:0",
		"tls://127.0.0.1:0", "tls://[::1]:0", "mqtts://127.0.0.1:0",
		"ws://127.0.0.1:0", "ws://[::1]:0/other", "wss://127.0.0.1:0", "wss://[::1]:0/",
		"unix://" + socket,
	} {
		t.Run(url, func(t *testing.T) {
			if strings.Contains(url, "[::1]") {
				needIPv6(t)
			}
			l := listen(t, url, Options{TLS: pki.server()})
			client, server := connect(t, l, DialOptions{TLS: pki.client()})
			kind := Kind(strings.Replace(l.String()[:strings.Index(l.String(), ":")], "mqtt", "tcp", 1))
			secure := kind == TLS || kind == WSS
			for _, c := range []Conn{client, server} {
				if c.Kind() != kind {
					t.Errorf("kind %s at %s", c.Kind(), l)
				}
				if (c.TLS() != nil) != secure {
					t.Errorf("TLS state %v on %s", c.TLS(), kind)
				}
			}
			if kind != Unix && server.RemoteAddr().String() != client.LocalAddr().String() {
				t.Errorf("server sees %s, client is %s", server.RemoteAddr(), client.LocalAddr())
			}
			exchange(t, client, server)
			exchange(t, server, client)
			lastWords(t, client, server)
			l.Close()
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept after Close = %v", err)
			}
		})
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket file after Close: %v", err)
	}
}

// exchange sends more than any buffer on the way holds.
func exchange(t *testing.T, from, to Conn) {
	t.Helper()
	want := bytes.Repeat([]byte("0123456789abcdef!"), 20000)
	sent := make(chan error, 1)
	go func() {
		_, err := from.Write(want)
		sent <- err
	}()
	got := make([]byte, len(want))
	to.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, equal %v: %v", len(got), bytes.Equal(got, want), err)
	}
	to.SetReadDeadline(time.Time{})
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// lastWords refuses the way an engine does: the peer's unread bytes must not
// destroy what was said last.
func lastWords(t *testing.T, peer, c Conn) {
	t.Helper()
	if _, err := peer.Write([]byte("never read before the end")); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("not authorized"))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	peer.SetReadDeadline(time.Now().Add(patience))
	if got, err := io.ReadAll(peer); string(got) != "not authorized" || err != nil {
		t.Errorf("peer read %q, %v", got, err)
	}
	if _, err := c.Write([]byte("more")); err == nil {
		t.Error("Write after CloseWrite succeeded")
	}
	peer.Close()
	c.SetReadDeadline(time.Now().Add(patience))
	if got, _ := io.ReadAll(c); string(got) != "never read before the end" {
		t.Errorf("read %q after CloseWrite", got)
	}
	c.Close()
}

func TestDualStack(t *testing.T) {
	needIPv6(t)
	l := listen(t, "tcp://:0", Options{})
	port := l.Addr().(*net.TCPAddr).Port
	for _, host := range []string{"127.0.0.1", "::1"} {
		go accept(t, l)
		a := &net.TCPAddr{IP: net.ParseIP(host), Port: port}
		if _, err := dial(t, "tcp://"+a.String(), DialOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// A read that met its deadline is repeated without losing a byte, on every kind.
func TestReadResumes(t *testing.T) {
	pki := newPKI(t)
	for _, url := range []string{"tcp://127.0.0.1:0", "tls://127.0.0.1:0", "ws://127.0.0.1:0", "wss://127.0.0.1:0"} {
		l := listen(t, url, Options{TLS: pki.server()})
		client, server := connect(t, l, DialOptions{TLS: pki.client()})
		buf := make([]byte, 16)
		for range 3 {
			server.SetDeadline(time.Now().Add(-time.Second))
			if _, err := server.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%s: Read past its deadline = %v", url, err)
			}
			server.SetReadDeadline(time.Now().Add(patience))
			client.Write([]byte("hello"))
			if _, err := io.ReadFull(server, buf[:5]); err != nil || string(buf[:5]) != "hello" {
				t.Fatalf("%s: read %q, %v", url, buf[:5], err)
			}
		}
	}
}

func TestListenRefuses(t *testing.T) {
	for url, opts := range map[string]Options{
		"tls://127.0.0.1:0":      {},
		"wss://127.0.0.1:0":      {TLS: &ServerTLS{}},
		"tcp://256.1.2.3:0":      {},
		"ws://127.0.0.1:0/?q=1":  {},
		"ws://127.0.0.1:0/a":     {WebSocket: WebSocket{Origins: []string{"example.com"}}},
		"ws://127.0.0.1:0/b":     {WebSocket: WebSocket{Subprotocols: []string{"a,b"}}},
		"unix:///no/such/dir/so": {},
	} {
		if l, err := Listen(t.Context(), url, opts); err == nil {
			l.Close()
			t.Errorf("Listen %s succeeded", url)
		}
	}
	if _, err := NewListener(nil, "smtp://x", Options{}); err == nil {
		t.Error("NewListener for smtp succeeded")
	}
}

func TestTLSStateBeforeHandshake(t *testing.T) {
	c := &tlsConn{tls.Server(nil, &tls.Config{})}
	if c.TLS() != nil {
		t.Error("TLS state before the handshake")
	}
}
