package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/midgemq/midge/auth"
	"github.com/midgemq/midge/interop/internal/harness"
)

// A server is midge's process.
type server struct {
	addr string
	log  string // file
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// common is the configuration of every run. Nobody is exempt: the attackers
// come from loopback.
const common = `
[auth]
password_file = "passwords"
allow_anonymous = false

[[listener]]
url = "tcp://%s"
`

// users may log in, each with its name; mallory is the attacker's.
var users = []string{"bystander", "mallory"}

// startServer runs midge with a configuration, and waits for it to
// listen.
func startServer(ctx context.Context, set setting, config string) (*server, error) {
	addr, err := harness.FreeAddress()
	if err != nil {
		return nil, err
	}
	s := &server{addr: addr, log: filepath.Join(set.dir, "midge.log"), done: make(chan struct{})}
	if err := writePasswords(filepath.Join(set.dir, "passwords"), set.short); err != nil {
		return nil, err
	}
	conf := filepath.Join(set.dir, "midge.toml")
	if err := os.WriteFile(conf, fmt.Appendf(nil, common+config, s.addr), 0o600); err != nil {
		return nil, err
	}
	out, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd = exec.CommandContext(ctx, set.midge, "serve", "-c", conf)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if nc, err := net.Dial("tcp", s.addr); err == nil {
			return s, nc.Close()
		}
		select {
		case <-s.done:
			text, _ := os.ReadFile(s.log)
			return nil, fmt.Errorf("midge ended by itself:\n%s", text)
		case <-time.After(2 * time.Millisecond):
		}
	}
	return nil, errors.Join(errors.New("midge does not listen"), s.stop())
}

func writePasswords(path string, cheap bool) error {
	how := auth.Argon2id
	if cheap {
		how = auth.SHA512
	}
	f := auth.NewPasswordFile(path)
	for _, u := range users {
		h, err := auth.HashPassword(how, u, 0)
		if err != nil {
			return err
		}
		f.Set(u, h)
	}
	return f.Write()
}

// stop ends the process; the error is that it did not take it well.
func (s *server) stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(2 * patience):
		s.cmd.Process.Kill()
		<-s.done
		return errors.New("midge did not end")
	}
	text, err := os.ReadFile(s.log)
	for line := range strings.Lines(string(text)) {
		for _, sign := range []string{"level=ERROR", "panic:", "DATA RACE", "fatal error:"} {
			if strings.Contains(line, sign) {
				return errors.New("midge: " + line)
			}
		}
	}
	return err
}

// forgetPeak begins a new peak of memory, and returns what there is now.
func (s *server) forgetPeak() int64 {
	os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0)
	return s.status("VmRSS:")
}

// peak is the most memory since forgetPeak, in bytes.
func (s *server) peak() int64 { return s.status("VmHWM:") }

// status is a line of what Linux says of the process; 0: it does not.
func (s *server) status(key string) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			kB, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kB << 10
		}
	}
	return 0
}
