package index

import (
	"bytes"
	"hash/maphash"
)

// A Search looks several names up side by side. Each step down the tree is
// likely to wait for memory; the steps of different names wait together. Not
// safe for concurrent use; the zero Search is ready for use.
type Search[V comparable] struct {
	names    [][]byte
	at, next []crossroad[V]
	hits     []hit[V]
	heads    []int32  // by name: its first hit, -1 is none
	ways     []way[V] // of the step at hand
	touched  uint64   // keeps what only looks from being left out
}

// A crossroad is where the way of a name has come to.
type crossroad[V comparable] struct {
	n    *node[Entry[V]]
	name int32 // index of
	from int32 // where its next level begins
}

// A hit is a filter that matches a name.
type hit[V comparable] struct {
	at   *Entry[V]
	next int32 // of the same name; -1: none
}

// Look finds what is under the filters that match each of the names, as
// [Tree.Match] does. The names stay the caller's, who leaves them as they are
// while Found is called.
func (s *Search[V]) Look(t *Tree[V], names [][]byte) {
	s.names = names
	s.hits, s.heads = s.hits[:0], append(s.heads[:0], -1)
	s.at = append(s.at[:0], crossroad[V]{n: &t.root})
	for shared := int32(common(names)); len(s.at) > 0 && s.at[0].from < shared; {
		s.step()
	}
	s.fork()
	for len(s.at) > 0 {
		s.step()
	}
	for i := range s.hits {
		if s.hits[i].at.set != nil {
			s.touched++
		}
	}
}

// common returns how many bytes all names begin with, in whole levels.
func common(names [][]byte) int {
	shared := names[0][:bytes.LastIndexByte(names[0], '/')+1]
	for _, name := range names[1:] {
		for !bytes.HasPrefix(name, shared) {
			shared = shared[:bytes.LastIndexByte(shared[:len(shared)-1], '/')+1]
		}
	}
	return len(shared)
}

// fork has every name go on from where the first has come to.
func (s *Search[V]) fork() {
	for i := 1; i < len(s.names); i++ {
		s.heads = append(s.heads, s.heads[0])
	}
	s.next = s.next[:0]
	for i := range s.names {
		for _, x := range s.at {
			x.name = int32(i)
			s.next = append(s.next, x)
		}
	}
	s.at, s.next = s.next, s.at
}

// step goes one level on with every name: in rounds in which the ways do not
// depend on each other and little is done, so that they wait for memory side by
// side, as many of them as the processor can have waiting.
func (s *Search[V]) step() {
	if cap(s.ways) < len(s.at) {
		s.ways = make([]way[V], 2*len(s.at))
	}
	ways := s.ways[:len(s.at)]
	for i, x := range s.at {
		ways[i].begin(x.n, s.names[x.name][x.from:])
	}
	for i := range ways {
		if w := &ways[i]; w.table != nil {
			s.touched += w.table.first(w.digest).tags.Load()
		}
	}
	for i := range ways {
		s.touched += uint64(ways[i].meet())
	}
	s.next = s.next[:0]
	for i, x := range s.at {
		w := &ways[i]
		c, plus := w.end(), w.plus
		if x.from == 0 && len(w.level) > 0 && w.level[0] == '$' { // [MQTT-4.7.2-1]
			plus = nil
		} else {
			s.hit(x.name, x.n.hash.Load())
		}
		s.goOn(c, x, w)
		s.goOn(plus, x, w)
	}
	s.at, s.next = s.next, s.at
}

// goOn takes a name to one of the nodes its way leads to, nil if there is none.
func (s *Search[V]) goOn(n *node[Entry[V]], x crossroad[V], w *way[V]) {
	switch {
	case n == nil:
	case w.more:
		s.next = append(s.next, crossroad[V]{n, x.name, x.from + int32(len(w.level)) + 1})
	default:
		s.hit(x.name, n.val.Load())
		s.hit(x.name, n.hash.Load()) // "a/#" matches "a"
	}
}

// A way is one step of one name, from a node to its child of a level.
type way[V comparable] struct {
	level  []byte
	more   bool // levels follow
	sure   bool // that the child is one of the next but one, or there is none
	plus   *node[Entry[V]]
	only   *node[Entry[V]]
	found  *node[Entry[V]]
	table  *table[Entry[V]]
	digest uint64
}

// begin finds out where to look for the first level of name.
func (w *way[V]) begin(n *node[Entry[V]], name []byte) {
	i := bytes.IndexByte(name, '/')
	if w.more = i >= 0; w.more {
		name = name[:i]
	}
	w.level = name
	w.plus, w.only, w.table = n.plus.Load(), n.only.Load(), n.kids.Load()
	if w.table != nil {
		w.digest = maphash.Bytes(seed, name)
	}
}

// meet finds out who may be the child, and returns something of them.
func (w *way[V]) meet() (touched uint8) {
	if w.plus != nil {
		touched = w.plus.size
	}
	if w.only != nil {
		touched += w.only.size
	}
	w.found, w.sure = nil, true
	if w.table == nil {
		return touched
	}
	b := w.table.first(w.digest)
	tags := b.tags.Load()
	found := tagged(tags, tagOf(w.digest))
	if w.sure = found == 0 && vacant(tags) != 0; found != 0 {
		if w.found = b.nodes[lane(found)].Load(); w.found != nil {
			touched += w.found.size
		}
	}
	return touched
}

// end returns the child, nil if there is none.
func (w *way[V]) end() *node[Entry[V]] {
	switch {
	case w.only != nil && w.only.is(w.level):
		return w.only
	case w.found != nil && w.found.is(w.level):
		return w.found
	case w.sure:
		return nil
	}
	return w.table.find(w.level)
}

func (s *Search[V]) hit(name int32, at *Entry[V]) {
	if at != nil {
		s.hits = append(s.hits, hit[V]{at, s.heads[name]})
		s.heads[name] = int32(len(s.hits) - 1)
	}
}

// Found appends to dst what Match would have for name i of those looked up.
func (s *Search[V]) Found(i int, dst []V) []V {
	for h := s.heads[i]; h >= 0; h = s.hits[h].next {
		dst = s.hits[h].at.appendTo(dst)
	}
	return dst
}

// Forget lets go of what was found, and of memory for more than is usual.
func (s *Search[V]) Forget() {
	if s.names == nil {
		return
	}
	if s.names = nil; cap(s.ways) > 1024 {
		*s = Search[V]{}
		return
	}
	clear(s.hits[:cap(s.hits)])
	clear(s.at[:cap(s.at)])
	clear(s.next[:cap(s.next)])
	clear(s.ways[:cap(s.ways)])
	s.hits, s.heads = s.hits[:0], s.heads[:0]
}
