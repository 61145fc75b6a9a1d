package transport

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// A server written by others.
func TestForeignServer(t *testing.T) {
	seen := make(chan *http.Request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
		if err != nil {
			t.Error(err)
			return
		}
		nc := websocket.NetConn(context.Background(), c, websocket.MessageBinary)
		io.Copy(nc, nc)
		nc.Close()
	}))
	defer s.Close()
	c, err := dial(t, strings.Replace(s.URL, "http", "ws", 1)+"/mqtt?token=1", DialOptions{Header: http.Header{"X-Token": {"2"}}})
	if err != nil {
		t.Fatal(err)
	}
	if r := <-seen; r.URL.String() != "/mqtt?token=1" || r.Header.Get("X-Token") != "2" || "http://"+r.Host != s.URL {
		t.Errorf("asked for %s at %s with %v", r.URL, r.Host, r.Header)
	}
	want := strings.Repeat("both ways ", 10000)
	go io.WriteString(c, want)
	got := make([]byte, len(want))
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("echo of %d bytes: equal %v, %v", len(got), string(got) == want, err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(c); len(rest) != 0 || err != nil {
		t.Errorf("after CloseWrite: %q, %v", rest, err)
	}
}

func TestDialWSRefuses(t *testing.T) {
	const good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: KEY\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
	replace := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	for _, tt := range []struct{ name, answer, want string }{
		{"good", good, ""},
		{"refused", "HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\ngo away", "403 go away"},
		{"no subprotocol", replace("Sec-WebSocket-Protocol: mqtt\r\n", ""), `selected subprotocol ""`},
		{"other subprotocol", replace(": mqtt", ": chat"), `selected subprotocol "chat"`},
		{"wrong key", replace("KEY", "AAAA"), "no WebSocket handshake"},
		{"no upgrade", replace("Upgrade: WebSocket\r\n", ""), "no WebSocket handshake"},
		{"no connection", replace("Connection: upgrade\r\n", ""), "no WebSocket handshake"},
		{"extension", replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), "extension"},
		{"garbage", "\x20\x02\x00\x00\r\n\r\n", "no HTTP response"},
		{"endless header", "HTTP/1.1 101 x\r\nX: " + strings.Repeat("x", 2*maxHTTPHeader), "no HTTP response"},
		{"silence", "", "deadline exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeNet{ListenPipe("net", 0)}
				go func() {
					raw, err := p.Accept()
					if err != nil {
						t.Error(err)
						return
					}
					defer raw.Close()
					r, err := http.ReadRequest(bufio.NewReader(raw))
					if err != nil {
						t.Error(err)
						return
					}
					if tt.answer == "" {
						io.ReadAll(raw)
						return
					}
					io.WriteString(raw, strings.Replace(tt.answer, "KEY", acceptKey(r.Header.Get("Sec-Websocket-Key")), 1))
					if tt.want == "" {
						raw.Write([]byte{0x82, 2, 'h', 'i'})
					}
				}()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				c, err := Dial(ctx, "ws://broker", DialOptions{NetDial: p.netDial})
				if tt.want != "" {
					if err == nil || !strings.Contains(err.Error(), tt.want) {
						t.Errorf("Dial = %v", err)
					}
					var re *RefusedError
					if tt.name == "refused" && (!errors.As(err, &re) || re.Status != 403) {
						t.Errorf("%v is no RefusedError", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				got := make([]byte, 2)
				if _, err := io.ReadFull(c, got); string(got) != "hi" {
					t.Errorf("read %q, %v", got, err)
				}
				c.Close()
			})
		})
	}
}
