package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/midgemq/midge/interop/internal/harness"
)

// patience is how long anything here may take. Nothing waits for it unless
// something is wrong.
const (
	patience        = 20 * time.Second
	conformPatience = 5 * time.Minute
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "midge")
	if err == nil {
		binary = filepath.Join(dir, "midge")
		err = harness.Build(context.Background(), binary)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "building midge:", err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// need skips a test that lacks a program, loudly; in CI that is a failure.
func need(t *testing.T, program, how string) string {
	t.Helper()
	for _, name := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, program+" not found: "+how)
	return ""
}

func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip("SKIP: " + why)
}

// A process is a program under test, its output line by line.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	name string
	done chan struct{}

	mu    sync.Mutex
	lines []string
	more  chan struct{} // holds one token when lines changed
	err   error         // of Wait; set before done is closed
}

func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return launch(t, exec.Command(name, args...))
}

func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, name: filepath.Base(cmd.Path), done: make(chan struct{}), more: make(chan struct{}, 1)}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go p.read(r)
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

func (p *process) read(r *os.File) {
	defer r.Close()
	for sc := bufio.NewScanner(r); sc.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, sc.Text())
		p.mu.Unlock()
		p.tell()
	}
	p.err = p.cmd.Wait()
	close(p.done)
	p.tell()
}

func (p *process) tell() {
	select {
	case p.more <- struct{}{}:
	default:
	}
}

func (p *process) output() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// want waits until a line contains text and returns it.
func (p *process) want(text string) string {
	p.t.Helper()
	return p.wantNth(text, 1)
}

// wantNth waits until n lines contain text and returns the last of these.
func (p *process) wantNth(text string, n int) string {
	p.t.Helper()
	late := time.After(patience)
	for {
		seen := 0
		for _, l := range p.output() {
			if strings.Contains(l, text) {
				if seen++; seen == n {
					return l
				}
			}
		}
		select {
		case <-p.more:
		case <-late:
			p.t.Fatalf("%s never said %q (%d times):\n%s", p.name, text, n, strings.Join(p.output(), "\n"))
		}
		select {
		case <-p.done:
			if out := strings.Join(p.output(), "\n"); strings.Count(out, text) < n {
				p.t.Fatalf("%s ended (%v) without %q:\n%s", p.name, p.err, text, out)
			}
		default:
		}
	}
}

// ended waits for the end and returns the exit code.
func (p *process) ended() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end:\n%s", p.name, strings.Join(p.output(), "\n"))
	}
	return p.cmd.ProcessState.ExitCode()
}

// run runs a program to its end and returns its output; it has to exit with 0.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, code := try(t, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit %d\n%s", name, strings.Join(args, " "), code, out)
	}
	return out
}

func try(t *testing.T, name string, args ...string) (string, int) {
	t.Helper()
	return tryFor(t, patience, name, args...)
}

func tryFor(t *testing.T, patience time.Duration, name string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Run()
	return out.String(), cmd.ProcessState.ExitCode()
}

// A broker is a midge process and where it listens, by scheme.
type broker struct {
	*process
	at map[string]string // "tcp" -> "host:port", "ws" -> the whole URL, "unix" -> the path
}

func serve(t *testing.T, args ...string) *broker {
	t.Helper()
	b := &broker{start(t, binary, append([]string{"serve"}, args...)...), map[string]string{}}
	_, urls, _ := strings.Cut(b.want("listens on "), "listens on ")
	for _, u := range strings.Fields(urls) {
		scheme, rest, _ := strings.Cut(u, "://")
		if scheme == "ws" || scheme == "wss" {
			rest = u
		}
		b.at[scheme] = rest
	}
	return b
}

// stop ends the broker as a supervisor would; it has to exit with 0.
func (b *broker) stop(sig os.Signal) {
	b.t.Helper()
	b.cmd.Process.Signal(sig)
	if code := b.ended(); code != 0 {
		b.t.Errorf("midge ended with %d:\n%s", code, strings.Join(b.output(), "\n"))
	}
}

// output is try with the two outputs apart.
func output(t *testing.T, name string, args ...string) (out, errs string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var o, e bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &o, &e
	cmd.Run()
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}
