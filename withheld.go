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

// keptLocked is what is withheld; only withholdLocked may make it more.
func (c *conn) keptLocked() *withheld {
	if x := c.seldom; x != nil && x.kept != nil {
		return x.kept
	}
	return &nothingWithheld
}

func (c *conn) withholdNothingLocked() {
	if c.seldom != nil {
		c.seldom.kept = nil
	}
}

// withholdLocked lets write append a packet that may go once m is due.
func (c *conn) withholdLocked(m mark, write func()) {
	x := c.seldomLocked()
	if x.kept == nil {
		x.kept = new(withheld)
	}
	k := x.kept
	before := len(k.b)
	c.out, k.b = k.b, c.out
	write()
	c.out, k.b = k.b, c.out
	if m.size = len(k.b) - before; m.size == 0 {
		return
	}
	k.marks = append(k.marks, m)
	c.weighLocked(c.weight > 0)
	if m.message {
		k.messages++
	}
	if m.promise != nil {
		m.promise.wait(c)
	}
	c.armLocked()
}

// armLocked asks the store to call when the first of the withheld is due. One
// whose message is not committed yet is seen to by who commits it.
func (c *conn) armLocked() {
	k := c.keptLocked()
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
	c.b.keep.st.After(pos, func() {
		c.mu.Lock()
		k.armed = false
		c.mu.Unlock()
		c.settle()
	})
}

// settle lets go of what is due.
func (c *conn) settle() {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	k := c.keptLocked()
	if o.stage != flowing {
		c.withholdNothingLocked()
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
		o.out = append(c.roomFor(size), k.b[:size]...)
		k.b = append(k.b[:0], k.b[size:]...)
		k.marks = append(k.marks[:0], k.marks[n:]...)
		if len(k.marks) == 0 && cap(k.b) > keepSize {
			k.b, k.marks = nil, nil
		}
		c.movedLocked()
		c.dirtyLocked(nil)
	}
	c.armLocked()
}
