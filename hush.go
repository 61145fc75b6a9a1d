package midge

import (
	"log/slog"
	"sync"
	"time"
)

// A hush keeps strangers from filling the log: so many lines a second are said,
// and with the next how many were not.
type hush struct {
	mu     sync.Mutex
	second time.Time // guarded by mu: when it began
	said   int       // guarded by mu: in it
	kept   int       // guarded by mu: back, since a line was said last
}

const linesASecond = 20

// ask reports whether a line may be said, and how many were kept back before it.
func (h *hush) ask(now time.Time) (say bool, kept int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.second) >= time.Second {
		h.second, h.said = now, 0
	}
	if h.said == linesASecond {
		h.kept++
		return false, 0
	}
	h.said++
	kept, h.kept = h.kept, 0
	return true, kept
}

// sayOfStrangers tells the log what somebody who has not been let in brought
// about. What is one line too many is said at debug level.
func (b *Broker) sayOfStrangers(level slog.Level, text string, args ...any) {
	if level > slog.LevelDebug {
		say, kept := b.hush.ask(time.Now())
		if !say {
			level = slog.LevelDebug
		} else if kept > 0 {
			args = append(args, "not_said_before", kept)
		}
	}
	b.log.Log(b.ctx, level, text, args...)
}
