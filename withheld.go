package midge

import "github.com/midgemq/midge/store"

// Withheld are packets that say, or rely on, something that is not durable
// yet. They go out in order as soon as it is; whatever relies on nothing
// overtakes them.
type withheld struct {
	b     []byte
	marks []mark

	messages int  // PUBLISH packets among them
	armed    bool // the store will call settle
}

// A mark is one packet in withheld.
type mark struct {
	size    int
	pos     store.Position
	promise *promise // of the message it carries, nil: none
	message bool     // it is a PUBLISH
}

// due reports whether m's packet may go.
func (m *mark) due(durable store.Position) bool {
	if m.promise != nil {
		if p := store.Position(m.promise.pos.Load()); p == 0 || p > durable {
			return false
		}
	}
	return m.pos <= durable
}

// nothingWithheld is that of a connection that has withheld nothing yet. Nobody
// writes to it.
var nothingWithheld withheld

// withholdLocked lets write append a packet that may go once m is due.
func (o *outbox) withholdLocked(m mark, write func()) {
	if o.kept == &nothingWithheld {
		o.kept = new(withheld)
	}
	k := o.kept
	before := len(k.b)
	o.out, k.b = k.b, o.out
	write()
	o.out, k.b = k.b, o.out
	if m.size = len(k.b) - before; m.size == 0 {
		return
	}
	k.marks = append(k.marks, m)
	o.weighLocked(o.weight > 0)
	if m.message {
		k.messages++
	}
	if m.promise != nil {
		m.promise.wait(o.c)
	}
	o.armLocked()
}

// armLocked asks the store to call when the first of the withheld is due. One
// whose message is not committed yet is seen to by who commits it.
func (o *outbox) armLocked() {
	k := o.kept
	if k.armed || len(k.marks) == 0 {
		return
	}
	m := &k.marks[0]
	pos := m.pos
	if m.promise != nil {
		p := store.Position(m.promise.pos.Load())
		if p == 0 {
			return
		}
		pos = max(pos, p)
	}
	k.armed = true
	o.c.b.keep.st.After(pos, func() {
		o.mu.Lock()
		k.armed = false
		o.mu.Unlock()
		o.c.settle()
	})
}

// settle lets go of what is due.
func (c *conn) settle() {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.kept
	if o.stage != flowing {
		o.kept = &nothingWithheld
		return
	}
	durable, n, size := c.b.keep.st.Durable(), 0, 0
	for n < len(k.marks) && k.marks[n].due(durable) {
		size += k.marks[n].size
		if k.marks[n].message {
			o.messages++
			k.messages--
		} else {
			o.answers += int32(k.marks[n].size)
		}
		n++
	}
	if n > 0 {
		o.out = append(o.roomFor(size), k.b[:size]...)
		k.b = append(k.b[:0], k.b[size:]...)
		k.marks = append(k.marks[:0], k.marks[n:]...)
		if len(k.marks) == 0 && cap(k.b) > keepSize {
			k.b, k.marks = nil, nil
		}
		o.movedLocked()
		o.dirtyLocked(c, nil)
	}
	o.armLocked()
}
