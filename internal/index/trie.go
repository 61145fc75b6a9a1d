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
	size  uint8                    // immutable: its length, or longLevel
}

const (
	shortLevel = 15
	longLevel  = 0xFF
)

// name keeps no part of the string: that would keep all of its topic.
func (n *node[P]) name(level string) {
	if n.size = uint8(copy(n.short[:], level)); len(level) > shortLevel {
		level = strings.Clone(level)
		n.long, n.size = &level, longLevel
	}
}

// blockSize is how many levels that come together stand side by side: a reader
// of one has the processor fetch the next. What of a block is in use keeps the
// rest of it in memory.
const blockSize = 4

// newBlock returns nodes for a level and for what is below it, in rest. A long
// level stands by itself: it would be kept with its neighbours.
func newBlock[P any](level, rest string) []node[P] {
	n := 1
	for n < blockSize && rest != "" && len(level) <= shortLevel {
		if level, rest, _ = cut(rest); level == "#" || len(level) > shortLevel {
			break
		}
		n++
	}
	return make([]node[P], n)
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

// child returns the node of one level, nil if there is none.
func (n *node[P]) child(level []byte) *node[P] {
	if c := n.only.Load(); c != nil && c.is(level) {
		return c
	}
	if t := n.kids.Load(); t != nil {
		return t.find(level)
	}
	return nil
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
	var block []node[P]
	for more := true; more; {
		var level string
		level, topic, more = cut(topic)
		if wild && level == "#" {
			return &n.hash
		}
		plus := wild && level == "+"
		c := n.plus.Load()
		if !plus {
			c = n.child([]byte(level))
		}
		if c == nil {
			if len(block) == 0 {
				block = newBlock[P](level, topic)
			}
			c, block = &block[0], block[1:]
			if plus {
				n.plus.Store(c)
			} else {
				c.name(level)
				n.adopt(c)
			}
			made.Add(1)
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
	if t == nil || (t.used+1)*4 > t.room()*3 {
		t = t.resized(1)
		t.put(c)
		n.kids.Store(t)
		return
	}
	t.put(c)
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

// drop takes a child out of the table, which is renewed once it is for the
// most part headstones, or room.
func (n *node[P]) drop(c *node[P]) {
	t := n.kids.Load()
	t.remove(c)
	switch living := t.used - t.dead; {
	case living == 0:
		n.kids.Store(nil)
	case t.dead > living, living*8 < t.room():
		n.kids.Store(t.resized(0))
	}
}
