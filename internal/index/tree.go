package index

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// A Tree maps topic filters to sets of V. Readers never wait; writers take
// turns.
type Tree[V comparable] struct {
	root    node[Entry[V]]
	version atomic.Uint64
	nodes   atomic.Int64 // levels of filters that have a node
	mu      sync.Mutex   // writers

	path []*node[Entry[V]] // guarded by mu: room for the way to a node
}

// NewTree returns an empty tree.
func NewTree[V comparable]() *Tree[V] { return new(Tree[V]) }

// Version changes after every Add and Remove that changed something, once
// Match shows the change and before the call returns. So read Version first,
// then Match: the result has every change whose call had returned by then, and
// while Version stays what was read, no call that would alter the result has
// returned since. A result may be kept as long.
func (t *Tree[V]) Version() uint64 { return t.version.Load() }

// Renew changes Version alone: what was made of results counts for nothing.
func (t *Tree[V]) Renew() { t.version.Add(1) }

// Nodes returns how many levels of filters there are, those that filters begin
// with together counted once: that is what takes memory.
func (t *Tree[V]) Nodes() int64 { return t.nodes.Load() }

// Add puts v under filter; putting it there twice is putting it there once. A
// filter is taken as it is, check it first. The tree keeps no part of the
// string. A level takes 64 bytes or more, however short it is: bound the
// levels of filters that strangers send.
func (t *Tree[V]) Add(filter string, v V) { t.AddEntry(filter, &Entry[V]{Value: v}) }

// AddEntry is Add for the value of an entry, which is the tree's from then on.
func (t *Tree[V]) AddEntry(filter string, e *Entry[V]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.root.grow(filter, true, &t.nodes)
	old := at.Load()
	next := old.with(e)
	if next == nil {
		return
	}
	if next != old {
		at.Store(next)
	}
	t.version.Add(1)
}

// Remove takes v from under filter and reports whether it was there.
func (t *Tree[V]) Remove(filter string, v V) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	path, at := t.root.find(filter, true, t.path[:0])
	if path == nil {
		return false
	}
	defer func() { clear(path); t.path = path }()
	old := at.Load()
	next, ok := old.without(v)
	if next != old {
		at.Store(next)
	}
	if next == nil {
		prune(path, &t.nodes)
	}
	if ok {
		t.version.Add(1)
	}
	return ok
}

// Match appends to dst every value under a filter that matches name, and
// allocates only if dst has no room. A value under several matching filters
// comes several times. Changes made meanwhile may or may not show, each on its
// own; see Version.
//
// No node is visited twice, so the work is bounded by the filters there are:
// at worst, where for every level of name there are filters with it and with +
// in its place, it doubles with every level, as their number does. The stack
// grows only where both lead on.
func (t *Tree[V]) Match(name []byte, dst []V) []V {
	// [MQTT-4.7.2-1] wildcards in the first level pass $-topics over.
	return match(&t.root, name, len(name) == 0 || name[0] != '$', dst)
}

func match[V comparable](n *node[Entry[V]], name []byte, wild bool, dst []V) []V {
	for {
		var plus *node[Entry[V]]
		if wild {
			dst = n.hash.Load().appendTo(dst)
			plus = n.plus.Load()
		}
		level, rest, more := name, []byte(nil), false
		if i := bytes.IndexByte(name, '/'); i >= 0 {
			level, rest, more = name[:i], name[i+1:], true
		}
		c := n.child(level)
		if !more {
			return atEnd(plus, atEnd(c, dst))
		}
		switch {
		case c == nil && plus == nil:
			return dst
		case c == nil:
			n = plus
		case plus == nil:
			n = c
		default:
			dst = match(plus, rest, true, dst)
			n = c
		}
		name, wild = rest, true
	}
}

// atEnd appends what belongs to a name that ends at n, if there is such a node.
func atEnd[V comparable](n *node[Entry[V]], dst []V) []V {
	if n == nil {
		return dst
	}
	dst = n.val.Load().appendTo(dst)
	return n.hash.Load().appendTo(dst) // "a/#" matches "a"
}
