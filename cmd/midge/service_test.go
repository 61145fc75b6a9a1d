//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/internal/config"
	"github.com/midgemq/midge/internal/systemd"
)

// manager is a stand-in for systemd: what it is told comes from said.
func manager(t *testing.T) (name string, said chan string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	said = make(chan string, 1000)
	var work sync.WaitGroup
	work.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			said <- string(b[:n])
		}
	})
	t.Cleanup(func() { c.Close(); work.Wait() })
	return name, said
}

func TestServiceTellsManager(t *testing.T) {
	name, said := manager(t)
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "100000")
	_, end := startServing(t, "--tcp", "127.0.0.1:0", "--data", t.TempDir())
	for _, want := range []string{"EXTEND_TIMEOUT_USEC=60000000", "READY=1", "STATUS=0 clients connected", "WATCHDOG=1", "STATUS=0 clients connected", "WATCHDOG=1"} {
		if got := <-said; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	end()
	for got := range said {
		if got == "STOPPING=1" {
			break
		}
		if strings.HasPrefix(got, "READY") {
			t.Errorf("got %q at the end", got)
		}
	}
}

// Nobody is told that a broker lives that does not answer.
func TestServiceOfDeadBroker(t *testing.T) {
	name, said := manager(t)
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "1000000")
	quiet := slog.New(slog.DiscardHandler)
	s, err := newService(quiet)
	if err != nil {
		t.Fatal(err)
	}
	b, err := midge.New(midge.Config{Listeners: []midge.Listener{}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProbe(b)
	if err != nil {
		t.Fatal(err)
	}
	s.beat(t.Context(), p, time.Minute, nil)
	for _, want := range []string{"STATUS=0 clients connected", "WATCHDOG=1"} {
		if got := <-said; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	b.Close()
	for range 2 {
		s.beat(t.Context(), p, 20*time.Millisecond, nil)
		if got := <-said; got != "STATUS=the broker does not answer itself" {
			t.Errorf("got %q", got)
		}
	}
	if len(said) > 0 {
		t.Errorf("and %q", <-said)
	}
}

func TestServiceRefuses(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "nonsense")
	if code, _, errs := runFor(t, "serve", "--tcp", "127.0.0.1:0"); code != exitFailed || !strings.Contains(errs, "NOTIFY_SOCKET") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// A socket says by its name what is spoken there.
func TestServiceSockets(t *testing.T) {
	ln := func() net.Listener {
		k, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	s := &service{log: quiet, sockets: []systemd.Socket{{Name: "midge.socket", Listener: ln()}, {Name: "ws", Listener: ln()}, {Name: "x", Listener: unix}}}
	f := &serveFlags{wsPath: "/here"}
	c := config.Default()
	if err := f.complete(c, s); err != nil {
		t.Fatal(err)
	}
	ds, err := newDoors(c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	listeners := ds.listeners(s.serves)
	if len(listeners) > 0 {
		t.Fatalf("%v: beside sockets there is no default", listeners)
	}
	b, err := midge.New(midge.Config{Listeners: listeners, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := s.serveSockets(b, ds); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(b.Addrs(), " ")
	for _, want := range []string{"tcp://127.0.0.1:", "ws://127.0.0.1:", "/here", "unix:///"} {
		if !strings.Contains(got, want) {
			t.Errorf("want %s in %s", want, got)
		}
	}
	s.sockets = []systemd.Socket{{Name: "tls", Listener: ln()}}
	defer s.sockets[0].Listener.Close()
	if err := f.complete(config.Default(), s); err == nil || !strings.Contains(err.Error(), "--cert") {
		t.Errorf("TLS without a certificate: %v", err)
	}
}

// A restart behind a socket that somebody else holds refuses nobody: whoever
// comes in between waits for the next process.
func TestRestartLosesNoAttempt(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	ctx, stop := context.WithCancel(t.Context())
	var came atomic.Int64
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Errorf("refused: %v", err)
				return
			}
			if greeted(c) {
				came.Add(1)
			}
			c.Close()
		}
	})
	dir := t.TempDir()
	for range 3 {
		p := midgeProcess(t, socket, "--data", dir)
		for before := came.Load(); came.Load() < before+20; {
			<-time.After(time.Millisecond)
		}
		p.Process.Signal(syscall.SIGTERM)
		if err := p.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
	// The last one has nobody behind it who would answer.
	stop()
	ln.Close()
	socket.Close()
	work.Wait()
}

// greeted connects as a client does and reports whether it was let in. It is
// not when the process ends that has just accepted it.
func greeted(c net.Conn) bool {
	connect := []byte{0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 1, 'a'}
	if _, err := c.Write(connect); err != nil {
		return false
	}
	connack := make([]byte, 4)
	_, err := io.ReadFull(c, connack)
	return err == nil && connack[0] == 0x20 && connack[3] == 0
}

// midgeProcess starts this binary as midge serve, with a socket handed over.
func midgeProcess(t *testing.T, socket *os.File, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" serve "$@"`, self}, args...)...)
	p.Env = append(os.Environ(), "MIDGE_TEST_MAIN=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=mqtt")
	p.ExtraFiles = []*os.File{socket}
	p.Stderr = os.Stderr
	if testing.Verbose() {
		p.Stdout = os.Stdout
	} else {
		p.Stderr = nil
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	})
	return p
}
