package index

import (
	"sync"
	"sync/atomic"
)

// Retained maps topic names to one *V each. Readers never wait; writers take
// turns.
type Retained[V any] struct {
	root node[V]
	n    atomic.Int64
	made atomic.Int64 // nodes
	mu   sync.Mutex   // writers

	path []*node[V] // guarded by mu: room for the way to a node
}

// NewRetained returns an empty map.
func NewRetained[V any]() *Retained[V] { return new(Retained[V]) }

// Len returns how many topics have a value.
func (r *Retained[V]) Len() int { return int(r.n.Load()) }

// Nodes returns how many levels of topics there are, those that topics begin
// with together counted once: that is what takes memory.
func (r *Retained[V]) Nodes() int64 { return r.made.Load() }

// Get returns the value of a topic, nil if it has none.
func (r *Retained[V]) Get(topic string) *V {
	n := &r.root
	for more := true; more; {
		var level string
		level, topic, more = cut(topic)
		if n = n.child([]byte(level)); n == nil {
			return nil
		}
	}
	return n.val.Load()
}

// Set gives a topic its value, not nil, and returns the one it had. It keeps no
// part of the string. A level takes 64 bytes or more, however short it is: bound
// the levels of topics that strangers send.
func (r *Retained[V]) Set(topic string, v *V) (old *V) {
	r.SetIf(topic, v, func(had *V) bool { old = had; return true })
	return old
}

// SetIf is Set for a topic whose value, nil if it has none, may be replaced as
// far as the caller goes. Writers wait while may runs.
func (r *Retained[V]) SetIf(topic string, v *V, may func(old *V) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.Get(topic)
	if !may(old) {
		return false
	}
	r.root.grow(topic, false, &r.made).Store(v)
	if old == nil {
		r.n.Add(1)
	}
	return true
}

// Delete takes a topic's value away and reports whether it had one.
func (r *Retained[V]) Delete(topic string) bool {
	return r.DeleteIf(topic, func(*V) bool { return true })
}

// DeleteIf is Delete for a topic whose value is still what the caller thinks.
// Writers wait while still runs.
func (r *Retained[V]) DeleteIf(topic string, still func(*V) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	path, at := r.root.find(topic, false, r.path[:0])
	if path == nil {
		return false
	}
	defer func() { clear(path); r.path = path }()
	if p := at.Load(); p == nil || !still(p) {
		return false
	}
	at.Store(nil)
	prune(path, &r.made)
	r.n.Add(-1)
	return true
}

// Match calls visit for the value of every topic that filter, without $share,
// matches until it returns false: a [Walk] in one go. visit may take its time
// and may call Set and Delete.
func (r *Retained[V]) Match(filter string, visit func(*V) bool) {
	w := r.Walk(filter)
	for {
		steps := 1 << 30
		v := w.Next(&steps)
		if v != nil && !visit(v) || v == nil && !w.More() {
			return
		}
	}
}

// Walk begins a walk of the values of every topic that filter, without $share,
// matches.
func (r *Retained[V]) Walk(filter string) Walk[V] {
	return Walk[V]{root: &r.root, todo: []crossing[V]{{node: &r.root, filter: filter}}}
}

// A Walk is on its way through the topics that a filter matches, and goes on
// whenever it is asked to. Only branches the filter can match are walked, and
// nobody waits for it meanwhile: a topic that has a value throughout is visited
// once, one set or deleted meanwhile may be or not, and one deleted and set
// again may be twice. The zero Walk is over. A V that needs its topic carries
// it.
type Walk[V any] struct {
	root *node[V]
	todo []crossing[V] // one for each level, the deepest last
}

// A crossing is a node some of whose children are still to be visited.
type crossing[V any] struct {
	node   *node[V]
	filter string    // for the children and what is below
	kids   *table[V] // as it was when the first of them was visited
	next   int       // 0: node.only; then the slots of kids
}

// More reports whether the walk is not over yet.
func (w *Walk[V]) More() bool { return len(w.todo) > 0 }

// Next returns the next value. It visits no more than *steps topics and levels
// of topics, and takes those it visited off; nil is either that, or the end.
func (w *Walk[V]) Next(steps *int) *V {
	for len(w.todo) > 0 && *steps > 0 {
		*steps--
		at := &w.todo[len(w.todo)-1]
		level, rest, more := cut(at.filter)
		wild := level == "#" || level == "+"
		var c *node[V]
		if wild {
			c = at.child()
			for c != nil && at.node == w.root && c.reserved() { // [MQTT-4.7.2-1]
				c = at.child()
			}
		} else {
			c = at.node.child([]byte(level))
		}
		if c == nil || !wild {
			*at = crossing[V]{}
			w.todo = w.todo[:len(w.todo)-1]
		}
		if c == nil {
			continue
		}
		if level == "#" {
			rest, more = "#", true
		}
		if more && (c.only.Load() != nil || c.kids.Load() != nil) {
			w.todo = append(w.todo, crossing[V]{node: c, filter: rest})
		}
		if more && rest != "#" { // "a/#" matches "a", too
			continue
		}
		if v := c.val.Load(); v != nil {
			return v
		}
	}
	if len(w.todo) == 0 {
		w.todo = nil
	}
	return nil
}

// child returns the next child, nil after the last. Whoever lives throughout
// stays where it is, or is in the same table, so nobody is missed.
func (x *crossing[V]) child() *node[V] {
	if x.next == 0 {
		x.next, x.kids = 1, x.node.kids.Load()
		if c := x.node.only.Load(); c != nil {
			return c
		}
	}
	for x.next <= x.kids.slots() {
		c := x.kids.slot(x.next - 1)
		x.next++
		if c != nil {
			return c
		}
	}
	return nil
}
