package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/midgemq/midge/transport"
)

// runFor runs midge with these arguments until it ends by itself.
func runFor(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string // on either output
	}{
		{"help", exitOK, "midge serve"},
		{"--help", exitOK, "midge conform"},
		{"serve --help", exitOK, "--require-cert"},
		{"conform --help", exitOK, "Examples:"},
		{"version", exitOK, "midge "},
		{"frobnicate", exitUsage, "midge help"},
		{"serve --frob", exitUsage, "midge serve --help"},
		{"--tcp nonsense", exitUsage, "host:port"},
		{"--tls 127.0.0.1:0", exitUsage, "--cert"},
		{"--cert x --key y", exitUsage, "--tls"},
		{"--tls 127.0.0.1:0 --cert x --key y --require-cert", exitUsage, "--cafile"},
		{"--tls 127.0.0.1:0 --cert nofile --key nofile", exitFailed, "nofile"},
		{"serve extra", exitUsage, "extra"},
		{"--durability always", exitUsage, "--data DIR"},
		{"--data x --durability sometimes", exitUsage, "always, interval or none"},
		{"--data x --interval 1s", exitUsage, "--durability interval"},
		{"--data x --durability interval --interval -1s", exitUsage, "more than 0"},
		{"--data /dev/null", exitFailed, "/dev/null"},
		{"conform", exitUsage, "argument is missing"},
		{"tiny --bill", exitOK, "total"},
		{"tiny --clients 251 --bill", exitUsage, "not within [1, 250]"},
		{"tiny --tcp nonsense", exitUsage, "host:port"},
		{"conform --run ( 127.0.0.1:1", exitUsage, "regexp"},
		{"conform 127.0.0.1:1", exitFailed, "no broker to test"},
	} {
		code, out, errs := runFor(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("midge %s: exit %d, want %d; want %q in\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
}

// A startLine hands out the first line written to it.
type startLine struct {
	mu   sync.Mutex
	b    bytes.Buffer
	line chan string
}

func (s *startLine) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Write(p)
	if line, _, whole := strings.Cut(s.b.String(), "\n"); whole && s.line != nil {
		s.line <- line
		s.line = nil
	}
	return len(p), nil
}

// serving starts midge serve and returns the URLs it says it listens on.
func serving(t *testing.T, args ...string) []string {
	t.Helper()
	urls, _ := startServing(t, args...)
	return urls
}

// startServing is serving that can be ended before the test does: end returns
// what went to standard error.
func startServing(t *testing.T, args ...string) (urls []string, end func() string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan int)
	out := &startLine{line: make(chan string, 1)}
	first := out.line
	var errs bytes.Buffer
	go func() { ended <- run(ctx, args, out, &errs) }()
	end = sync.OnceValue(func() string {
		stop()
		if code := <-ended; code != exitOK {
			t.Errorf("serve ended with %d: %s", code, errs.String())
		}
		return errs.String()
	})
	t.Cleanup(func() { end() })
	select {
	case line := <-first:
		_, list, _ := strings.Cut(line, "listens on ")
		return strings.Fields(list), end
	case code := <-ended:
		go func() { ended <- code }()
		t.Fatalf("serve ended with %d: %s", code, errs.String())
	}
	return nil, nil
}

func TestServeSaysWhereItListens(t *testing.T) {
	sock := t.TempDir() + "/s#1?%41"
	urls := serving(t, "--tcp", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--ws-path", "/here", "--unix", sock)
	if len(urls) != 4 {
		t.Fatalf("listens on %q", urls)
	}
	for _, u := range urls {
		if strings.HasPrefix(u, "ws:") && !strings.HasSuffix(u, "/here") {
			t.Errorf("%s is not at the path asked for", u)
		}
		nc, err := transport.Dial(t.Context(), u, transport.DialOptions{})
		if err != nil {
			t.Errorf("%s: %v", u, err)
			continue
		}
		nc.Close()
	}
	if _, err := os.Stat(sock); err != nil {
		t.Errorf("the socket is not where it was asked for: %v", err)
	}
	taken, _, _ := strings.Cut(strings.TrimPrefix(urls[0], "tcp://"), "/")
	code, _, errs := runFor(t, "--tcp", taken)
	if code != exitFailed || !strings.Contains(errs, "another program listens there") {
		t.Errorf("a port in use: exit %d, %s", code, errs)
	}
}

func TestConformAgainstOurselves(t *testing.T) {
	urls := serving(t, "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--ws-path", "/here")
	code, out, errs := runFor(t, "conform", "--fast", "--run", "^(topic|malformed)/", urls[0])
	if code != exitOK || !strings.Contains(out, " 0 failed") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	code, out, errs = runFor(t, "conform", "--fast", "--run", "^websocket/", urls[1])
	if code != exitOK || !strings.Contains(out, " 0 failed, 0 skipped") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	code, out, _ = runFor(t, "conform", "--json", "--fast", "--run", "^connect/", urls[0])
	if code != exitOK || !strings.Contains(out, `"statements"`) {
		t.Errorf("exit %d\n%s", code, out)
	}
}
