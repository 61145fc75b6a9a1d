package disk

import (
	"errors"
	"time"

	"github.com/midgemq/midge/store"
)

// write is the writer: it takes what has been appended, writes it, and syncs
// it as asked for. What fails stays with it and is written again, at the same
// place: after a failed sync nobody knows what the disk has.
func (st *Store) write() {
	defer close(st.ended)
	if st.opt.Durability == Interval {
		ticker := time.NewTicker(st.opt.Interval)
		stop := make(chan struct{})
		defer close(stop)
		defer ticker.Stop()
		go st.ticks(ticker.C, stop)
	}
	for st.takeTurn() {
	}
	st.mu.Lock()
	for st.cleaning {
		st.work.Wait()
	}
	st.mu.Unlock()
}

// ticks says when Interval is over.
func (st *Store) ticks(c <-chan time.Time, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-c:
			st.mu.Lock()
			st.tick = true
			st.mu.Unlock()
			st.work.Broadcast()
		}
	}
}

// takeTurn writes one batch. False is the end.
func (st *Store) takeTurn() bool {
	st.mu.Lock()
	for len(st.pending) == 0 && len(st.flushing) == 0 && !st.closed && !st.mustSyncLocked() {
		st.tick = false
		st.work.Wait()
	}
	st.flushing = append(st.flushing, st.pending...)
	st.pending = nil
	sync := st.mustSyncLocked()
	st.tick = false
	if len(st.flushing) == 0 && !sync {
		st.mu.Unlock()
		return false // closed
	}
	upto, all, last := st.appended, st.flushing, st.segments[len(st.segments)-1]
	end := place{segment: last.number, off: uint32(last.size)}
	failing := st.err
	st.mu.Unlock()

	err := st.flush(all, last, sync)
	if err != nil {
		return st.failed(err, failing != nil)
	}
	st.mu.Lock()
	st.reuseLocked(all)
	st.flushing = nil
	if st.err != nil {
		st.err = nil
		st.log.Info("store: the disk works again", "dir", st.path)
	}
	if sync {
		st.syncs++
		st.synced, st.safe = upto, end
		st.work.Broadcast() // the cleaner
	}
	var due []waiter
	if st.opt.Durability == Always {
		st.durable = upto
		due = st.dueLocked(upto)
	}
	st.mu.Unlock()
	for _, w := range due {
		w.fn()
	}
	return true
}

// maxSpare is the largest buffer kept for the next batch, bytes.
const maxSpare = 4 << 20

// reuseLocked keeps one buffer of chunks that are written: growing one anew for
// every batch is half the work of appending.
func (st *Store) reuseLocked(written []chunk) {
	for i := range written {
		if b := written[i].b; cap(b) <= maxSpare && cap(b) > cap(st.spare) {
			st.spare = b[:0]
		}
	}
}

// mustSyncLocked says whether this turn has to sync.
func (st *Store) mustSyncLocked() bool {
	if st.synced == st.appended {
		return false
	}
	return st.opt.Durability == Always || st.closed || st.tick || st.wantSync > st.synced
}

// dueLocked takes out who waits for nothing beyond upto.
func (st *Store) dueLocked(upto store.Position) (due []waiter) {
	rest := st.waiters[:0]
	for _, w := range st.waiters {
		if w.pos <= upto {
			due = append(due, w)
		} else {
			rest = append(rest, w)
		}
	}
	clear(st.waiters[len(rest):])
	st.waiters = rest
	return due
}

// flush writes the chunks to their segments.
func (st *Store) flush(all []chunk, last *segment, sync bool) error {
	for i := range all {
		c := &all[i]
		if c.off == headerSize {
			if err := st.create(c.s); err != nil {
				return err
			}
		}
		if _, err := c.s.f.WriteAt(c.b, c.off); err != nil {
			return err
		}
	}
	if sync && last.f != nil {
		return last.f.Sync()
	}
	return nil
}

// create makes a segment's file. Its header is synced before anything comes
// behind it: a file with more than a header has a good one, or is damaged.
func (st *Store) create(s *segment) error {
	f := s.f
	if f == nil {
		if err := st.sealed(s.number - 1); err != nil {
			return err
		}
		var err error
		if f, err = st.dir.Open(s.name, true); err != nil {
			return err
		}
		st.mu.Lock()
		s.f = f
		st.mu.Unlock()
	}
	if _, err := f.WriteAt(s.header(), 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return st.dir.Sync()
}

// sealed syncs the segment before a new one: only the last may have a torn end.
func (st *Store) sealed(n uint32) error {
	st.mu.Lock()
	var f file
	for _, s := range st.segments {
		if s.number == n {
			f = s.f
		}
	}
	st.mu.Unlock()
	if f == nil {
		return nil
	}
	return f.Sync()
}

// failed notes why the disk took nothing and waits for a while. False is a
// store that is to be closed.
func (st *Store) failed(err error, known bool) bool {
	if !known {
		st.log.Error("store: the disk takes nothing; acknowledgements wait", "dir", st.path, "error", err)
	}
	t := time.AfterFunc(st.opt.Retry, func() {
		st.mu.Lock()
		st.tick = true
		st.mu.Unlock()
		st.work.Broadcast()
	})
	defer t.Stop()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed && known {
		return false // it has been tried again since Close
	}
	st.err = errors.Join(errStuck, err)
	st.tick = false
	for !st.tick && !st.closed {
		st.work.Wait()
	}
	return true
}

// errStuck is what Store.Err wraps.
var errStuck = errors.New("store: the disk takes nothing")
