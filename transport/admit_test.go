package transport

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

// Who is not admitted is closed before a handshake, whatever carries the
// connection, and by the client's address behind a proxy.
func TestAdmit(t *testing.T) {
	p := newPKI(t)
	var open atomic.Bool
	for _, url := range []string{"tcp://127.0.0.1:0", "tls://127.0.0.1:0", "ws://127.0.0.1:0", "wss://127.0.0.1:0"} {
		for _, header := range []string{"", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\r\n"} {
			open.Store(false)
			want := "127.0.0.1:"
			o := Options{TLS: p.server(), OnError: func(err error) { t.Error(url, err) }}
			if header != "" {
				want = "192.0.2.1:"
				o.Proxies = &Proxies{Trusted: func(netip.Addr) bool { return true }}
			}
			o.Admit = func(a net.Addr) bool {
				if !strings.HasPrefix(a.String(), want) {
					t.Errorf("%s: asked about %v, want %s", url, a, want)
				}
				return open.Load()
			}
			l := listen(t, url, o)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					if !open.Load() {
						t.Errorf("%s: %v got in", url, c.RemoteAddr())
					}
					c.Handshake(t.Context())
					c.Close()
				}
			}()
			raw, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			raw.Write([]byte(header))
			if n, err := raw.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: read %d bytes", url, n)
			}
			raw.Close()
			open.Store(true)
			d := behind(header)
			d.TLS = p.client()
			if _, err := dial(t, l.String(), d); err != nil {
				t.Errorf("%s: %v", url, err)
			}
			l.Close()
			<-done
		}
	}
}
