package midge

import (
	"runtime"
	"time"

	"github.com/midgemq/midge/topic"
)

// replayBurst is how much of Config.ReplayRate may come at once, and leastReplay
// how many topics are worth going on for.
const (
	replayBurst = int64(100 * time.Millisecond)
	leastReplay = 32
)

// replayRoom returns how many topics a replay may look at now; if none, when it
// is to ask again.
func (b *Broker) replayRoom() (steps int, wait time.Duration) {
	rate := int64(b.bounds.Load().ReplayRate)
	if rate == 0 {
		return walkSteps, 0
	}
	cost := max(int64(time.Second)/rate, 1)
	burst := max(replayBurst, leastReplay*cost)
	free := (int64(b.since(time.Now())) + burst - max(b.replayed.messages.Load(), int64(b.since(time.Now())))) / cost
	if free < leastReplay {
		b.count.limited.replaysHeld.Add(1)
		return 0, max(time.Duration((leastReplay-free)*cost), time.Millisecond)
	}
	return int(min(free, walkSteps)), 0
}

// hasReplayed takes what a replay has looked at off the rate.
func (b *Broker) hasReplayed(steps int) {
	if rate := int64(b.bounds.Load().ReplayRate); rate > 0 && steps > 0 {
		add(&b.replayed.messages, int64(b.since(time.Now())), int64(steps)*max(int64(time.Second)/rate, 1))
	}
}

// replaysLocked sends what new subscriptions are owed, as far as the outbox has
// room and others are not kept waiting for it. What is left goes on later.
func (s *session) replaysLocked(c *conn, by *batch) {
	if len(s.replays) == 0 {
		return
	}
	steps, wait := s.b.replayRoom()
	granted := steps
	for steps > 0 && s.replayLocked(c, by, &steps) {
	}
	s.b.hasReplayed(granted - max(steps, 0))
	if steps > 0 || len(s.replays) == 0 || s.walking {
		return
	}
	s.ownLocked()
	s.walking = true
	if wait > 0 {
		time.AfterFunc(wait, s.walkOn)
	} else {
		go s.walkOn()
	}
}

// walkOn goes on with replays that have taken as long as they may at a time.
func (s *session) walkOn() {
	runtime.Gosched()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ownLocked()
	s.walking = false
	if c := s.conn.Load(); c != nil {
		s.pumpLocked(c, nil)
	}
}

// replaysTooMuch reports whether a new subscription to filter would bring more
// retained messages than Config.MaxReplay, and says and counts that.
func (c *conn) replaysTooMuch(sc *scratch, filter string) bool {
	b := c.b
	most := b.bounds.Load().MaxReplay
	if most == 0 || b.retained.Len() <= most || !topic.HasWildcard(filter) {
		return false
	}
	c.mayWait(sc)
	n := 0
	for w := b.retained.Walk(filter); w.More() && n <= most; runtime.Gosched() {
		steps := walkSteps
		for m := w.Next(&steps); m != nil && n <= most; m = w.Next(&steps) {
			n++
		}
	}
	if n <= most {
		return false
	}
	b.count.limited.replays.Add(1)
	if b.replayNews.begins(int64(b.since(time.Now()))) {
		b.log.Warn("subscription refused: more retained messages match than one may bring", "client", c.id(),
			"remote", c.nc.RemoteAddr(), "filter", filter, "most", most)
	}
	return true
}
