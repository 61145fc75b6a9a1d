// Package index finds what belongs to a topic: [Tree] the subscriptions whose
// filters match a name, [Retained] the messages whose names match a filter.
//
// Both are tries by topic level that readers walk without a lock: every
// pointer a reader follows is atomic, and what it points to is never changed
// in place, only replaced or appended to beyond what readers see. Writers
// take turns under a mutex that no reader ever touches.
package index

import (
	"hash/maphash"
	"sync/atomic"
)

// A node is one level of a topic. Its wildcard children are apart, so that a
// reader finds them without hashing.
type node[P any] struct {
	level  string
	parent *node[P] // writers only
	val    atomic.Pointer[P]
	plus   atomic.Pointer[node[P]]
	hash   atomic.Pointer[node[P]]
	kids   atomic.Pointer[table[P]]
}

// A table is a hash table of nodes by level, open addressing. Readers may
// walk it while the writer adds; growing and cleaning make a new one.
type table[P any] struct {
	slots []atomic.Pointer[node[P]]
	used  int // slots that are not nil, dead ones included; writers only
	dead  int // writers only
}

var seed = maphash.MakeSeed()

// child returns the node of one level, nil if there is none.
func (n *node[P]) child(level []byte) *node[P] {
	t := n.kids.Load()
	if t == nil {
		return nil
	}
	mask := uint64(len(t.slots) - 1)
	for i := maphash.Bytes(seed, level) & mask; ; i = (i + 1) & mask {
		c := t.slots[i].Load()
		if c == nil {
			return nil
		}
		if c.parent != nil && c.level == string(level) {
			return c
		}
	}
}

// each calls visit for every child but the wildcards until it returns false.
func (n *node[P]) each(visit func(*node[P]) bool) bool {
	t := n.kids.Load()
	if t == nil {
		return true
	}
	for i := range t.slots {
		if c := t.slots[i].Load(); c != nil && c.parent != nil && !visit(c) {
			return false
		}
	}
	return true
}

// cut splits the first level off a topic.
func cut(topic string) (level, rest string, more bool) {
	for i := range len(topic) {
		if topic[i] == '/' {
			return topic[:i], topic[i+1:], true
		}
	}
	return topic, "", false
}

// grow returns the node for topic, made if need be. With wild set, + and #
// are wildcards. The writer's lock is held.
func (n *node[P]) grow(topic string, wild bool) *node[P] {
	for more := true; more; {
		var level string
		level, topic, more = cut(topic)
		switch {
		case wild && level == "+":
			n = special(&n.plus, n, level)
		case wild && level == "#":
			n = special(&n.hash, n, level)
		default:
			c := n.child([]byte(level))
			if c == nil {
				c = &node[P]{level: level, parent: n}
				n.adopt(c)
			}
			n = c
		}
	}
	return n
}

func special[P any](at *atomic.Pointer[node[P]], parent *node[P], level string) *node[P] {
	c := at.Load()
	if c == nil {
		c = &node[P]{level: level, parent: parent}
		at.Store(c)
	}
	return c
}

// find returns the node for topic, nil if there is none.
func (n *node[P]) find(topic string, wild bool) *node[P] {
	for more := true; more && n != nil; {
		var level string
		level, topic, more = cut(topic)
		switch {
		case wild && level == "+":
			n = n.plus.Load()
		case wild && level == "#":
			n = n.hash.Load()
		default:
			n = n.child([]byte(level))
		}
	}
	return n
}

// adopt adds a child that is not there yet.
func (n *node[P]) adopt(c *node[P]) {
	t := n.kids.Load()
	if t == nil || (t.used+1)*4 > len(t.slots)*3 {
		t = t.resized(1)
		t.put(c)
		n.kids.Store(t)
		return
	}
	t.put(c)
}

// resized copies the living into a table with room for extra more.
func (t *table[P]) resized(extra int) *table[P] {
	size, living := 2, extra
	if t != nil {
		living += t.used - t.dead
	}
	for size*3 < living*4+size { // at most half full afterwards
		size *= 2
	}
	bigger := &table[P]{slots: make([]atomic.Pointer[node[P]], size)}
	if t != nil {
		for i := range t.slots {
			if c := t.slots[i].Load(); c != nil && c.parent != nil {
				bigger.put(c)
			}
		}
	}
	return bigger
}

func (t *table[P]) put(c *node[P]) {
	mask := uint64(len(t.slots) - 1)
	i := maphash.String(seed, c.level) & mask
	for t.slots[i].Load() != nil {
		i = (i + 1) & mask
	}
	t.slots[i].Store(c)
	t.used++
}

// prune removes the node and every ancestor that holds nothing any more.
func (n *node[P]) prune() {
	for n.parent != nil && n.val.Load() == nil && n.plus.Load() == nil && n.hash.Load() == nil && n.kids.Load() == nil {
		up := n.parent
		switch {
		case up.plus.Load() == n:
			up.plus.Store(nil)
		case up.hash.Load() == n:
			up.hash.Store(nil)
		default:
			up.drop(n)
		}
		n = up
	}
}

// drop takes a child out. Its slot keeps a headstone, so that readers on
// their way past it go on; when half are headstones the table is renewed.
func (n *node[P]) drop(c *node[P]) {
	t := n.kids.Load()
	mask := uint64(len(t.slots) - 1)
	i := maphash.String(seed, c.level) & mask
	for t.slots[i].Load() != c {
		i = (i + 1) & mask
	}
	t.slots[i].Store(&node[P]{})
	t.dead++
	switch living := t.used - t.dead; {
	case living == 0:
		n.kids.Store(nil)
	case t.dead > living:
		n.kids.Store(t.resized(0))
	}
}
