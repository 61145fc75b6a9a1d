package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// A tty is a terminal that is drawn on line by line, and read key by key. One
// goroutine draws.
type tty struct {
	in, out     *os.File
	inFd, outFd int
	before      *term.State
	restore     func() // of what the system needs to take escape sequences

	shown         []string // what is on it
	width, height int
}

const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J" // another page, no cursor, no wrapping
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// openTTY takes the terminal over; close gives it back as it was.
func openTTY(in, out *os.File) (*tty, error) {
	t := &tty{in: in, out: out, inFd: int(in.Fd()), outFd: int(out.Fd())}
	var err error
	if t.before, err = term.MakeRaw(t.inFd); err != nil {
		return nil, err
	}
	t.restore = takeEscapes(out)
	if _, err = out.WriteString(enterScreen); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tty) close() {
	t.out.WriteString(leaveScreen)
	t.restore()
	term.Restore(t.inFd, t.before)
}

// size is asked for each time: not every system tells of a change.
func (t *tty) size() (w, h int) {
	w, h, err := term.GetSize(t.outFd)
	if err != nil || w <= 0 || h <= 0 {
		return 80, 24
	}
	return w, h
}

// draw puts lines on the terminal: those that have changed.
func (t *tty) draw(lines []string, w, h int) error {
	var b strings.Builder
	if w != t.width || h != t.height {
		t.shown, t.width, t.height = nil, w, h
		b.WriteString("\x1b[2J")
	}
	for i, l := range lines {
		if i >= len(t.shown) || t.shown[i] != l {
			fmt.Fprintf(&b, "\x1b[%d;1H%s\x1b[K", i+1, l)
		}
	}
	t.shown = slices.Clone(lines)
	if b.Len() == 0 {
		return nil
	}
	_, err := t.out.WriteString(b.String())
	return err
}

// keys hands out what is typed, until the terminal is gone. What a blocked read
// holds when nobody listens any more goes with the process.
func (t *tty) keys(done <-chan struct{}) <-chan string {
	keys := make(chan string)
	go func() {
		defer close(keys)
		b := make([]byte, 256)
		for {
			n, err := t.in.Read(b)
			for _, k := range decodeKeys(b[:n]) {
				select {
				case keys <- k:
				case <-done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return keys
}

// sequences are what terminals send for keys that are no characters.
var sequences = []struct{ text, key string }{
	{"\x1b[A", "up"},
	{"\x1b[B", "down"},
	{"\x1bOA", "up"},
	{"\x1bOB", "down"},
	{"\x1b[5~", "pgup"},
	{"\x1b[6~", "pgdn"},
	{"\x1b[H", "home"},
	{"\x1b[F", "end"},
	{"\x1b[1~", "home"},
	{"\x1b[4~", "end"},
	{"\x1bOH", "home"},
	{"\x1bOF", "end"},
	{"\r", "enter"},
	{"\n", "enter"},
	{"\x7f", "backspace"},
	{"\b", "backspace"},
	{"\x03", "ctrl-c"},
}

// decodeKeys takes apart what one read brought. An escape at its end is the key;
// one with something unknown behind it is a key we have no name for.
func decodeKeys(b []byte) (keys []string) {
	s := string(b)
	for s != "" {
		i := slices.IndexFunc(sequences, func(q struct{ text, key string }) bool { return strings.HasPrefix(s, q.text) })
		switch {
		case i >= 0:
			keys, s = append(keys, sequences[i].key), s[len(sequences[i].text):]
		case s == "\x1b":
			return append(keys, "esc")
		case s[0] == '\x1b':
			s = afterEscape(s)
		default:
			_, n := utf8.DecodeRuneInString(s)
			keys, s = append(keys, s[:n]), s[n:]
		}
	}
	return keys
}

// afterEscape is what follows an escape sequence.
func afterEscape(s string) string {
	if len(s) < 2 || s[1] != '[' && s[1] != 'O' {
		return s[min(2, len(s)):]
	}
	for i := 2; i < len(s); i++ {
		if s[i] >= '@' && s[i] <= '~' {
			return s[i+1:]
		}
	}
	return ""
}
