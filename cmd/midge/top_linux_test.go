package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/internal/screen"
	"github.com/midgemq/midge/internal/top"
)

// A watcher is somebody at a terminal on which midge top runs.
type watcher struct {
	t     *testing.T
	pty   *screen.PTY
	ended chan error

	mu     sync.Mutex
	screen *screen.Screen
	more   chan struct{} // holds one token when the screen has changed
}

func watchTop(t *testing.T, at string) *watcher {
	t.Helper()
	pty, err := screen.OpenPTY(100, 24)
	if err != nil {
		t.Skip("SKIP: ", err)
	}
	c, err := admin.Open("unix://"+at, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{t: t, pty: pty, ended: make(chan error, 1), screen: screen.New(100, 24), more: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(context.Background())
	read := make(chan struct{})
	go func() { w.read(); close(read) }()
	v := &viewer{c: c, model: top.NewModel("here"), every: 200 * time.Millisecond}
	v.model.Color = true
	go func() { w.ended <- v.live(ctx, pty.Program, pty.Program) }()
	t.Cleanup(func() {
		stop()
		pty.Close()
		<-read
		c.Close()
	})
	return w
}

func (w *watcher) read() {
	b := make([]byte, 4<<10)
	for {
		n, err := w.pty.Ours.Read(b)
		w.mu.Lock()
		w.screen.Write(b[:n])
		w.mu.Unlock()
		select {
		case w.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// want waits until the screen has a text.
func (w *watcher) want(text string) {
	w.t.Helper()
	late := time.After(20 * time.Second)
	for {
		w.mu.Lock()
		seen := w.screen.Text()
		w.mu.Unlock()
		if strings.Contains(seen, text) {
			return
		}
		select {
		case <-w.more:
		case <-late:
			w.t.Fatalf("%q is not on\n%s", text, seen)
		}
	}
}

func (w *watcher) press(keys string) {
	w.t.Helper()
	if _, err := w.pty.Ours.WriteString(keys); err != nil {
		w.t.Fatal(err)
	}
}

// A real terminal, a real broker, keys: and the terminal is as it was.
func TestTopOnATerminal(t *testing.T) {
	broker, at := administered(t)
	victim := connected(t, broker, "victim")
	connected(t, broker, "another")
	w := watchTop(t, at)
	before, err := unix.IoctlGetTermios(int(w.pty.Program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	w.want("clients   2")
	w.want("> another")
	w.want("q quit")
	w.press("/vic\r")
	w.want(`with "vic"  (1)`)
	w.want("> victim")
	w.press("k")
	w.want("disconnect victim?")
	w.press("y")
	w.want("victim is disconnected")
	<-victim.Done()
	w.press("\x1b")
	w.want("> another")
	w.press("?")
	w.want("any key goes back")
	w.press("b")

	w.mu.Lock()
	w.screen.Resize(60, 15)
	w.mu.Unlock()
	if err := w.pty.Resize(60, 15); err != nil {
		t.Fatal(err)
	}
	w.want("k kick  p p~") // the foot, cut to 60 columns
	w.mu.Lock()
	unknown, alternate, hidden := w.screen.Unknown, w.screen.Alternate, w.screen.CursorHidden
	w.mu.Unlock()
	if len(unknown) > 0 || !alternate || !hidden {
		t.Errorf("%q, alternate %v, hidden %v", unknown, alternate, hidden)
	}
	raw, _ := unix.IoctlGetTermios(int(w.pty.Program.Fd()), unix.TCGETS)
	w.press("q")
	if err := <-w.ended; err != nil {
		t.Error(err)
	}
	after, _ := unix.IoctlGetTermios(int(w.pty.Program.Fd()), unix.TCGETS)
	if *after != *before || *raw == *before {
		t.Errorf("the terminal is left with\n%+v, was\n%+v", after, before)
	}
	for done := false; !done; { // what is written last may still be read
		w.mu.Lock()
		done = !w.screen.Alternate && !w.screen.CursorHidden
		w.mu.Unlock()
		if !done {
			<-w.more
		}
	}
}

// Without a terminal there is one picture, or JSON.
func TestTopWithoutATerminal(t *testing.T) {
	broker, at := administered(t)
	connected(t, broker, "one")
	code, out, errs := runFor(t, "top", "--url", at, "--ascii")
	if code != exitOK || !strings.Contains(out, "> one") || !strings.Contains(out, "clients   1") || strings.Contains(out, "\x1b") {
		t.Errorf("%d %s\n%s", code, out, errs)
	}
	code, out, _ = runFor(t, "top", "--url", at, "--json")
	var g glance
	if err := json.Unmarshal([]byte(out), &g); err != nil || code != exitOK || g.Stats.Broker.Clients != 1 || len(g.Clients.Sessions) != 1 {
		t.Errorf("%d %v %s", code, err, out)
	}
	for args, want := range map[string]int{
		"top --url " + at + "x": exitFailed, "top --every 1ms": exitUsage, "top --limit 0": exitUsage, "top x": exitUsage,
	} {
		if code, _, errs := runFor(t, strings.Fields(args)...); code != want {
			t.Errorf("midge %s: %d, want %d: %s", args, code, want, errs)
		}
	}
}

func TestDecodeKeys(t *testing.T) {
	for in, want := range map[string][]string{
		"":                 nil,
		"mä日":              {"m", "ä", "日"},
		"\x1b[A\x1b[B\x1b": {"up", "down", "esc"},
		"\x1b[5~\x1bOHx":   {"pgup", "home", "x"},
		"\x03\x7f\r":       {"ctrl-c", "backspace", "enter"},
		"\x1b[24;5~q":      {"q"}, // a key without a name
		"\x1bxq":           {"q"}, // alt-x
		"\x1b[":            nil,
	} {
		if got := decodeKeys([]byte(in)); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
