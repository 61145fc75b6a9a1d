package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// request is an upgrade request, valid but for the changes; a change to "-"
// removes the header.
func request(path string, changes ...string) string {
	headers := [][2]string{
		{"Host", "broker"},
		{"Connection", "keep-alive, Upgrade"},
		{"Upgrade", "websocket"},
		{"Sec-WebSocket-Version", "13"},
		{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
		{"Sec-WebSocket-Protocol", "mqtt"},
	}
	for _, change := range changes {
		name, value, _ := strings.Cut(change, ": ")
		found := false
		for i := range headers {
			if headers[i][0] == name {
				headers[i][1], found = value, true
			}
		}
		if !found {
			headers = append(headers, [2]string{name, value})
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\n", path)
	for _, h := range headers {
		if h[1] != "-" {
			fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
		}
	}
	return b.String() + "\r\n"
}

// ask sends a request and returns the response and the connection.
func ask(t *testing.T, p pipeNet, request string) (*http.Response, Conn, *bufio.Reader) {
	t.Helper()
	raw, err := p.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	raw.Write([]byte(request))
	br := bufio.NewReader(raw)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return resp, raw, br
}

func TestUpgrade(t *testing.T) {
	for _, tt := range []struct {
		name    string
		opts    WebSocket
		request string
		status  int
		want    string // subprotocol, or part of the refusal
	}{
		// [MQTT-6.0.0-4, 3.1.1] [MQTT-6.0.0-4, 5.0]
		{"plain", WebSocket{}, request("/mqtt"), 101, "mqtt"},
		{"MQTT 3.1", WebSocket{}, request("/mqtt", "Sec-WebSocket-Protocol: mqttv3.1"), 101, "mqttv3.1"},
		{"both", WebSocket{}, request("/mqtt", "Sec-WebSocket-Protocol: mqttv3.1,other, mqtt"), 101, "mqtt"},
		{"configured", WebSocket{Subprotocols: []string{"x"}}, request("/mqtt", "Sec-WebSocket-Protocol: x"), 101, "x"},
		// [MQTT-6.0.0-3, 3.1.1] [MQTT-6.0.0-3, 5.0]
		{"no subprotocol", WebSocket{}, request("/mqtt", "Sec-WebSocket-Protocol: -"), 400, "mqtt"},
		{"other subprotocol", WebSocket{}, request("/mqtt", "Sec-WebSocket-Protocol: chat"), 400, "mqtt"},

		{"query", WebSocket{}, request("/mqtt?token=x"), 101, "mqtt"},
		{"other path", WebSocket{}, request("/mqtt/x"), 404, "path"},
		{"root", WebSocket{}, request("/"), 404, "path"},
		{"root allowed", WebSocket{Root: true}, request("/"), 101, "mqtt"},
		{"path besides root", WebSocket{Root: true}, request("/mqtt"), 101, "mqtt"},

		{"same host", WebSocket{}, request("/mqtt", "Origin: http://BROKER"), 101, "mqtt"},
		{"same host, port", WebSocket{}, request("/mqtt", "Host: b:80", "Origin: http://b:80"), 101, "mqtt"},
		{"other port", WebSocket{}, request("/mqtt", "Host: b:80", "Origin: http://b:81"), 403, "http://b:81"},
		{"other host", WebSocket{}, request("/mqtt", "Origin: https://evil.example"), 403, "evil.example"},
		{"host in the path", WebSocket{}, request("/mqtt", "Origin: https://evil.example/broker"), 403, "evil.example"},
		{"host as a user", WebSocket{}, request("/mqtt", "Origin: https://broker@evil.example"), 403, "evil.example"},
		{"null", WebSocket{}, request("/mqtt", "Origin: null"), 403, "null"},
		{"empty", WebSocket{}, request("/mqtt", "Origin: "), 403, "origin"},
		{"null listed", WebSocket{Origins: []string{"null"}}, request("/mqtt", "Origin: null"), 101, "mqtt"},
		{"listed", WebSocket{Origins: []string{"https://app.example"}}, request("/mqtt", "Origin: https://app.example"), 101, "mqtt"},
		{"listed otherwise", WebSocket{Origins: []string{"https://app.example"}}, request("/mqtt", "Origin: http://app.example"), 403, "app.example"},
		{"all", WebSocket{Origins: []string{"*"}}, request("/mqtt", "Origin: https://any.example"), 101, "mqtt"},
		{"two origins", WebSocket{}, strings.Replace(request("/mqtt", "Origin: http://broker"), "Origin", "Origin: http://broker\r\nOrigin", 1), 403, "origin"},

		{"no upgrade", WebSocket{}, request("/mqtt", "Connection: close"), 426, "WebSocket"},
		{"other upgrade", WebSocket{}, request("/mqtt", "Upgrade: h2c"), 426, "WebSocket"},
		{"HTTP/1.0", WebSocket{}, strings.Replace(request("/mqtt"), "1.1", "1.0", 1), 426, "WebSocket"},
		{"POST", WebSocket{}, strings.Replace(request("/mqtt"), "GET", "POST", 1), 405, "GET"},
		{"old version", WebSocket{}, request("/mqtt", "Sec-WebSocket-Version: 8"), 426, "13"},
		{"no key", WebSocket{}, request("/mqtt", "Sec-WebSocket-Key: -"), 400, "Key"},
		{"short key", WebSocket{}, request("/mqtt", "Sec-WebSocket-Key: c2hvcnQ="), 400, "Key"},
		{"no base64", WebSocket{}, request("/mqtt", "Sec-WebSocket-Key: ????"), 400, "Key"},
		{"garbage", WebSocket{}, "\x10\x0e\x00\x04MQTT\x04\x02\r\n\r\n", 400, ""},
		{"huge header", WebSocket{}, request("/mqtt", "X: "+strings.Repeat("x", 2*maxHTTPHeader)), 431, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told error
				l, p := overPipe(t, "ws://broker", Options{WebSocket: tt.opts, OnError: func(err error) { told = err }})
				defer l.Close()
				go func() {
					if c, err := l.Accept(); err == nil {
						c.Close()
					}
				}()
				resp, _, br := ask(t, p, tt.request)
				if resp.StatusCode != tt.status {
					t.Fatalf("status %s", resp.Status)
				}
				if tt.status == 101 {
					if got := resp.Header.Get("Sec-Websocket-Protocol"); got != tt.want {
						t.Errorf("selected %q, want %q", got, tt.want)
					}
					if got := resp.Header.Get("Sec-Websocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // RFC 6455, 1.3
						t.Errorf("accept key %q", got)
					}
					return
				}
				text, _ := io.ReadAll(resp.Body)
				if !strings.Contains(string(text), tt.want) {
					t.Errorf("the client is told %q", text)
				}
				if _, err := br.ReadByte(); err != io.EOF {
					t.Errorf("a refused connection stays open: %v", err)
				}
				l.Close()
				synctest.Wait()
				var re *RefusedError
				if tt.want != "" && (!errors.As(told, &re) || re.Status != tt.status) {
					t.Errorf("the listener told %v", told)
				}
			})
		})
	}
}

// What a client sends right behind its request is not lost.
func TestUpgradeKeepsEarlyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := overPipe(t, "ws://broker", Options{})
		defer l.Close()
		raw, err := p.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		raw.Write([]byte(request("/mqtt") + string(clientFrame(0x82, "early")) + string(clientFrame(0x88, ""))))
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); string(got) != "early" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		c.Close()
		raw.Close()
	})
}

// Slow and stalled requests delay nobody and end by the timeout.
func TestUpgradeStalls(t *testing.T) {
	authority := newPKI(t)
	for _, url := range []string{"ws://localhost", "wss://localhost"} {
		synctest.Test(t, func(t *testing.T) {
			l, p := overPipe(t, url, Options{TLS: authority.server(), HandshakeTimeout: 5 * time.Second})
			defer l.Close()
			start := time.Now()
			var stalled []Conn
			for _, sent := range []string{"", "GET /mqtt HTT", "\x16\x03\x01"} {
				raw, err := p.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				raw.Write([]byte(sent))
				stalled = append(stalled, raw)
			}
			go func() {
				c, err := Dial(t.Context(), url, DialOptions{TLS: authority.client(), NetDial: p.netDial})
				if err != nil {
					t.Error(err)
					return
				}
				c.Close()
			}()
			c, err := l.Accept()
			if err != nil || time.Since(start) != 0 {
				t.Fatalf("the good client: %v after %v", err, time.Since(start))
			}
			c.Close()
			for _, raw := range stalled {
				io.ReadAll(raw)
				if took := time.Since(start); took > 6*time.Second {
					t.Errorf("a stalled client was kept for %v", took)
				}
				raw.Close()
			}
		})
	}
}

// Strangers who stall push each other out; who gets on with it gets through.
func TestPendingBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		l, p := overPipe(t, "ws://broker", Options{WebSocket: WebSocket{MaxPending: 4}, OnError: func(err error) { told = append(told, err) }})
		var stalled []Conn
		for range 10 {
			raw, err := p.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			stalled = append(stalled, raw)
			synctest.Wait()
		}
		open := 0
		for i, raw := range stalled {
			raw.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := raw.Read(make([]byte, 1))
			if errors.Is(err, io.EOF) != (i < 6) {
				t.Errorf("connection %d: %v", i, err)
			}
			if err != io.EOF {
				open++
			}
		}
		if open != 4 || len(told) != 6 || !errors.Is(told[0], errPending) {
			t.Errorf("%d open; told %v", open, told)
		}
		// An upgraded one that waited for Accept too long is skipped, too.
		ask(t, p, request("/mqtt"))
		for range 4 {
			raw, err := p.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			stalled = append(stalled, raw)
			synctest.Wait()
		}
		_, fresh, br := ask(t, p, request("/mqtt"))
		go fresh.Write(clientFrame(0x82, "fresh"))
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); string(got) != "fresh" {
			t.Errorf("read %q, %v", got, err)
		}
		// A delivered one outlives the listener.
		l.Close()
		c.Write([]byte("still here"))
		if first, err := br.ReadByte(); first != 0x82 {
			t.Errorf("read %x, %v", first, err)
		}
		c.Close()
		for _, raw := range stalled {
			raw.Close()
		}
	})
}

func TestWSListenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the interface is gone")
		l, err := NewListener(failing{err: gone}, "ws://broker", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Accept(); !errors.Is(err, gone) {
			t.Errorf("Accept = %v", err)
		}
		l.Close()
	})
}

// failing is a net.Listener beyond repair.
type failing struct{ err error }

func (f failing) Accept() (net.Conn, error) { return nil, f.err }
func (f failing) Addr() net.Addr            { return addr("x") }
func (f failing) Close() error              { return nil }

// A client written by others, over real sockets.
func TestForeignClient(t *testing.T) {
	authority := newPKI(t)
	for _, url := range []string{"ws://127.0.0.1:0", "wss://127.0.0.1:0"} {
		l := listen(t, url, Options{TLS: authority.server()})
		accepted := make(chan Conn, 1)
		go func() { accepted <- accept(t, l) }()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.pool}}
		defer transport.CloseIdleConnections()
		client, _, err := websocket.Dial(ctx, l.String(), &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{"mqtt"},
			CompressionMode: websocket.CompressionContextTakeover, // offered, not taken
		})
		if err != nil {
			t.Fatal(err)
		}
		defer client.CloseNow()
		c := <-accepted
		if client.Subprotocol() != "mqtt" {
			t.Errorf("subprotocol %q", client.Subprotocol())
		}
		echoed := make(chan error, 1)
		go func() {
			_, err := io.Copy(c, c)
			echoed <- err
		}()
		message := []byte(strings.Repeat("message", 100))
		client.Write(ctx, websocket.MessageBinary, message)
		w, _ := client.Writer(ctx, websocket.MessageBinary) // in fragments
		w.Write(message)
		w.Write(message)
		w.Close()
		all, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			for got := 0; ; {
				typ, p, err := client.Read(ctx)
				if err != nil {
					ended <- err
					return
				}
				if got += len(p); typ == websocket.MessageBinary && got == 3*len(message) {
					close(all)
				}
			}
		}()
		if err := client.Ping(ctx); err != nil {
			t.Error(err)
		}
		<-all
		// [MQTT-6.0.0-1, 3.1.1] [MQTT-6.0.0-1, 5.0]
		client.Write(ctx, websocket.MessageText, []byte("text"))
		if err := <-ended; websocket.CloseStatus(err) != websocket.StatusUnsupportedData {
			t.Errorf("after a text frame the client reads %v", err)
		}
		var ce *CloseError
		if err := <-echoed; !errors.As(err, &ce) || ce.Code != CloseUnsupported {
			t.Errorf("the server reads %v", err)
		}
	}
}
