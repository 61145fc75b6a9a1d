package disk

import (
	"cmp"
	"hash/maphash"
	"slices"

	"github.com/midgemq/midge/store"
)

// A place is where in the log a change lies.
type place struct {
	segment uint32
	off     uint32
	size    uint32 // of the frame
}

// An index is what the log amounts to: for everything that still counts, where
// it lies. Names are kept as hashes under a secret seed, which costs a clash
// in 2^64 and saves their bytes.
type index struct {
	seed     maphash.Seed
	sessions map[store.SessionID]*session
	messages map[store.MessageID]message
	retained map[uint64]retained // by topic
	session  store.SessionID     // the largest seen
	message  store.MessageID
	live     int64 // bytes of frames that count
	replay   bool  // the log is being read; see find
}

type session struct {
	at    place
	said  bool    // its will, since at was written
	subs  []named // by hash
	held  []held
	queue []entry // by seq; done ones at the front are cut off, others stay as holes
	done  int     // holes
}

type named struct {
	hash uint64
	at   place
}

type held struct {
	id store.PacketID
	at place
}

type entry struct {
	seq   uint64
	id    store.MessageID
	at    place // zero: done
	pid   store.PacketID
	stage store.Stage
}

type message struct {
	at        place
	refs      int32 // entries and the retained one
	committed bool  // kept for refs alone
}

type retained struct {
	id store.MessageID
	at place
}

func newIndex() *index {
	return &index{
		seed: maphash.MakeSeed(), sessions: map[store.SessionID]*session{},
		messages: map[store.MessageID]message{}, retained: map[uint64]retained{},
	}
}

func (x *index) hash(s string) uint64 { return maphash.String(x.seed, s) }

// put notes that at counts from here on, and old does not.
func (x *index) put(old *place, at place) {
	x.live += int64(at.size) - int64(old.size)
	*old = at
}

// The cleaner writes what counts once more at the end, so that while the log is
// read a session or a message may come behind what refers to it. Both are made
// at the first mention then, without a place; settle takes away what got none.

func (x *index) findSession(id store.SessionID) *session {
	s := x.sessions[id]
	if s == nil && x.replay && id != 0 {
		s = new(session)
		x.sessions[id] = s
	}
	return s
}

func (x *index) findMessage(id store.MessageID) (message, bool) {
	m, ok := x.messages[id]
	return m, ok || x.replay && id != 0
}

// apply is what op, which lies at at, does to the index.
func (x *index) apply(op *store.Op, at place) {
	x.session = max(x.session, op.Session)
	switch op.Kind {
	case kindMark:
	case store.PutMessage, kindMoved:
		x.message = max(x.message, op.Message)
		m := x.messages[op.Message]
		x.put(&m.at, at)
		m.committed = m.committed || op.Kind == kindMoved
		x.messages[op.Message] = m
	case store.Retain:
		x.retain(op, at)
	case store.Unretain:
		h := x.hash(op.Filter)
		r := x.retained[h]
		x.put(&r.at, place{})
		delete(x.retained, h)
		x.drop(r.id)
	case store.PutSession:
		x.session = max(x.session, op.Put.ID)
		s := x.sessions[op.Put.ID]
		if s == nil {
			s = new(session)
			x.sessions[op.Put.ID] = s
		}
		x.put(&s.at, at)
		s.said = false
	default:
		if op.Kind == store.Commit {
			x.commit(op.Message)
		}
		if s := x.findSession(op.Session); s != nil {
			x.change(s, op, at)
		}
	}
}

func (x *index) retain(op *store.Op, at place) {
	m, ok := x.findMessage(op.Message)
	if !ok {
		return
	}
	x.message = max(x.message, op.Message)
	h := x.hash(op.Filter)
	r := x.retained[h]
	if r.id != op.Message {
		m.refs++
		x.messages[op.Message] = m
		x.drop(r.id)
	}
	x.put(&r.at, at)
	r.id = op.Message
	x.retained[h] = r
}

func (x *index) commit(id store.MessageID) {
	if m, ok := x.findMessage(id); ok {
		x.message = max(x.message, id)
		m.committed = true
		x.keep(id, m)
	}
}

func (x *index) drop(id store.MessageID) {
	if m, ok := x.messages[id]; ok {
		m.refs--
		x.keep(id, m)
	}
}

// keep notes m, or forgets it if it is nobody's any more.
func (x *index) keep(id store.MessageID, m message) {
	if m.refs > 0 || !m.committed || x.replay {
		x.messages[id] = m
		return
	}
	x.put(&m.at, place{})
	delete(x.messages, id)
}

// change applies what concerns one session.
func (x *index) change(s *session, op *store.Op, at place) {
	switch op.Kind {
	case store.EndSession:
		x.end(s)
		delete(x.sessions, op.Session)
	case store.PutSubscription, store.EndSubscription:
		x.subscribe(s, op, at)
	case store.Queue:
		x.queue(s, op.Entry, at)
	case store.Commit:
		s.said = s.said || op.WillSaid
		if op.PacketID != 0 {
			x.hold(s, op.PacketID, at)
		}
		if op.Seq != 0 {
			x.finish(s, op.Seq)
		}
	case store.Advance:
		i, found := s.find(op.Seq)
		if !found {
			return
		}
		e := &s.queue[i]
		e.pid, e.stage = op.PacketID, op.Stage
		if e.stage == store.Released {
			id := e.id
			e.id = 0
			x.drop(id)
		}
	case store.Done:
		x.finish(s, op.Seq)
	case store.Release:
		if i := s.holds(op.PacketID); i >= 0 {
			x.put(&s.held[i].at, place{})
			s.held = slices.Delete(s.held, i, i+1)
		}
	}
}

func (x *index) end(s *session) {
	x.put(&s.at, place{})
	for i := range s.subs {
		x.put(&s.subs[i].at, place{})
	}
	for i := range s.held {
		x.put(&s.held[i].at, place{})
	}
	for i := range s.queue {
		x.put(&s.queue[i].at, place{})
		x.drop(s.queue[i].id)
	}
}

func (x *index) subscribe(s *session, op *store.Op, at place) {
	filter := op.Filter
	if op.Subscription != nil {
		filter = op.Subscription.Filter
	}
	h := x.hash(filter)
	i, found := slices.BinarySearchFunc(s.subs, h, func(n named, h uint64) int { return cmp.Compare(n.hash, h) })
	switch {
	case op.Kind == store.EndSubscription && found:
		x.put(&s.subs[i].at, place{})
		s.subs = slices.Delete(s.subs, i, i+1)
	case op.Kind == store.PutSubscription:
		if !found {
			s.subs = slices.Insert(s.subs, i, named{hash: h})
		}
		x.put(&s.subs[i].at, at)
	}
}

func (s *session) find(seq uint64) (int, bool) {
	i, found := slices.BinarySearchFunc(s.queue, seq, func(e entry, seq uint64) int { return cmp.Compare(e.seq, seq) })
	return i, found && s.queue[i].at.size > 0
}

func (x *index) queue(s *session, e *store.Entry, at place) {
	i, found := s.find(e.Seq)
	if found { // written once more by the cleaner
		x.put(&s.queue[i].at, at)
		return
	}
	m, ok := x.findMessage(e.MessageID)
	if !ok && e.MessageID != 0 {
		return
	}
	k := entry{seq: e.Seq, id: e.MessageID, pid: e.PacketID, stage: e.Stage}
	if ok {
		m.refs++
		x.messages[e.MessageID] = m
	}
	if k.stage == store.Queued && k.pid != 0 {
		k.stage = store.Sent
	}
	x.put(&k.at, at)
	if i < len(s.queue) && s.queue[i].seq == e.Seq { // a hole: the log is read, and the cleaner had been here
		s.queue[i] = k
		s.done--
		return
	}
	s.queue = slices.Insert(s.queue, i, k)
}

func (x *index) finish(s *session, seq uint64) {
	i, found := s.find(seq)
	if !found {
		return
	}
	e := &s.queue[i]
	x.put(&e.at, place{})
	id := e.id
	e.id = 0
	x.drop(id)
	s.done++
	for len(s.queue) > 0 && s.queue[0].at.size == 0 {
		s.queue = s.queue[1:]
		s.done--
	}
	if s.done > 16 && s.done > len(s.queue)/2 {
		s.queue = slices.DeleteFunc(s.queue, func(e entry) bool { return e.at.size == 0 })
		s.done = 0
	}
	if len(s.queue) == 0 {
		s.queue = nil
	}
}

func (s *session) holds(id store.PacketID) int {
	return slices.IndexFunc(s.held, func(h held) bool { return h.id == id })
}

func (x *index) hold(s *session, id store.PacketID, at place) {
	i := s.holds(id)
	if i < 0 {
		i = len(s.held)
		s.held = append(s.held, held{id: id})
	}
	x.put(&s.held[i].at, at)
}

// settle ends the reading of the log: what has no place of its own is not
// there, entries of messages that were not committed never were, and messages
// nobody refers to go. It returns how many entries and retained messages had
// lost their message to damage, how many sessions themselves, and what has to
// be said so that no entry comes back when the log is read the next time.
func (x *index) settle() (lost, gone int, tombs []store.Op) {
	for id, s := range x.sessions {
		if s.at.size == 0 {
			if len(s.subs)+len(s.queue) > 0 {
				gone++
			}
			x.end(s)
			delete(x.sessions, id)
			continue
		}
		s.queue = slices.DeleteFunc(s.queue, func(e entry) bool {
			m := x.messages[e.id]
			if e.at.size > 0 && (e.id == 0 || m.at.size > 0 && m.committed) {
				return false
			}
			if e.at.size > 0 && m.committed {
				lost++
			}
			if e.at.size > 0 {
				tombs = append(tombs, store.Op{Kind: store.Done, Session: id, Seq: e.seq})
			}
			x.live -= int64(e.at.size)
			x.drop(e.id)
			return true
		})
		s.done = 0
	}
	for h, r := range x.retained {
		if x.messages[r.id].at.size == 0 {
			lost++
			x.live -= int64(r.at.size)
			x.drop(r.id)
			delete(x.retained, h)
		}
	}
	x.replay = false
	for id, m := range x.messages {
		m.committed = true
		x.keep(id, m)
	}
	return lost, gone, tombs
}

// counts reports whether op at at is what the index refers to, and makes op
// say what has become of it since.
func (x *index) counts(op *store.Op, at place) bool {
	switch op.Kind {
	case kindMark, store.Unretain, store.EndSession, store.EndSubscription, store.Advance, store.Done, store.Release:
		return false
	case store.PutMessage, kindMoved:
		m := x.messages[op.Message]
		if m.committed {
			op.Kind = kindMoved
		}
		return m.at == at
	case store.Retain:
		return x.retained[x.hash(op.Filter)].at == at
	}
	s := x.sessions[op.Session]
	if s == nil {
		return false
	}
	switch op.Kind {
	case store.PutSession:
		if s.said {
			op.Put.Will = nil
		}
		return s.at == at
	case store.PutSubscription:
		h := x.hash(op.Subscription.Filter)
		i, found := slices.BinarySearchFunc(s.subs, h, func(n named, h uint64) int { return cmp.Compare(n.hash, h) })
		return found && s.subs[i].at == at
	case store.Queue:
		i, found := s.find(op.Entry.Seq)
		if !found || s.queue[i].at != at {
			return false
		}
		e := &s.queue[i]
		op.Entry.MessageID, op.Entry.PacketID, op.Entry.Stage = e.id, e.pid, e.stage
		return true
	case store.Commit:
		i := s.holds(op.PacketID)
		op.Message, op.Seq, op.WillSaid = 0, 0, false
		return op.PacketID != 0 && i >= 0 && s.held[i].at == at
	}
	return false
}
