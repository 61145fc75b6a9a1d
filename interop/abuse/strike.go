package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// strikeEnv has the attack, the address and the size for a process that is the
// attacker.
const strikeEnv = "MIDGE_ABUSE_STRIKE"

// A word is what the attacker's process says, as a line of JSON.
type word struct {
	Ready bool              `json:"ready,omitempty"`
	Fault string            `json:"fault,omitempty"`
	Done  uint64            `json:"done,omitempty"`
	Told  map[string]uint64 `json:"told,omitempty"`
}

// struck is the attacker's process: it prepares, says that it is ready, attacks
// with the first line it reads, and until there is nothing more to read.
func struck(ctx context.Context, in io.Reader, out io.Writer) error {
	var name, addr string
	var size float64
	if _, err := fmt.Sscan(os.Getenv(strikeEnv), &name, &addr, &size); err != nil {
		return err
	}
	chosen, err := choose(name)
	if err != nil {
		return err
	}
	// The rest is to have the processor first.
	if left, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0); err == nil { // 20 less what nice says
		syscall.Setpriority(syscall.PRIO_PROCESS, 0, 20-left+5)
	}
	a, f, say := chosen[0], newField(addr, size), json.NewEncoder(out)
	if a.prepare != nil {
		if err := a.prepare(ctx, f); err != nil {
			return say.Encode(word{Fault: err.Error()})
		}
	}
	if err := say.Encode(word{Ready: true}); err != nil {
		return err
	}
	lines := bufio.NewReader(in)
	if _, err := lines.ReadString('\n'); err != nil {
		return nil // called off
	}
	ctx, stop := context.WithCancel(ctx)
	go func() {
		lines.ReadString('\n')
		stop()
	}()
	w := word{}
	if err := a.strike(ctx, f); err != nil {
		w.Fault = err.Error()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Done, w.Told = f.done, f.told
	return say.Encode(w)
}

// A striker is that process as the other one sees it.
type striker struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	said *json.Decoder
}

// hire starts the attacker, and waits until it is ready.
func hire(ctx context.Context, a attack, addr string, size float64) (*striker, error) {
	s := &striker{cmd: exec.CommandContext(ctx, os.Args[0])}
	s.cmd.Env = append(os.Environ(), strikeEnv+"="+a.name+" "+addr+" "+strconv.FormatFloat(size, 'g', -1, 64))
	s.cmd.Stderr = os.Stderr
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.said = json.NewDecoder(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	w, err := s.hear()
	if err == nil && !w.Ready {
		err = errors.New("the attacker is not ready")
	}
	if err != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		return nil, err
	}
	return s, nil
}

func (s *striker) hear() (w word, err error) {
	if err = s.said.Decode(&w); err == nil && w.Fault != "" {
		err = errors.New("the attacker: " + w.Fault)
	}
	return w, err
}

func (s *striker) begin() error {
	_, err := io.WriteString(s.in, "go\n")
	return err
}

// end stops the attack and returns what the attacker has to tell.
func (s *striker) end() (word, error) {
	s.in.Close()
	w, err := s.hear()
	return w, errors.Join(err, s.cmd.Wait())
}
