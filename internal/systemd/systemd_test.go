//go:build unix

package systemd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// manager listens as systemd does.
func manager(t *testing.T) (name string, next func() string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return name, func() string {
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestNotify(t *testing.T) {
	name, next := manager(t)
	n, err := NewNotifier(env("NOTIFY_SOCKET", name, "WATCHDOG_USEC", "3000000", "WATCHDOG_PID", strconv.Itoa(os.Getpid())))
	if err != nil {
		t.Fatal(err)
	}
	if n.Watchdog() != 3*time.Second {
		t.Errorf("watchdog %v", n.Watchdog())
	}
	for _, c := range []struct {
		say  func() error
		want string
	}{
		{n.Ready, "READY=1"},
		{n.Alive, "WATCHDOG=1"},
		{func() error { return n.Status("two\nlines") }, "STATUS=two lines"},
		{func() error { return n.Extend(2 * time.Second) }, "EXTEND_TIMEOUT_USEC=2000000"},
		{n.Stopping, "STOPPING=1"},
	} {
		if err := c.say(); err != nil {
			t.Fatal(err)
		}
		if got := next(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestNotifyNobody(t *testing.T) {
	n, err := NewNotifier(env())
	if n != nil || err != nil || n.Ready() != nil || n.Watchdog() != 0 {
		t.Errorf("%v, %v", n, err)
	}
	n, err = NewNotifier(env("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"), "WATCHDOG_USEC", "5", "WATCHDOG_PID", "1"))
	if err != nil || n.Watchdog() != 0 {
		t.Errorf("a watchdog for another process: %v, %v", n.Watchdog(), err)
	}
	if err := n.Ready(); err == nil {
		t.Error("told nobody, and no error")
	}
	for _, e := range [][]string{
		{"NOTIFY_SOCKET", "relative"},
		{"NOTIFY_SOCKET", "@x", "WATCHDOG_USEC", "soon"},
		{"NOTIFY_SOCKET", "@x", "WATCHDOG_USEC", "-5"},
		{"NOTIFY_SOCKET", "@x", "WATCHDOG_USEC", "9223372036854775807"},
	} {
		if _, err := NewNotifier(env(e...)); err == nil {
			t.Errorf("%q: no error", e)
		}
	}
}

// dup copies f's descriptor into one that no os.File knows of.
func dup(f *os.File) (int, error) { return syscall.Dup(int(f.Fd())) }

// handedOver returns a descriptor as a manager passes it on.
func handedOver(t *testing.T) (fd int, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	fd, err = dup(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	return fd, ln.Addr().String()
}

func TestSockets(t *testing.T) {
	fd, addr := handedOver(t)
	all, err := sockets(env("LISTEN_FDS", "1", "LISTEN_PID", strconv.Itoa(os.Getpid()), "LISTEN_FDNAMES", "mqtt"), fd)
	if err != nil || len(all) != 1 || all[0].Name != "mqtt" || all[0].Listener.Addr().String() != addr {
		t.Fatalf("%+v, %v", all, err)
	}
	defer all[0].Listener.Close()
	go func() {
		if c, err := net.Dial("tcp", addr); err == nil {
			fmt.Fprint(c, "hello")
			c.Close()
		}
	}()
	c, err := all[0].Listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 5)
	if _, err := c.Read(b); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestSocketsRefused(t *testing.T) {
	for _, e := range [][]string{{}, {"LISTEN_FDS", "0"}, {"LISTEN_FDS", "1", "LISTEN_PID", "1"}} {
		if all, err := sockets(env(e...), 1<<20); len(all) > 0 || err != nil {
			t.Errorf("%q: %v, %v", e, all, err)
		}
	}
	if _, err := sockets(env("LISTEN_FDS", "many"), 3); err == nil || !strings.Contains(err.Error(), "many") {
		t.Errorf("many: %v", err)
	}
	if _, err := sockets(env("LISTEN_FDS", "1"), 1<<20); err == nil {
		t.Error("a descriptor that is none was taken over")
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := dup(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sockets(env("LISTEN_FDS", "1", "LISTEN_FDNAMES", "null"), fd); err == nil || !strings.Contains(err.Error(), "null") {
		t.Errorf("a file was taken for a socket: %v", err)
	}
}
