//go:build linux

// Command record makes the recording of docs/observability.md: it runs midge
// serve with clients at work, runs midge top on a pseudo terminal, types, and
// writes down what comes, as asciinema plays it, and one moment of it as a
// picture.
//
//	go run ./internal/record docs/observability
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/midgemq/midge/internal/screen"
)

const (
	columns, lines = 110, 30

	before = 20 * time.Second // until the kiosk is behind
)

// script is what is typed, and when. The picture is taken at the word picture.
var script = []struct {
	at   time.Duration
	keys string
}{
	{7 * time.Second, "b"},
	{11 * time.Second, "m"},
	{16 * time.Second, "picture"},
	{17 * time.Second, "w"},
	{20 * time.Second, "/"},
	{20500 * time.Millisecond, "s"},
	{20700 * time.Millisecond, "e"},
	{20900 * time.Millisecond, "n"},
	{21100 * time.Millisecond, "s"},
	{21500 * time.Millisecond, "\r"},
	{23 * time.Second, "c"},
	{24 * time.Second, "\x1b[B"},
	{24300 * time.Millisecond, "\x1b[B"},
	{25 * time.Second, "k"},
	{26500 * time.Millisecond, "y"},
	{30 * time.Second, "\x1b"},
	{31 * time.Second, "m"},
	{34 * time.Second, "q"},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./internal/record FOLDER, at the module's root; writes top.cast and top.svg there")
		os.Exit(2)
	}
	if err := record(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(folder string) error {
	tmp, err := os.MkdirTemp("", "record")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	binary, at := filepath.Join(tmp, "midge"), "127.0.0.1:9883" // the usual place: it is seen
	build := exec.Command("go", "build", "-o", binary, "./cmd/midge")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	addr, end, err := serve(binary, at)
	if err != nil {
		return err
	}
	defer end()
	l, err := newLoad(ctx, addr)
	if err != nil {
		return err
	}
	defer l.close()
	defer stop() // first
	fmt.Fprintf(os.Stderr, "letting things happen for %v, then recording for %v\n", before, script[len(script)-1].at)
	<-time.After(before)
	c, err := watch(ctx, binary, at)
	if err != nil {
		return err
	}
	return errors.Join(c.writeCast(filepath.Join(folder, "top.cast")), c.writeSVG(filepath.Join(folder, "top.svg")))
}

// serve starts the broker and returns where it listens.
func serve(binary, at string) (addr string, end func(), err error) {
	cmd := exec.Command(binary, "serve", "--tcp", "127.0.0.1:0", "--admin", at, "--set", "log.level=error", "--set", "limits.memory=256MiB", "--set", "limits.max_queued_bytes=4MiB", "--set", "limits.write_timeout=45s")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	end = func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, addr, ok := strings.Cut(strings.TrimSpace(line), "tcp://")
	if !ok {
		end()
		return "", nil, fmt.Errorf("midge serve says %q: %w", line, err)
	}
	return addr, end, nil
}

// watch runs midge top and types the script.
func watch(ctx context.Context, binary, at string) (*cast, error) {
	pty, err := screen.OpenPTY(columns, lines)
	if err != nil {
		return nil, err
	}
	defer pty.Close()
	cmd := exec.CommandContext(ctx, binary, "top")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pty.Program, pty.Program, os.Stderr
	cmd.Env = append(os.Environ(), "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "TERM=xterm-256color", "NO_COLOR=")
	c := newCast()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 64<<10)
		for {
			n, err := pty.Ours.Read(b)
			if n > 0 {
				c.took(b[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	for _, s := range script {
		<-time.After(time.Until(c.start.Add(s.at)))
		if s.keys == "picture" {
			c.takePicture()
		} else if _, err := pty.Ours.WriteString(s.keys); err != nil {
			return nil, err
		}
	}
	err = cmd.Wait()
	pty.Close()
	<-read
	return c, err
}
