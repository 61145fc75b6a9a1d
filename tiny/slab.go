package tiny

// A handle names an object in the slab; 0 names none.
type handle uint16

// A slab holds everything of no fixed size: messages, filters, identifiers.
// Objects lie back to back and each is one []byte; what is freed leaves a hole,
// and holes close when room is needed, so nothing is ever lost to
// fragmentation. A view of an object is good until the next alloc.
type slab struct {
	mem  []byte
	at   []uint16 // by handle-1: where it lies, in units; of a free handle: the next free one
	free handle   // the first free handle
	top  int      // end of the last object
	hole int      // start of the lowest hole; noHole without one
	live int      // bytes that objects take, headers included
	peak int      // the most that ever was
}

const (
	unit       = 4           // objects begin at multiples of it
	headerSize = 6           // handle, size, references: two bytes each
	maxSlab    = unit << 16  // bytes an offset of 16 bits reaches
	maxHandle  = 1<<13 - 1   // a ref has three more things to say
	maxObject  = 1<<16 - 1   // bytes
	noHole     = maxSlab + 1 // beyond every object
)

func (s *slab) init(mem []byte, at []uint16) {
	*s = slab{mem: mem, at: at, free: 1, hole: noHole}
	for i := range at {
		at[i] = uint16(i + 2)
	}
	at[len(at)-1] = 0
}

// footprint is what an object of n bytes takes.
func footprint(n int) int { return (headerSize + n + unit - 1) &^ (unit - 1) }

// alloc makes room for n bytes, to be filled at once. It returns 0 when there
// is none. Whoever called holds it.
func (s *slab) alloc(n int) (handle, []byte) {
	need := footprint(n)
	if s.free == 0 || n > maxObject || s.live+need > len(s.mem) {
		return 0, nil
	}
	if s.top+need > len(s.mem) {
		s.compact()
	}
	h := s.free
	s.free = handle(s.at[h-1])
	s.at[h-1] = uint16(s.top / unit)
	o := s.mem[s.top : s.top+headerSize+n]
	put16(o, uint16(h))
	put16(o[2:], uint16(n))
	put16(o[4:], 1)
	s.top += need
	s.live += need
	s.peak = max(s.peak, s.live)
	return h, o[headerSize:]
}

// bytes is a view of an object.
func (s *slab) bytes(h handle) []byte {
	o := s.mem[int(s.at[h-1])*unit:]
	n := headerSize + int(get16(o[2:]))
	return o[headerSize:n:n]
}

// hold adds a reference.
func (s *slab) hold(h handle) {
	o := s.mem[int(s.at[h-1])*unit+4:]
	put16(o, get16(o)+1)
}

// drop takes a reference back; the last one frees the object. 0 is allowed.
func (s *slab) drop(h handle) {
	if h == 0 {
		return
	}
	at := int(s.at[h-1]) * unit
	o := s.mem[at : at+headerSize]
	if refs := get16(o[4:]) - 1; refs > 0 {
		put16(o[4:], refs)
		return
	}
	need := footprint(int(get16(o[2:])))
	put16(o, 0)
	s.live -= need
	s.at[h-1] = uint16(s.free)
	s.free = h
	switch {
	case s.live == 0:
		s.top, s.hole = 0, noHole
	case at+need == s.top:
		s.top = at
		if s.hole >= at {
			s.hole = noHole
		}
	default:
		s.hole = min(s.hole, at)
	}
}

// compact closes the holes.
func (s *slab) compact() {
	to := s.hole
	for from := s.hole; from < s.top; {
		o := s.mem[from:]
		n := footprint(int(get16(o[2:])))
		if h := get16(o); h != 0 {
			copy(s.mem[to:], o[:n])
			s.at[h-1] = uint16(to / unit)
			to += n
		}
		from += n
	}
	s.top, s.hole = to, noHole
}

func put16(b []byte, v uint16) { b[0], b[1] = byte(v), byte(v>>8) }
func get16(b []byte) uint16    { return uint16(b[0]) | uint16(b[1])<<8 }
