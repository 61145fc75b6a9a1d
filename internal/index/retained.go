package index

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Retained maps topic names to one V each. Readers never wait; writers take
// turns.
type Retained[V any] struct {
	root node[V]
	n    atomic.Int64
	mu   sync.Mutex // writers
}

// NewRetained returns an empty map.
func NewRetained[V any]() *Retained[V] { return new(Retained[V]) }

// Len returns how many topics have a value.
func (r *Retained[V]) Len() int { return int(r.n.Load()) }

// Get returns the value of a topic.
func (r *Retained[V]) Get(topic string) (v V, ok bool) {
	if _, at := r.root.find(topic, false); at != nil {
		if p := at.Load(); p != nil {
			return *p, true
		}
	}
	return v, false
}

// Set gives a topic its value and returns the one it had. It keeps no part of
// the string. A level takes 64 bytes or more, however short it is: bound the
// levels of topics that strangers send.
func (r *Retained[V]) Set(topic string, v V) (old V, had bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, at := r.root.grow(topic, false)
	if p := at.Swap(&v); p != nil {
		return *p, true
	}
	r.n.Add(1)
	return old, false
}

// SetIf is Set for a topic whose value may be replaced, or added, as far as the
// caller goes. Writers wait while may runs.
func (r *Retained[V]) SetIf(topic string, v V, may func(old V, had bool) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, had := r.Get(topic)
	if !may(old, had) {
		return false
	}
	_, at := r.root.grow(topic, false)
	at.Store(&v)
	if !had {
		r.n.Add(1)
	}
	return true
}

// Delete takes a topic's value away and reports whether it had one.
func (r *Retained[V]) Delete(topic string) bool {
	return r.DeleteIf(topic, func(V) bool { return true })
}

// DeleteIf is Delete for a topic whose value is still what the caller thinks.
// Writers wait while still runs.
func (r *Retained[V]) DeleteIf(topic string, still func(V) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, at := r.root.find(topic, false)
	if n == nil {
		return false
	}
	if p := at.Load(); p == nil || !still(*p) {
		return false
	}
	at.Store(nil)
	n.prune()
	r.n.Add(-1)
	return true
}

// Match calls visit for the value of every topic that filter, without $share,
// matches until it returns false. A V that needs its topic carries it. Only
// branches the filter can match are walked. No lock is held, so visit may take
// its time and may call Set and Delete: a topic that has a value throughout is
// visited once, one set or deleted meanwhile may be or not, and one deleted
// and set again may be twice.
func (r *Retained[V]) Match(filter string, visit func(V) bool) {
	collect(&r.root, filter, true, visit)
}

func collect[V any](n *node[V], filter string, first bool, visit func(V) bool) bool {
	level, rest, more := cut(filter)
	switch level {
	case "#":
		return all(n, first, visit)
	case "+":
		return n.each(func(c *node[V]) bool {
			// [MQTT-4.7.2-1]
			return (first && strings.HasPrefix(c.level, "$")) || within(c, rest, more, visit)
		})
	}
	c := n.child([]byte(level))
	return c == nil || within(c, rest, more, visit)
}

// within goes on below a node one level of the filter has matched.
func within[V any](c *node[V], rest string, more bool, visit func(V) bool) bool {
	if more {
		if rest == "#" { // "a/#" matches "a", too
			if v := c.val.Load(); v != nil && !visit(*v) {
				return false
			}
		}
		return collect(c, rest, false, visit)
	}
	v := c.val.Load()
	return v == nil || visit(*v)
}

func all[V any](n *node[V], first bool, visit func(V) bool) bool {
	return n.each(func(c *node[V]) bool {
		if first && strings.HasPrefix(c.level, "$") {
			return true
		}
		if v := c.val.Load(); v != nil && !visit(*v) {
			return false
		}
		return all(c, false, visit)
	})
}
