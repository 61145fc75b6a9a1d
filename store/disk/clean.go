package disk

import (
	"errors"
	"io/fs"
	"path"
)

// cleanStep is how many bytes the cleaner writes before it waits for the disk.
const cleanStep = 4 << 20

// fewSegments may be as short as they like: every start begins one.
const fewSegments = 8

// uncleanLocked reports whether the oldest segment should go: because most of
// the log does not count, or because it is in too many small files.
func (st *Store) uncleanLocked() bool {
	n := int64(len(st.segments))
	if n < 2 || st.closed || st.segments[n-1].number < st.cleanAt {
		return false
	}
	return st.segments[0].number < st.cleanTo || st.total > 2*st.opt.SegmentSize && st.index.live < st.total/2 ||
		n > fewSegments && st.total < n*st.opt.SegmentSize/4
}

// cleanLocked starts the cleaner if there is something for it to do.
func (st *Store) cleanLocked() {
	if !st.cleaning && st.uncleanLocked() {
		st.cleaning = true
		go st.clean()
	}
}

// clean wins space back: it writes what counts of the oldest segment once more
// at the end, waits until that is synced, and lets the file go. Oldest first,
// so that whatever says that something is no more outlives that something.
func (st *Store) clean() {
	for {
		st.mu.Lock()
		if !st.uncleanLocked() {
			st.cleaning = false
			st.mu.Unlock()
			st.work.Broadcast()
			return
		}
		s := st.segments[0]
		st.mu.Unlock()
		if !st.moveUp(s) || !st.letGo(s) {
			st.mu.Lock()
			st.cleanTo, st.cleanAt = 0, st.segments[len(st.segments)-1].number+1
			st.cleaning = false
			st.mu.Unlock()
			st.work.Broadcast()
			return
		}
	}
}

// moveUp appends what of s counts. False is a store that closes.
func (st *Store) moveUp(s *segment) bool {
	if s.unreadable != nil {
		return true
	}
	if !st.awaitSync() { // so that all of s is in its file
		return false
	}
	w, d := s.window(s.size), new(decoder)
	for budget := cleanStep; ; {
		payload, at, ok, err := w.next()
		if !ok && err == nil {
			if w.off >= s.size {
				break
			}
			if more, err := w.resync(); more && err == nil {
				continue
			}
		}
		if !ok {
			st.log.Error("store: a file has become unreadable", "dir", st.path, "file", s.name, "at", w.off, "error", err)
			st.mu.Lock()
			s.unreadable = errFrame
			st.mu.Unlock()
			break
		}
		op, err := d.decode(payload)
		if err != nil {
			continue
		}
		st.mu.Lock()
		if st.closed {
			st.mu.Unlock()
			return false
		}
		if st.index.counts(op, place{s.number, uint32(at), uint32(w.off - at)}) {
			st.appendLocked(op)
			budget -= len(payload)
		}
		st.mu.Unlock()
		if budget <= 0 {
			budget = cleanStep
			if !st.awaitSync() {
				return false
			}
		}
	}
	return st.awaitSync()
}

// awaitSync waits until everything appended is synced. False is a store that
// closes.
func (st *Store) awaitSync() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.wantSync = st.appended
	st.work.Broadcast()
	for want := st.wantSync; st.synced < want; {
		if st.closed {
			return false
		}
		st.work.Wait()
	}
	return true
}

// letGo removes the oldest segment, or sets it aside if it is damaged. The
// directory is synced before the next one may go: that one may say that
// something in this one is no more.
func (st *Store) letGo(s *segment) bool {
	st.files.Lock()
	defer st.files.Unlock()
	var err error
	if st.isDamaged(s) {
		err = st.dir.Rename(s.name, path.Join(st.asideName(), s.name))
	} else {
		err = st.dir.Remove(s.name)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) { // gone already, if only the sync had failed
		err = st.dir.Sync()
	}
	if err != nil {
		st.log.Error("store: cannot remove a file that is not needed any more", "dir", st.path, "file", s.name, "error", err)
		return false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.segments = st.segments[1:]
	st.total -= s.size
	s.f.Close()
	s.f = nil
	return true
}

// isDamaged reports whether s is worth keeping for whoever wants to look at it.
func (st *Store) isDamaged(s *segment) bool {
	if s.unreadable != nil {
		return true
	}
	for _, d := range st.found.Damage {
		if d.File == s.name {
			return true
		}
	}
	return false
}

func (st *Store) asideName() string {
	if st.found.Aside != "" {
		return st.found.Aside
	}
	return "damaged"
}
