package firmware

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	patience = 20 * time.Second // for anything that is to happen on the board
	lifetime = 8 * time.Minute  // of a machine that nobody ended
)

// toolchain returns the path of what scripts/tinygo.sh has left.
func toolchain(t *testing.T, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip("SKIPPED: no cache folder, so no TinyGo:", err)
	}
	return filepath.Join(cache, "midge", "tinygo", name)
}

// tinygo returns the compiler, or skips.
func tinygo(t *testing.T) string {
	t.Helper()
	path := toolchain(t, "tinygo")
	if _, err := os.Stat(path); err != nil {
		t.Skip("SKIPPED: no TinyGo; scripts/tinygo.sh builds it:", err)
	}
	return path
}

// program returns the path of something from Debian, or skips.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: no %s (apt-get install %s)", name, pkg)
	}
	return path
}

// build compiles a board's program and returns the image.
func build(t *testing.T, target, dir string, flags ...string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	args := append([]string{"build", "-opt=s", "-target=" + target, "-o", image}, flags...)
	ctx, cancel := context.WithTimeout(t.Context(), lifetime)
	defer cancel()
	if out, err := exec.CommandContext(ctx, tinygo(t), append(args, dir)...).CombinedOutput(); err != nil {
		t.Fatalf("tinygo %v: %v\n%s", args, err, out)
	}
	return image
}

// A board is a machine that QEMU emulates.
type board struct {
	addr string // where its MQTT port is on this host

	mu    sync.Mutex
	lines []string
	news  chan struct{} // closed and replaced with every line; closed for good at the end
	over  bool
}

// boot starts an image. guest is the address that the port is forwarded to.
func boot(t *testing.T, image, guest string, flags ...string) *board {
	t.Helper()
	qemu := program(t, "qemu-system-arm", "qemu-system-arm")
	b := &board{addr: freeAddr(t), news: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	cmd := exec.CommandContext(ctx, qemu, append([]string{
		"-machine", "lm3s6965evb", "-semihosting", "-nographic", "-monitor", "none", "-serial", "stdio",
		"-nic", "user,model=stellaris,hostfwd=tcp:" + b.addr + "-" + guest + ":1883", "-kernel", image,
	}, flags...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.read(bufio.NewScanner(out))
		_ = cmd.Wait() // it is killed, as a rule
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			t.Log("console:\n" + strings.Join(b.lines, "\n"))
		}
	})
	return b
}

// freeAddr finds a port of this host that nobody has.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (b *board) read(s *bufio.Scanner) {
	for s.Scan() {
		b.mu.Lock()
		b.lines = append(b.lines, s.Text())
		close(b.news)
		b.news = make(chan struct{})
		b.mu.Unlock()
	}
	b.mu.Lock()
	b.over = true
	close(b.news)
	b.mu.Unlock()
}

// mark is the present end of the console, for wait.
func (b *board) mark() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.lines)
}

// wait returns the first line from on that is wanted, as a report.
func (b *board) wait(t *testing.T, from int, what string, want func(report) bool) report {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		b.mu.Lock()
		for ; from < len(b.lines); from++ {
			if r := parse(b.lines[from]); want(r) {
				b.mu.Unlock()
				return r
			}
		}
		news, over := b.news, b.over
		b.mu.Unlock()
		if over {
			t.Fatalf("the machine ended before: %s", what)
		}
		select {
		case <-news:
		case <-timeout.C:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// status waits for the next status line that is wanted.
func (b *board) status(t *testing.T, what string, want func(report) bool) report {
	t.Helper()
	return b.wait(t, b.mark(), what, func(r report) bool { return r.kind == "status" && want(r) })
}

// clients waits until the board says that n are connected.
func (b *board) clients(t *testing.T, n int) report {
	t.Helper()
	return b.status(t, fmt.Sprintf("%d clients", n), func(r report) bool { return r.n["clients"] == n })
}

// A report is a line of the console: a kind, and numbers by name.
type report struct {
	kind string
	rest string
	n    map[string]int
}

func parse(line string) report {
	kind, rest, _ := strings.Cut(line, ": ")
	r := report{kind: kind, rest: rest, n: map[string]int{}}
	words := strings.Fields(rest)
	for i := 0; i+1 < len(words); i += 2 {
		if n, err := strconv.Atoi(words[i+1]); err == nil {
			r.n[words[i]] = n
		}
	}
	return r
}
