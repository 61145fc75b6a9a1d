package midge

import "time"

// An aside is what a session has that is neither idle nor new: most need none.
type aside struct {
	flying  int            // bytes of messages in out
	replays []replay       // retained messages still to be sent
	walking bool           // walkOn is on its way
	will    *will          // waiting for its delay to pass
	timers  [2]*time.Timer // will delay and session expiry
}

// nothingAside is that of every session that has none. Nobody writes to it.
var nothingAside aside

// ownLocked makes the aside the session's own, to be written to.
func (s *session) ownLocked() {
	if s.aside == &nothingAside {
		s.aside = new(aside)
	}
}

// disownLocked gives the aside back if it says nothing.
func (s *session) disownLocked() {
	a := s.aside
	if s.out == nil && a.flying == 0 && len(a.replays) == 0 && !a.walking && a.will == nil && a.timers == [2]*time.Timer{} {
		s.aside = &nothingAside
	}
}

// setWillLocked puts a will in line, or takes it out: nil.
func (s *session) setWillLocked(w *will) {
	if w != s.will {
		s.ownLocked()
		s.will = w
	}
}
