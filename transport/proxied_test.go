package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// behind dials as a proxy does that says header.
func behind(header string) DialOptions {
	return DialOptions{NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			_, err = io.WriteString(c, header)
		}
		return c, err
	}}
}

func trustAll(netip.Addr) bool { return true }

// Whatever carries a connection, its address is the client's, and not a byte of
// what it says is lost.
func TestProxied(t *testing.T) {
	p := newPKI(t)
	for _, url := range []string{"tcp://127.0.0.1:0", "tls://127.0.0.1:0", "ws://127.0.0.1:0", "wss://127.0.0.1:0", "unix://" + t.TempDir() + "/s"} {
		for header, want := range map[string]string{
			"PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\r\n": "192.0.2.1:56324",
			string(v2(0x21, 0x21, sixTCP)):                     "[2001:db8::1]:56324",
			"PROXY UNKNOWN\r\n":                                "",
			string(v2(0x20, 0, nil)):                           "",
		} {
			l := listen(t, url, Options{TLS: p.server(), Proxies: &Proxies{Trusted: trustAll}})
			o := behind(header)
			o.TLS = p.client()
			client, server := connect(t, l, o)
			if want == "" {
				want = client.LocalAddr().String()
				if client.Kind() == Unix {
					want = server.RemoteAddr().String() // whatever it is
				}
			}
			if got := server.RemoteAddr().String(); got != want {
				t.Errorf("%s: %q: comes from %s, want %s", url, header, got, want)
			}
			go client.Write([]byte("hello"))
			b := make([]byte, 5)
			if _, err := io.ReadFull(server, b); err != nil || string(b) != "hello" {
				t.Errorf("%s: %q, %v", url, b, err)
			}
			if err := server.CloseWrite(); err != nil {
				t.Errorf("%s: CloseWrite: %v", url, err)
			}
			if n, err := client.Read(b); err == nil {
				t.Errorf("%s: read %d bytes behind the end", url, n)
			}
			l.Close()
		}
	}
}

// Who is no proxy, says nothing, nonsense, or brings a client without TLS where
// that is required, is cut off, and said to be.
func TestNotProxied(t *testing.T) {
	told := make(chan error, 1)
	options := func(p Proxies) Options {
		return Options{Proxies: &p, HandshakeTimeout: 50 * time.Millisecond, OnError: func(err error) { told <- err }}
	}
	for name, c := range map[string]struct {
		proxies Proxies
		header  string
		err     string
	}{
		"nobody is trusted": {Proxies{}, "PROXY UNKNOWN\r\n", "none of the proxies"},
		"not this one":      {Proxies{Trusted: func(a netip.Addr) bool { return a != netip.MustParseAddr("127.0.0.1") }}, "PROXY UNKNOWN\r\n", "none of the proxies"},
		"no header":         {Proxies{Trusted: trustAll}, "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", "does not begin with"},
		"silence":           {Proxies{Trusted: trustAll}, "", "no PROXY header came"},
		"no TLS":            {Proxies{Trusted: trustAll, RequireTLS: func() bool { return true }}, "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n", "over TLS"},
		"no TLS, unknown":   {Proxies{Trusted: trustAll, RequireTLS: func() bool { return true }}, "PROXY UNKNOWN\r\n", "over TLS"},
		"no TLS, no family": {Proxies{Trusted: trustAll, RequireTLS: func() bool { return true }}, string(v2(0x21, 0, nil)), "over TLS"},
	} {
		l := listen(t, "tcp://127.0.0.1:0", options(c.proxies))
		client, err := dial(t, l.String(), behind(c.header))
		if err != nil {
			t.Fatal(err)
		}
		err = <-told
		var pe *ProxyError
		if !errors.As(err, &pe) || !strings.Contains(err.Error(), c.err) || pe.Remote.String() != client.LocalAddr().String() {
			t.Errorf("%s: %v", name, err)
		}
		if n, err := client.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: read %d bytes", name, n)
		}
	}
}

// Closing ends those that say nothing, and Accept.
func TestProxiedClose(t *testing.T) {
	l := listen(t, "tcp://127.0.0.1:0", Options{Proxies: &Proxies{Trusted: trustAll}})
	client, err := dial(t, l.String(), behind("PROXY"))
	if err != nil {
		t.Fatal(err)
	}
	go l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
}
