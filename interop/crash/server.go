package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/midgemq/midge/interop/internal/harness"
)

// A server is a broker's process, to be killed and started again on the same
// address and the same data.
type server struct {
	name string
	argv []string
	addr string
	log  string // file

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// newServer prepares a broker by name, with its data in dir.
func newServer(name, midge, dir string) (*server, error) {
	addr, err := harness.FreeAddress()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	s := &server{name: name, addr: addr, log: filepath.Join(dir, "broker.log")}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	kind, how, _ := strings.Cut(name, "-")
	switch kind {
	case "midge":
		s.argv = []string{midge, "--tcp", addr, "--data", data}
		switch how {
		case "":
		case "interval", "none":
			s.argv = append(s.argv, "--durability", how)
		case "forgetful":
			s.argv = s.argv[:3]
		default:
			return nil, fmt.Errorf("midge runs as midge, midge-interval, midge-none and midge-forgetful, not %q", name)
		}
		return s, nil
	case "mosquitto":
		return s, s.mosquitto(how, dir, data)
	}
	return nil, fmt.Errorf("nobody here knows how to start %q", name)
}

// autosaves are the ways to have mosquitto write its snapshot.
var autosaves = map[string]string{
	"":        "autosave_interval 1800\n",
	"1s":      "autosave_interval 1\n",
	"changes": "autosave_interval 1\nautosave_on_changes true\n",
}

func (s *server) mosquitto(how, dir, data string) error {
	text, ok := autosaves[how]
	if !ok {
		return fmt.Errorf("mosquitto runs as mosquitto, mosquitto-1s and mosquitto-changes, not %q", s.name)
	}
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			return fmt.Errorf("%w: apt-get install mosquitto", err)
		}
	}
	_, port, _ := net.SplitHostPort(s.addr)
	text += fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location %s/\n"+
		"max_queued_messages 0\nset_tcp_nodelay true\n", port, data)
	conf := filepath.Join(dir, "mosquitto.conf")
	s.argv = []string{program, "-c", conf}
	return os.WriteFile(conf, []byte(text), 0o600)
}

// freeAddress is one nobody listens on now.
func (s *server) start() error {
	out, err := os.OpenFile(s.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	s.cmd = exec.Command(s.argv[0], s.argv[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		cmd.Wait()
		close(done)
	}(s.cmd, s.done)
	return nil
}

// errDied is a broker that ended by itself.
var errDied = errors.New("the broker ended by itself")

// startTime is how long it may take to read what it keeps, on a machine that
// has other things to do.
const startTime = 2 * time.Minute

// ready waits until it listens.
func (s *server) ready(ctx context.Context) error {
	for end := time.Now().Add(startTime); time.Now().Before(end); {
		if nc, err := net.Dial("tcp", s.addr); err == nil {
			nc.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return errDied
		case <-time.After(2 * time.Millisecond):
		}
	}
	return errors.New("the broker does not listen")
}

// end is SIGKILL, or SIGTERM and time to follow it. It reports whether the
// process was alive.
func (s *server) end(gently bool) bool {
	alive := true
	select {
	case <-s.done:
		alive = false
	default:
	}
	if gently {
		s.cmd.Process.Signal(syscall.SIGTERM)
		t := time.AfterFunc(patience, func() { s.cmd.Process.Kill() })
		defer t.Stop()
	} else {
		s.cmd.Process.Kill()
	}
	<-s.done
	return alive
}

// complaints are what the broker's log says of its own trouble.
func (s *server) complaints() (lines []string) {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return []string{err.Error()}
	}
	for line := range bytes.Lines(b) {
		for _, sign := range []string{"level=ERROR", "panic:", "DATA RACE", "fatal error:"} {
			if bytes.Contains(line, []byte(sign)) {
				lines = append(lines, strings.TrimSpace(string(line)))
				break
			}
		}
	}
	return lines
}
