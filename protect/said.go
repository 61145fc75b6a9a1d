package protect

import (
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
)

// episodes are who meets a limit, for the log to hear of it once and not of
// each time.
type episodes map[episode]*since

type episode struct{ limit, who string }

type since struct {
	last  time.Time
	times int
}

// An episode is over after a minute without.
const (
	calm         = time.Minute
	mostEpisodes = 1024
)

// begins reports whether it is a new one; before is how often it happened in
// the one before.
func (e episodes) begins(limit, who string, now time.Time) (begins bool, before int) {
	k := episode{limit, shorten(who)}
	was := e[k]
	if was == nil {
		e.makeRoom(now)
		e[k] = &since{now, 1}
		return true, 0
	}
	begins, before = now.Sub(was.last) >= calm, was.times
	if begins {
		was.times = 0
	}
	was.last = now
	was.times++
	return begins, before
}

// makeRoom forgets a few that are over, or else any one.
func (e episodes) makeRoom(now time.Time) {
	looked := 0
	for k, s := range e {
		if now.Sub(s.last) >= calm || len(e) >= mostEpisodes && looked == 0 {
			delete(e, k)
		}
		if looked++; looked == 8 {
			return
		}
	}
}

// refusals of one connection too many, by limit.
var refusals = map[string]*midge.Refusal{
	"per_address":      {Code: mqtt.QuotaExceeded, Reason: "too many connections from this address", Said: true},
	"per_user":         {Code: mqtt.QuotaExceeded, Reason: "too many connections of this user", Said: true},
	"half_open":        {Code: mqtt.QuotaExceeded, Reason: "too many connections of this address without CONNECT", Said: true},
	"rate":             {Code: mqtt.ConnectionRateExceeded, Said: true},
	"rate_per_address": {Code: mqtt.ConnectionRateExceeded, Said: true},
}

// overLocked returns the refusal, and notes it unless the log knows.
func (s *Shield) overLocked(limit, who string, now time.Time) *midge.Refusal {
	if begins, before := s.episodes.begins(limit, who, now); begins {
		attrs := []any{"limit", limit}
		if who != "" {
			attrs = append(attrs, "who", shorten(who))
		}
		if before > 1 {
			attrs = append(attrs, "times_before", before)
		}
		s.notes = append(s.notes, note{"connections refused", attrs})
	}
	return refusals[limit]
}

// A note is for the log, which is not to be waited for under a lock.
type note struct {
	text  string
	attrs []any
}

// unlock unlocks mu and says what was noted.
func (s *Shield) unlock() {
	notes := s.notes
	s.notes = nil
	s.mu.Unlock()
	for _, n := range notes {
		s.set.Load().Logger.Warn(n.text, n.attrs...)
	}
}
