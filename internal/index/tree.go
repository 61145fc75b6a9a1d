package index

import (
	"sync"
	"sync/atomic"
)

// A Tree maps topic filters to sets of V. Readers never wait; writers take
// turns.
type Tree[V comparable] struct {
	root    node[set[V]]
	version atomic.Uint64
	mu      sync.Mutex // writers
}

// NewTree returns an empty tree.
func NewTree[V comparable]() *Tree[V] { return new(Tree[V]) }

// Version changes after every Add and Remove that changed something, once the
// change can be seen. So a Match that began after version v was read is still
// what Match would return while Version is v.
func (t *Tree[V]) Version() uint64 { return t.version.Load() }

// Add puts v under filter. A filter is taken as it is; check it first.
func (t *Tree[V]) Add(filter string, v V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.root.grow(filter, true)
	s := n.val.Load()
	if s == nil {
		s = new(set[V])
		s.add(v)
		n.val.Store(s)
	} else {
		s.add(v)
	}
	t.version.Add(1)
}

// Remove takes v from under filter and reports whether it was there.
func (t *Tree[V]) Remove(filter string, v V) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.root.find(filter, true)
	if n == nil {
		return false
	}
	s := n.val.Load()
	if s == nil || !s.remove(v) {
		return false
	}
	if s.empty() {
		n.val.Store(nil)
		n.prune()
	}
	t.version.Add(1)
	return true
}

// Match appends to dst every value under a filter that matches name, and
// allocates only if dst has no room. A value under several matching filters
// comes several times. The work is bounded by the levels of name times the
// nodes at each, which is where + multiplies.
func (t *Tree[V]) Match(name []byte, dst []V) []V {
	// [MQTT-4.7.2-1] wildcards in the first level pass $-topics over.
	wild := len(name) == 0 || name[0] != '$'
	return match(&t.root, name, wild, dst)
}

func match[V comparable](n *node[set[V]], name []byte, wild bool, dst []V) []V {
	if wild {
		if h := n.hash.Load(); h != nil {
			dst = h.val.Load().appendTo(dst)
		}
	}
	level, rest, more := name, []byte(nil), false
	for i, c := range name {
		if c == '/' {
			level, rest, more = name[:i], name[i+1:], true
			break
		}
	}
	if c := n.child(level); c != nil {
		dst = descend(c, rest, more, dst)
	}
	if wild {
		if c := n.plus.Load(); c != nil {
			dst = descend(c, rest, more, dst)
		}
	}
	return dst
}

func descend[V comparable](c *node[set[V]], rest []byte, more bool, dst []V) []V {
	if more {
		return match(c, rest, true, dst)
	}
	dst = c.val.Load().appendTo(dst)
	if h := c.hash.Load(); h != nil { // "a/#" matches "a"
		dst = h.val.Load().appendTo(dst)
	}
	return dst
}

// A set is the values under one filter. Readers see a prefix of an array that
// only grows; what is removed is marked, and swept out in a new array once it
// is the larger part. So a hundred thousand may come to one filter, and go.
type set[V comparable] struct {
	members atomic.Pointer[[]entry[V]]
	place   map[V]int // where each one is, once there are many; writers only
	dead    int       // writers only
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
	all := *s.members.Load()
	for i := range all {
		if atomic.LoadUint32(&all[i].gone) == 0 {
			dst = append(dst, all[i].v)
		}
	}
	return dst
}

func (s *set[V]) list() []entry[V] {
	if p := s.members.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *set[V]) empty() bool { return len(s.list()) == s.dead }

func (s *set[V]) find(v V) int {
	if s.place != nil {
		if i, ok := s.place[v]; ok {
			return i
		}
		return -1
	}
	for i, e := range s.list() {
		if e.v == v && e.gone == 0 {
			return i
		}
	}
	return -1
}

func (s *set[V]) add(v V) {
	if s.find(v) >= 0 {
		return
	}
	all := append(s.list(), entry[V]{v: v}) // beyond what any reader looks at
	s.members.Store(&all)
	switch {
	case s.place != nil:
		s.place[v] = len(all) - 1
	case len(all) > manyMembers:
		s.chart(all)
	}
}

func (s *set[V]) chart(all []entry[V]) {
	s.place = nil
	if len(all) <= manyMembers {
		return
	}
	s.place = make(map[V]int, len(all))
	for i, e := range all {
		if e.gone == 0 {
			s.place[e.v] = i
		}
	}
}

func (s *set[V]) remove(v V) bool {
	i := s.find(v)
	if i < 0 {
		return false
	}
	all := s.list()
	atomic.StoreUint32(&all[i].gone, 1)
	s.dead++
	if s.place != nil {
		delete(s.place, v)
	}
	if s.dead*2 > len(all) {
		living := make([]entry[V], 0, len(all)-s.dead)
		for _, e := range all {
			if e.gone == 0 {
				living = append(living, e)
			}
		}
		s.members.Store(&living)
		s.dead = 0
		s.chart(living)
	}
	return true
}
