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
	"strings"
	"sync/atomic"
)

// A node is one level of a topic: 64 bytes, one line of a processor's cache.
// What most nodes have at most one of is apart, so that a reader finds it
// without hashing and a chain of levels needs no tables.
type node[P any] struct {
	val   atomic.Pointer[P]        // what belongs to the topic that ends here
	hash  atomic.Pointer[P]        // and to the one that ends in # below
	plus  atomic.Pointer[node[P]]  // the child for +
	only  atomic.Pointer[node[P]]  // one child by level
	kids  atomic.Pointer[table[P]] // and all the others
	long  *string                  // immutable: the level, if short has no room for it
	short [shortLevel]byte         // immutable: its beginning
	size  uint8                    // immutable: its length, or one of those below
}

const (
	shortLevel = 15
	longLevel  = 0xFE
	headstone  = 0xFF // stands in a table where a node was
)

// newNode keeps no part of the string: that would keep all of its topic.
func newNode[P any](level string) *node[P] {
	n := new(node[P])
	if n.size = uint8(copy(n.short[:], level)); len(level) > shortLevel {
		level = strings.Clone(level)
		n.long, n.size = &level, longLevel
	}
	return n
}

// is reports whether n is the node of this level.
func (n *node[P]) is(level []byte) bool {
	if len(level) <= shortLevel {
		return int(n.size) == len(level) && string(n.short[:len(level)]) == string(level)
	}
	return n.size == longLevel && *n.long == string(level)
}

func (n *node[P]) digest() uint64 {
	if n.size == longLevel {
		return maphash.String(seed, *n.long)
	}
	return maphash.Bytes(seed, n.short[:n.size])
}

// reserved is a level that wildcards in the first one pass over.
func (n *node[P]) reserved() bool { return n.short[0] == '$' }

// A table is a hash table of nodes by level, open addressing. Readers may
// walk it while the writer adds; growing and cleaning make a new one.
type table[P any] struct {
	slots []atomic.Pointer[node[P]]
	used  int      // slots that are not nil, dead ones included; writers only
	dead  int      // writers only
	stone *node[P] // what stands in dead slots; writers only
}

var seed = maphash.MakeSeed()

// child returns the node of one level, nil if there is none.
func (n *node[P]) child(level []byte) *node[P] {
	if c := n.only.Load(); c != nil && c.is(level) {
		return c
	}
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
		if c.is(level) {
			return c
		}
	}
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

// grow returns the place of topic's value, made if need be, and adds the nodes
// that took to made. With wild set, + and # are wildcards. The writer's lock is
// held.
func (n *node[P]) grow(topic string, wild bool, made *atomic.Int64) *atomic.Pointer[P] {
	for more := true; more; {
		var level string
		level, topic, more = cut(topic)
		var c *node[P]
		switch {
		case wild && level == "#":
			return &n.hash
		case wild && level == "+":
			if c = n.plus.Load(); c == nil {
				c = new(node[P])
				n.plus.Store(c)
				made.Add(1)
			}
		default:
			if c = n.child([]byte(level)); c == nil {
				c = newNode[P](level)
				n.adopt(c)
				made.Add(1)
			}
		}
		n = c
	}
	return &n.val
}

// find is grow for a topic that is there, nil for any other, and appends the
// nodes on the way to path, the last one's own included.
func (n *node[P]) find(topic string, wild bool, path []*node[P]) ([]*node[P], *atomic.Pointer[P]) {
	for more := true; more; {
		path = append(path, n)
		var level string
		level, topic, more = cut(topic)
		switch {
		case wild && level == "#":
			return path, &n.hash
		case wild && level == "+":
			n = n.plus.Load()
		default:
			n = n.child([]byte(level))
		}
		if n == nil {
			return nil, nil
		}
	}
	return append(path, n), &n.val
}

// adopt adds a child that is not there yet.
func (n *node[P]) adopt(c *node[P]) {
	if n.only.Load() == nil {
		n.only.Store(c)
		return
	}
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
			if c := t.slots[i].Load(); c != nil && c.size != headstone {
				bigger.put(c)
			}
		}
	}
	return bigger
}

// put adds a child that is not there yet. It takes over the first headstone on
// the way, or a level that comes and goes would leave a row of them. Nobody
// living ever moves within a table, so readers miss nobody.
func (t *table[P]) put(c *node[P]) {
	mask := uint64(len(t.slots) - 1)
	for i := c.digest() & mask; ; i = (i + 1) & mask {
		switch there := t.slots[i].Load(); {
		case there == nil:
			t.used++
		case there.size == headstone:
			t.dead--
		default:
			continue
		}
		t.slots[i].Store(c)
		return
	}
}

// barren reports whether nothing is at n or below.
func (n *node[P]) barren() bool {
	return n.val.Load() == nil && n.hash.Load() == nil &&
		n.plus.Load() == nil && n.only.Load() == nil && n.kids.Load() == nil
}

// prune removes the last node of the path, and every one before, that holds
// nothing any more, and takes them off made. The root stays.
func prune[P any](path []*node[P], made *atomic.Int64) {
	for i := len(path) - 1; i > 0 && path[i].barren(); i-- {
		made.Add(-1)
		switch n, up := path[i], path[i-1]; n {
		case up.plus.Load():
			up.plus.Store(nil)
		case up.only.Load():
			up.only.Store(nil)
		default:
			up.drop(n)
		}
	}
}

// drop takes a child out of the table. Its slot keeps a headstone, so that readers on
// their way past it go on; when half are headstones the table is renewed.
func (n *node[P]) drop(c *node[P]) {
	t := n.kids.Load()
	mask := uint64(len(t.slots) - 1)
	i := c.digest() & mask
	for t.slots[i].Load() != c {
		i = (i + 1) & mask
	}
	if t.stone == nil {
		t.stone = &node[P]{size: headstone}
	}
	t.slots[i].Store(t.stone)
	t.dead++
	switch living := t.used - t.dead; {
	case living == 0:
		n.kids.Store(nil)
	case t.dead > living:
		n.kids.Store(t.resized(0))
	}
}
