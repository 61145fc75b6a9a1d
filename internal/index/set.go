package index

import "sync/atomic"

// An Entry is a value's place under a filter, in the memory of whoever adds it:
// beside the value, whoever finds the one has the other at hand. A filter has
// rarely more than one.
type Entry[V comparable] struct {
	Value V // immutable while the entry is in a tree
	set   *set[V]
}

// appendTo appends the values under the filter that leads to e.
func (e *Entry[V]) appendTo(dst []V) []V {
	if e == nil {
		return dst
	}
	if e.set != nil {
		return e.set.appendTo(dst)
	}
	return append(dst, e.Value)
}

// with adds v, and returns the entry to go on with: nil if v was there.
func (e *Entry[V]) with(v *Entry[V]) *Entry[V] {
	switch {
	case e == nil:
		return v
	case e.set != nil:
		if !e.set.add(v.Value) {
			return nil
		}
		return e
	case e.Value == v.Value:
		return nil
	}
	both := &Entry[V]{set: new(set[V])}
	both.set.add(e.Value)
	both.set.add(v.Value)
	return both
}

// without takes v out, and returns the entry to go on with: nil if nothing is
// left. False is a v that was not there.
func (e *Entry[V]) without(v V) (*Entry[V], bool) {
	switch {
	case e == nil, e.set == nil && e.Value != v:
		return e, false
	case e.set == nil:
		return nil, true
	case !e.set.remove(v):
		return e, false
	}
	next := e.set.swept()
	switch rest := next.list(); {
	case next == e.set:
		return e, true
	case len(rest) == 0:
		return nil, true
	case len(rest) == 1:
		return &Entry[V]{Value: rest[0].v}, true
	}
	return &Entry[V]{set: next}, true
}

// A set is the values under a filter that has, or had, more than one. Readers
// see a prefix of an array that only grows; what is removed is marked, and left
// behind with the set once it is the larger part. So a hundred thousand may come
// to one filter, and go, at a price that does not grow; until then, the index
// keeps removed values from being collected.
type set[V comparable] struct {
	members atomic.Pointer[[]member[V]]
	dead    int       // how many are gone; writers only
	place   map[V]int // where each one is, once there are many; writers only
}

type member[V comparable] struct {
	v    V
	gone uint32 // atomic
}

// manyMembers is where looking for one stops being cheaper than a map.
const manyMembers = 16

func (s *set[V]) appendTo(dst []V) []V {
	all := s.list()
	for i := range all {
		if atomic.LoadUint32(&all[i].gone) == 0 {
			dst = append(dst, all[i].v)
		}
	}
	return dst
}

func (s *set[V]) list() []member[V] {
	if p := s.members.Load(); p != nil {
		return *p
	}
	return nil
}

// find returns the mark of v, nil if v is not there.
func (s *set[V]) find(v V) *uint32 {
	all := s.list()
	if s.place != nil {
		if i, ok := s.place[v]; ok {
			return &all[i].gone
		}
		return nil
	}
	for i := range all {
		if all[i].gone == 0 && all[i].v == v {
			return &all[i].gone
		}
	}
	return nil
}

// add reports whether v was not there yet.
func (s *set[V]) add(v V) bool {
	if s.find(v) != nil {
		return false
	}
	all := append(s.list(), member[V]{v: v}) // beyond what any reader looks at
	s.members.Store(&all)
	switch {
	case s.place != nil:
		s.place[v] = len(all) - 1
	case len(all) > manyMembers:
		s.chart(all)
	}
	return true
}

func (s *set[V]) chart(all []member[V]) {
	s.place = make(map[V]int, len(all))
	for i, m := range all {
		if m.gone == 0 {
			s.place[m.v] = i
		}
	}
}

// remove reports whether v was there.
func (s *set[V]) remove(v V) bool {
	mark := s.find(v)
	if mark == nil {
		return false
	}
	atomic.StoreUint32(mark, 1)
	s.dead++
	delete(s.place, v)
	return true
}

// swept returns the set to go on with: s itself while most of it lives, and
// more than one, otherwise another without the dead.
func (s *set[V]) swept() *set[V] {
	all := s.list()
	n := len(all) - s.dead
	if s.dead <= n && n > 1 {
		return s
	}
	rest := make([]member[V], 0, n)
	for _, m := range all {
		if m.gone == 0 {
			rest = append(rest, m)
		}
	}
	fresh := new(set[V])
	fresh.members.Store(&rest)
	if len(rest) > manyMembers {
		fresh.chart(rest)
	}
	return fresh
}
