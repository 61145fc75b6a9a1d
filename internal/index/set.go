package index

import "sync/atomic"

// A set is the values under one filter, rarely more than one. Readers see the
// first and a prefix of an array that only grows; what is removed is marked,
// and left behind with the set once it is the larger part. So a hundred
// thousand may come to one filter, and go, at a price that does not grow; until
// then, the index keeps removed values from being collected.
type set[V comparable] struct {
	first V                          // immutable
	gone  uint32                     // first is; atomic
	dead  uint32                     // how many are gone; writers only
	rest  atomic.Pointer[[]entry[V]] // whoever came later
	place map[V]int                  // where in rest each one is, once there are many; writers only
}

type entry[V comparable] struct {
	v    V
	gone uint32 // atomic
}

// manyMembers is where looking for one stops being cheaper than a map.
const manyMembers = 16

func (s *set[V]) appendTo(dst []V) []V {
	if s == nil {
		return dst
	}
	if atomic.LoadUint32(&s.gone) == 0 {
		dst = append(dst, s.first)
	}
	rest := s.list()
	for i := range rest {
		if atomic.LoadUint32(&rest[i].gone) == 0 {
			dst = append(dst, rest[i].v)
		}
	}
	return dst
}

func (s *set[V]) list() []entry[V] {
	if p := s.rest.Load(); p != nil {
		return *p
	}
	return nil
}

// find returns the mark of v, nil if v is not there.
func (s *set[V]) find(v V) *uint32 {
	if s.gone == 0 && s.first == v {
		return &s.gone
	}
	rest := s.list()
	if s.place != nil {
		if i, ok := s.place[v]; ok {
			return &rest[i].gone
		}
		return nil
	}
	for i := range rest {
		if rest[i].gone == 0 && rest[i].v == v {
			return &rest[i].gone
		}
	}
	return nil
}

// add reports whether v was not there yet.
func (s *set[V]) add(v V) bool {
	if s.find(v) != nil {
		return false
	}
	rest := append(s.list(), entry[V]{v: v}) // beyond what any reader looks at
	s.rest.Store(&rest)
	switch {
	case s.place != nil:
		s.place[v] = len(rest) - 1
	case len(rest) > manyMembers:
		s.chart(rest)
	}
	return true
}

func (s *set[V]) chart(rest []entry[V]) {
	s.place = make(map[V]int, len(rest))
	for i, e := range rest {
		if e.gone == 0 {
			s.place[e.v] = i
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

// swept returns the set to go on with: s itself while most of it lives, one
// without the dead when not, nil when nothing lives.
func (s *set[V]) swept() *set[V] {
	all := s.list()
	n := 1 + len(all) - int(s.dead)
	switch {
	case n == 0:
		return nil
	case int(s.dead) <= n:
		return s
	}
	living := make([]entry[V], 0, n)
	if s.gone == 0 {
		living = append(living, entry[V]{v: s.first})
	}
	for _, e := range all {
		if e.gone == 0 {
			living = append(living, e)
		}
	}
	fresh := &set[V]{first: living[0].v}
	if rest := living[1:]; len(rest) > 0 {
		fresh.rest.Store(&rest)
		if len(rest) > manyMembers {
			fresh.chart(rest)
		}
	}
	return fresh
}
