package harness

import (
	"fmt"
	"io"
	"os"
	"time"
)

// A StatusLine shows what is under way: in place on a terminal, elsewhere line
// by line, no more often than Every.
type StatusLine struct {
	W     io.Writer
	Every time.Duration

	last time.Time
	open bool
}

// Say shows the text in place of what was there.
func (l *StatusLine) Say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	f, _ := l.W.(*os.File)
	info, err := f.Stat()
	if terminal := f != nil && err == nil && info.Mode()&os.ModeCharDevice != 0; terminal {
		fmt.Fprintf(l.W, "\r\x1b[K%s", text)
		l.open = true
		return
	}
	if time.Since(l.last) >= l.Every {
		fmt.Fprintln(l.W, text)
		l.last = time.Now()
	}
}

// End leaves the line, before something else is printed.
func (l *StatusLine) End() {
	if l.open {
		fmt.Fprintln(l.W)
		l.open = false
	}
}
