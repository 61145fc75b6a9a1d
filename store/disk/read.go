package disk

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/midgemq/midge/store"
)

// errGone is a place that is not in the log.
var errGone = errors.New("store: not there")

// fetch reads the change at p. The caller holds files and not mu.
func (st *Store) fetch(p place) (*store.Op, error) {
	b := make([]byte, p.size)
	s, inMemory := st.lookUp(p, b)
	if s == nil {
		return nil, errGone
	}
	if !inMemory {
		if s.f == nil {
			return nil, store.ErrClosed
		}
		if _, err := s.f.ReadAt(b, int64(p.off)); err != nil {
			return nil, fmt.Errorf("store: %s at %d: %w", s.name, p.off, err)
		}
	}
	payload, _ := s.open(b)
	if payload == nil {
		return nil, fmt.Errorf("store: %s at %d: %w", s.name, p.off, errFrame)
	}
	return decodeOp(payload)
}

// lookUp finds p's segment, and copies p's bytes if they are not written yet.
func (st *Store) lookUp(p place, b []byte) (*segment, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var found *segment
	for _, s := range st.segments {
		if s.number == p.segment {
			found = s
		}
	}
	if found == nil || p.size == 0 {
		return nil, false
	}
	for _, chunks := range [][]chunk{st.pending, st.flushing} {
		for i := range chunks {
			c := &chunks[i]
			at := int64(p.off) - c.off
			if c.s == found && at >= 0 && at+int64(p.size) <= int64(len(c.b)) {
				copy(b, c.b[at:])
				return found, true
			}
		}
	}
	return found, false
}

// Sessions calls yield for every session. What cannot be read of one is left
// out, and part of the error.
func (st *Store) Sessions(yield func(*store.Snapshot) bool) error {
	st.mu.Lock()
	all := make([]located[store.SessionID], 0, len(st.index.sessions))
	for id, s := range st.index.sessions {
		all = append(all, located[store.SessionID]{id, s.at})
	}
	st.mu.Unlock()
	var errs []error
	for _, l := range inOrder(all) {
		snap, err := st.readSession(l.id)
		if err != nil {
			errs = append(errs, err)
		}
		if snap != nil && !yield(snap) {
			break
		}
	}
	return errors.Join(errs...)
}

// A located thing is to be read at a place.
type located[ID any] struct {
	id ID
	at place
}

// inOrder sorts what is to be read by where it lies: a disk is read from front
// to back.
func inOrder[ID any](all []located[ID]) []located[ID] {
	slices.SortFunc(all, func(a, b located[ID]) int {
		return cmp.Or(cmp.Compare(a.at.segment, b.at.segment), cmp.Compare(a.at.off, b.at.off))
	})
	return all
}

func (st *Store) readSession(id store.SessionID) (*store.Snapshot, error) {
	st.files.RLock()
	defer st.files.RUnlock()
	snap, at, subs, ok := st.snapshot(id)
	if !ok {
		return nil, nil
	}
	op, err := st.fetch(at)
	if err != nil {
		return nil, err
	}
	said := snap.Will == nil
	snap.Session = *op.Put
	if said {
		snap.Will = nil
	}
	var errs []error
	for _, p := range subs {
		if op, err := st.fetch(p); err != nil {
			errs = append(errs, err)
		} else {
			snap.Subscriptions = append(snap.Subscriptions, *op.Subscription)
		}
	}
	return snap, errors.Join(errs...)
}

// snapshot is what the index has of a session, and where the rest is. Its will
// is nil if it has been said.
func (st *Store) snapshot(id store.SessionID) (snap *store.Snapshot, at place, subs []place, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.index.sessions[id]
	if s == nil {
		return nil, place{}, nil, false
	}
	snap = &store.Snapshot{Held: len(s.held)}
	if !s.said {
		snap.Will = new(store.Will)
	}
	for i := range s.subs {
		subs = append(subs, s.subs[i].at)
	}
	for i := range s.queue {
		e := &s.queue[i]
		if e.at.size == 0 {
			continue
		}
		snap.Last = e.seq
		if e.stage != store.Queued {
			snap.Inflight++
			continue
		}
		if snap.Queued == 0 {
			snap.First = e.seq
		}
		snap.Queued++
		snap.QueuedBytes += int(st.index.messages[e.id].at.size) + 160
	}
	return snap, s.at, subs, true
}

// Retained calls yield for every retained message.
func (st *Store) Retained(yield func(store.MessageID, *store.Message) bool) error {
	st.mu.Lock()
	all := make([]located[store.MessageID], 0, len(st.index.retained))
	for _, r := range st.index.retained {
		all = append(all, located[store.MessageID]{r.id, st.index.messages[r.id].at})
	}
	st.mu.Unlock()
	var errs []error
	for _, l := range inOrder(all) {
		st.files.RLock()
		m, err := st.message(l.id)
		st.files.RUnlock()
		if err != nil {
			errs = append(errs, err)
		} else if !yield(l.id, m) {
			break
		}
	}
	return errors.Join(errs...)
}

func (st *Store) message(id store.MessageID) (*store.Message, error) {
	st.mu.Lock()
	at := st.index.messages[id].at
	st.mu.Unlock()
	op, err := st.fetch(at)
	if err != nil {
		return nil, err
	}
	return op.Body, nil
}

// Exchanges returns what a session has open.
func (st *Store) Exchanges(id store.SessionID) (ids []store.PacketID, sent []store.Entry, err error) {
	st.files.RLock()
	defer st.files.RUnlock()
	st.mu.Lock()
	var some []entry
	if s := st.index.sessions[id]; s != nil {
		for _, h := range s.held {
			ids = append(ids, h.id)
		}
		for _, e := range s.queue {
			if e.at.size > 0 && e.stage != store.Queued {
				some = append(some, e)
			}
		}
	}
	st.mu.Unlock()
	sent, err = st.read(id, some, math.MaxInt)
	return ids, sent, err
}

// Load returns queued messages.
func (st *Store) Load(id store.SessionID, seq uint64, most, size int) ([]store.Entry, error) {
	st.files.RLock()
	defer st.files.RUnlock()
	st.mu.Lock()
	var some []entry
	if s := st.index.sessions[id]; s != nil {
		for at, _ := s.find(seq); at < len(s.queue) && len(some) < most; at++ {
			if e := s.queue[at]; e.at.size > 0 && e.stage == store.Queued {
				some = append(some, e)
			}
		}
	}
	st.mu.Unlock()
	return st.read(id, some, size)
}

// read fetches entries and their messages, none after size bytes of them.
func (st *Store) read(id store.SessionID, some []entry, size int) ([]store.Entry, error) {
	var all []store.Entry
	var errs []error
	for _, e := range some {
		if size <= 0 {
			break
		}
		k, err := st.readEntry(e)
		if err != nil && !st.has(id, e) {
			continue // done meanwhile
		}
		if err != nil {
			errs = append(errs, err)
		}
		if k.Message != nil {
			size -= k.Message.Size()
		}
		all = append(all, k)
	}
	return all, errors.Join(errs...)
}

func (st *Store) readEntry(e entry) (k store.Entry, err error) {
	op, err := st.fetch(e.at)
	if err == nil {
		k = *op.Entry
		if e.id != 0 {
			k.Message, err = st.message(e.id)
		}
	}
	k.Seq, k.MessageID, k.PacketID, k.Stage = e.seq, e.id, e.pid, e.stage
	return k, err
}

// has reports whether e is in line still.
func (st *Store) has(id store.SessionID, e entry) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.index.sessions[id]
	if s == nil {
		return false
	}
	_, found := s.find(e.seq)
	return found
}
