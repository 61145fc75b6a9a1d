package transport_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/midgemq/midge/transport"
)

// proxyServer accepts one connection, shakes hands as told, and echoes.
func proxyServer(t *testing.T, shake func(net.Conn) error) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if err := shake(c); err == nil {
			io.Copy(c, c)
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

func read(c net.Conn, n int) string {
	b := make([]byte, n)
	io.ReadFull(c, b)
	return string(b)
}

func socks(answer byte) func(net.Conn) error {
	return func(c net.Conn) error {
		read(c, 3)
		c.Write([]byte{5, 2})
		if login := read(c, 2+3+1+2); login != "\x01\x03joe\x02pw" {
			return fmt.Errorf("login %q", login)
		}
		c.Write([]byte{1, 0})
		if req := read(c, 4+1+11+2); req != "\x05\x01\x00\x03\x0bbroker.test\x07\x5b" {
			c.Write([]byte{5, 8, 0, 1, 0, 0, 0, 0, 0, 0})
			return fmt.Errorf("request %q", req)
		}
		c.Write([]byte{5, answer, 0, 1, 127, 0, 0, 1, 0, 80})
		if answer != 0 {
			return io.EOF
		}
		return nil
	}
}

func tunnel(status int) func(net.Conn) error {
	return func(c net.Conn) error {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return err
		}
		if r.Method != "CONNECT" || r.Host != "broker.test:1883" ||
			r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("joe:pw")) {
			status = 400
		}
		fmt.Fprintf(c, "HTTP/1.1 %d X\r\n\r\n", status)
		if status != 200 {
			return io.EOF
		}
		_, err = io.WriteString(c, "early") // not the proxy's
		return err
	}
}

func TestViaProxy(t *testing.T) {
	for name, x := range map[string]struct {
		scheme string
		shake  func(net.Conn) error
		want   string
	}{
		"socks5":            {"socks5h", socks(0), "hello"},
		"socks5 refuses":    {"socks5", socks(5), "connection refused"},
		"http":              {"http", tunnel(200), "early"},
		"http refuses":      {"http", tunnel(403), "403"},
		"socks5 to nothing": {"socks5", func(c net.Conn) error { return io.EOF }, "EOF"},
		"socks5 to http":    {"socks5", func(c net.Conn) error { io.WriteString(c, "HTTP/1.1 400\r\n"); return io.EOF }, "logging in"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := transport.ParseProxy(x.scheme + "://joe:pw@" + proxyServer(t, x.shake))
			if err != nil {
				t.Fatal(err)
			}
			c, err := transport.ViaProxy(p, new(net.Dialer).DialContext)(t.Context(), "tcp", "broker.test:1883")
			if err != nil {
				if !strings.Contains(err.Error(), x.want) && x.want != "EOF" {
					t.Errorf("%v, want %q", err, x.want)
				}
				return
			}
			defer c.Close()
			io.WriteString(c, "hello")
			if got := read(c, 5); got != x.want {
				t.Errorf("got %q, want %q", got, x.want)
			}
		})
	}
}

// A proxy that says nothing is waited for as long as ctx wants.
func TestViaProxyStalled(t *testing.T) {
	stall := make(chan struct{})
	addr := proxyServer(t, func(net.Conn) error { <-stall; return io.EOF })
	p, _ := transport.ParseProxy("socks5://" + addr)
	ctx, cancel := context.WithCancel(t.Context())
	dialed := make(chan error, 1)
	go func() {
		_, err := transport.ViaProxy(p, new(net.Dialer).DialContext)(ctx, "tcp", "x:1")
		dialed <- err
	}()
	cancel()
	if err := <-dialed; err == nil {
		t.Error("no error")
	}
	close(stall)
}

func TestProxyFromEnv(t *testing.T) {
	env := map[string]string{"ALL_PROXY": "socks5://p", "NO_PROXY": "a.test, .b.test,10.0.0.0/8, *.c.test"}
	getenv := func(k string) string { return env[k] }
	for server, want := range map[string]string{
		"mqtt://broker.test":     "socks5://p:1080",
		"mqtt://a.test":          "",
		"mqtt://x.a.test":        "",
		"mqtt://ba.test":         "socks5://p:1080",
		"mqtts://b.test":         "",
		"ws://x.c.test":          "",
		"mqtt://10.1.2.3":        "",
		"mqtt://11.1.2.3":        "socks5://p:1080",
		"mqtt://localhost":       "",
		"mqtt://127.0.0.1":       "",
		"mqtt://[::1]":           "",
		"unix:///run/midge.sock": "",
	} {
		u, _ := url.Parse(server)
		p, err := transport.ProxyFromEnv(getenv, u)
		if got := fmt.Sprint(p); err != nil || got != want && !(want == "" && p == nil) {
			t.Errorf("%s: %s, %v, want %q", server, got, err, want)
		}
	}
	env["NO_PROXY"] = "*"
	u, _ := url.Parse("mqtt://broker.test")
	if p, _ := transport.ProxyFromEnv(getenv, u); p != nil {
		t.Error("* is everything")
	}
	env["NO_PROXY"], env["ALL_PROXY"] = "", "ftp://x"
	if _, err := transport.ProxyFromEnv(getenv, u); err == nil {
		t.Error("ftp is no proxy")
	}
}
