package main

import (
	"context"
	"sort"
	"time"
)

// rage kills the broker and starts it again, until it has done so as often as
// planned: under load, in the middle of its start, and twice in a row. In
// between it stops it in an orderly way, if that is planned too.
func (w *world) rage(ctx context.Context) error {
	begin := time.Now()
	for w.killed < w.Kills && time.Since(begin) < w.For {
		early := w.rng.IntN(5) == 0 && w.killed > 0
		gently := !early && w.Stops > 0 && (w.killed+w.stopped+1)%w.Stops == 0
		if early {
			w.pause(ctx, between{0, 40 * time.Millisecond}.pick(w.rng))
		} else {
			if err := w.server.ready(ctx); err != nil {
				return w.died(err)
			}
			w.started()
			w.pause(ctx, between{10 * time.Millisecond, 600 * time.Millisecond}.pick(w.rng))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.ends.Add(1)
		if !w.server.end(gently) {
			return w.died(errDied)
		}
		if gently {
			w.stopped++
		} else {
			w.killed++
		}
		if w.rng.IntN(20) == 0 {
			w.pause(ctx, between{0, time.Second}.pick(w.rng))
		}
		if err := w.server.start(); err != nil {
			return err
		}
		w.say("%s: %d of %d kills, %s", w.Broker, w.killed, w.Kills, w.ledger.progress())
	}
	return nil
}

func (w *world) started() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.starts = append(w.starts, time.Now())
}

// up is how long ago a client that left at that time was away for certain, and
// the broker there to know it: since the first start behind that, for the
// broker may have been killed before it noticed. 0: there was none.
func (w *world) up(gone time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := sort.Search(len(w.starts), func(i int) bool { return w.starts[i].After(gone) })
	if i == len(w.starts) {
		return 0
	}
	return time.Since(w.starts[i])
}

// drain lets everybody finish: publishers get their acknowledgements,
// subscribers come and stay. It ends when nothing is owed any more, or nothing
// has come for long.
func (w *world) drain(ctx context.Context) {
	close(w.stopping)
	begin := time.Now()
	w.ledger.touch()
	for ctx.Err() == nil {
		w.pause(ctx, 200*time.Millisecond)
		quiet := w.ledger.quiet()
		if quiet < time.Second || time.Since(begin) < 2*time.Second {
			continue
		}
		v := w.ledger.judge()
		busy := false
		for _, p := range w.publishers {
			busy = busy || !p.idle.Load()
		}
		if owed := v.Faults.Lost + v.Faults.WillsLost; owed == 0 && !busy || quiet > w.Wait {
			return
		}
		w.say("%s: %d deliveries and %d wills are due, nothing for %v", w.Broker, v.Faults.Lost, v.Faults.WillsLost, quiet.Round(time.Second))
	}
}
