package midge

// A toll is a tally of the last gigabyte or so.
type toll struct{ bytes, packets, messages uint32 }

func (t *toll) tally() tally {
	return tally{uint64(t.bytes), uint64(t.packets), uint64(t.messages)}
}

const tollsAt = 1 << 30 // bytes

// passedLocked counts the bytes of what t has counted.
func (c *conn) passedLocked(t *toll, bytes int) {
	all := uint64(t.bytes) + uint64(bytes)
	if all < tollsAt {
		t.bytes = uint32(all)
		return
	}
	whole := &c.seldomLocked().sent
	if t == &c.received {
		whole = &c.seldom.heard
	}
	whole.add(tally{all, uint64(t.packets), uint64(t.messages)})
	*t = toll{}
}

// talliesLocked are what passed.
func (c *conn) talliesLocked() (in, out tally) {
	in, out = c.received.tally(), c.sent.tally()
	if x := c.seldom; x != nil {
		in.add(x.heard)
		out.add(x.sent)
	}
	return in, out
}
