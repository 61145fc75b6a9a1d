// Package memory is a store without files: what it holds ends with the
// process. It is for tests, for brokers that come and go inside one program,
// and the plain reference that other stores are compared with.
package memory

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/midgemq/midge/store"
)

// A Store keeps everything in maps. The zero value is not ready; use New.
type Store struct {
	mu       sync.Mutex
	sessions map[store.SessionID]*session // guarded by mu
	messages map[store.MessageID]*message // guarded by mu
	retained map[string]store.MessageID   // guarded by mu
	position store.Position               // guarded by mu
	session  store.SessionID              // guarded by mu: the largest seen
	message  store.MessageID              // guarded by mu
}

type session struct {
	store.Session
	subs  map[string]store.Subscription
	held  []store.PacketID
	queue []store.Entry // by Seq
}

type message struct {
	body store.Message
	refs int // entries, the retained map, and 1 until Commit
	open bool
}

// New returns an empty store.
func New() *Store {
	return &Store{
		sessions: map[store.SessionID]*session{},
		messages: map[store.MessageID]*message{},
		retained: map[string]store.MessageID{},
	}
}

var _ store.Store = (*Store)(nil)

// Append takes a change; see [store.Store].
func (st *Store) Append(op *store.Op) store.Position {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.position++
	switch op.Kind {
	case store.PutMessage:
		st.message = max(st.message, op.Message)
		st.messages[op.Message] = &message{body: copyMessage(op.Body), refs: 1, open: true}
	case store.Retain:
		if m := st.messages[op.Message]; m != nil {
			m.refs++
			st.drop(st.retained[op.Filter])
			st.retained[op.Filter] = op.Message
		}
	case store.Unretain:
		st.drop(st.retained[op.Filter])
		delete(st.retained, op.Filter)
	case store.PutSession:
		st.putSession(op.Put)
	default:
		st.change(st.sessions[op.Session], op)
	}
	return st.position
}

func (st *Store) putSession(put *store.Session) {
	st.session = max(st.session, put.ID)
	s := st.sessions[put.ID]
	if s == nil {
		s = &session{subs: map[string]store.Subscription{}}
		st.sessions[put.ID] = s
	}
	s.Session = *put
	if put.Will != nil {
		w := *put.Will
		w.Body = copyMessage(&w.Body)
		s.Will = &w
	}
}

// change applies what concerns one session, which may be nil.
func (st *Store) change(s *session, op *store.Op) {
	if op.Kind == store.Commit {
		if m := st.messages[op.Message]; m != nil && m.open {
			m.open = false
			st.drop(op.Message)
		}
	}
	if s == nil {
		return
	}
	at, found := s.find(op.Seq)
	switch op.Kind {
	case store.EndSession:
		for i := range s.queue {
			st.drop(s.queue[i].MessageID)
		}
		delete(st.sessions, op.Session)
	case store.PutSubscription:
		s.subs[op.Subscription.Filter] = *op.Subscription
	case store.EndSubscription:
		delete(s.subs, op.Filter)
	case store.Queue:
		st.queue(s, op.Entry)
	case store.Commit:
		if op.WillSaid {
			s.Will = nil
		}
		if op.PacketID != 0 && !slices.Contains(s.held, op.PacketID) {
			s.held = append(s.held, op.PacketID)
		}
		st.finish(s, op.Seq)
	case store.Release:
		s.held = slices.DeleteFunc(s.held, func(id store.PacketID) bool { return id == op.PacketID })
	case store.Advance:
		if found {
			e := &s.queue[at]
			e.Stage, e.PacketID = op.Stage, op.PacketID
			if e.Stage == store.Released {
				st.drop(e.MessageID)
				e.MessageID = 0
			}
		}
	case store.Done:
		st.finish(s, op.Seq)
	}
}

func (st *Store) finish(s *session, seq uint64) {
	if at, found := s.find(seq); found {
		st.drop(s.queue[at].MessageID)
		s.queue = slices.Delete(s.queue, at, at+1)
	}
}

func (st *Store) queue(s *session, e *store.Entry) {
	m := st.messages[e.MessageID]
	at, found := s.find(e.Seq)
	if m == nil || found {
		return
	}
	m.refs++
	k := *e
	k.Message, k.IDs = nil, slices.Clone(e.IDs)
	if k.PacketID != 0 {
		k.Stage = store.Sent
	}
	s.queue = slices.Insert(s.queue, at, k)
}

func (s *session) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(s.queue, seq, func(e store.Entry, seq uint64) int { return cmp.Compare(e.Seq, seq) })
}

func (st *Store) drop(id store.MessageID) {
	if m := st.messages[id]; m != nil {
		if m.refs--; m.refs == 0 {
			delete(st.messages, id)
		}
	}
}

func copyMessage(m *store.Message) store.Message {
	k := *m
	k.Topic, k.Payload, k.Properties = slices.Clone(m.Topic), slices.Clone(m.Payload), slices.Clone(m.Properties)
	return k
}

// Durable is always Settled: nothing becomes any safer here.
func (st *Store) Durable() store.Position { return store.Settled }

// After calls fn in a goroutine of its own.
func (st *Store) After(_ store.Position, fn func()) { go fn() }

// Err is nil.
func (st *Store) Err() error { return nil }

// Last returns the largest numbers seen.
func (st *Store) Last() (store.SessionID, store.MessageID) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.session, st.message
}

// Messages is how many messages are kept, whoever refers to them.
func (st *Store) Messages() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.messages)
}

// Sessions calls yield for every session.
func (st *Store) Sessions(yield func(*store.Snapshot) bool) error {
	st.mu.Lock()
	all := make([]store.Snapshot, 0, len(st.sessions))
	for _, s := range st.sessions {
		all = append(all, st.snapshot(s))
	}
	st.mu.Unlock()
	for i := range all {
		if !yield(&all[i]) {
			break
		}
	}
	return nil
}

func (st *Store) snapshot(s *session) store.Snapshot {
	snap := store.Snapshot{
		Session: s.Session, Subscriptions: slices.Collect(maps.Values(s.subs)), Held: len(s.held),
	}
	for i := range s.queue {
		e := &s.queue[i]
		snap.Last = e.Seq
		if e.Stage != store.Queued {
			snap.Inflight++
			continue
		}
		if snap.Queued == 0 {
			snap.First = e.Seq
		}
		snap.Queued++
		snap.QueuedBytes += st.messages[e.MessageID].body.Size()
	}
	return snap
}

// Retained calls yield for every retained message.
func (st *Store) Retained(yield func(store.MessageID, *store.Message) bool) error {
	st.mu.Lock()
	all := map[store.MessageID]*store.Message{}
	for _, id := range st.retained {
		all[id] = &st.messages[id].body
	}
	st.mu.Unlock()
	for id, m := range all {
		if !yield(id, m) {
			break
		}
	}
	return nil
}

// Exchanges returns what a session has open.
func (st *Store) Exchanges(id store.SessionID) (held []store.PacketID, sent []store.Entry, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if s := st.sessions[id]; s != nil {
		held = slices.Clone(s.held)
		for i := range s.queue {
			if s.queue[i].Stage != store.Queued {
				sent = append(sent, st.entry(&s.queue[i]))
			}
		}
	}
	return held, sent, nil
}

func (st *Store) entry(e *store.Entry) store.Entry {
	k := *e
	if m := st.messages[e.MessageID]; m != nil {
		k.Message = &m.body
	}
	return k
}

// Load returns queued messages.
func (st *Store) Load(id store.SessionID, seq uint64, most, size int) (all []store.Entry, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.sessions[id]
	if s == nil {
		return nil, nil
	}
	for at, _ := s.find(seq); at < len(s.queue) && len(all) < most && size > 0; at++ {
		if s.queue[at].Stage == store.Queued {
			e := st.entry(&s.queue[at])
			size -= e.Message.Size()
			all = append(all, e)
		}
	}
	return all, nil
}

// Close ends the use of the store by one broker; it can be used by the next.
// What was not committed is dropped, as a store on disk does after a failure.
func (st *Store) Close() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, s := range st.sessions {
		s.queue = slices.DeleteFunc(s.queue, func(e store.Entry) bool {
			m := st.messages[e.MessageID]
			return m != nil && m.open
		})
	}
	for id, m := range st.messages {
		if !m.open {
			continue
		}
		m.open, m.refs = false, 0
		for _, kept := range st.retained {
			if kept == id {
				m.refs++
			}
		}
		if m.refs == 0 {
			delete(st.messages, id)
		}
	}
	return nil
}
