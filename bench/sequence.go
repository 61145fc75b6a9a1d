package bench

// A stream is the messages of one publisher as one subscriber gets them. They
// are numbered from 0.
type stream struct {
	next    uint32 // the lowest number nothing has been heard of, nor of those above
	holes   []span // below next, not seen, in rising order
	from    uint32 // next when this read batch began
	touched bool   // this read batch brought something
}

// A span is the numbers from lo up to but not including hi.
type span struct{ lo, hi uint32 }

// maxHoles bounds what a stream remembers; beyond that the oldest hole is
// forgotten, and its messages are lost for good.
const maxHoles = 4096

// A verdict is what a number means in its stream.
type verdict uint8

const (
	inOrder verdict = iota
	late            // behind one with a higher number
	doubled
)

// got takes note of number n.
func (s *stream) got(n uint32) verdict {
	if n == s.next {
		s.next++
		return inOrder
	}
	return s.odd(n)
}

func (s *stream) odd(n uint32) verdict {
	if n > s.next {
		if len(s.holes) == maxHoles {
			s.holes = append(s.holes[:0], s.holes[1:]...)
		}
		s.holes = append(s.holes, span{s.next, n})
		s.next = n + 1
		return inOrder
	}
	for i := len(s.holes) - 1; i >= 0; i-- {
		h := &s.holes[i]
		if n < h.lo || n >= h.hi {
			continue
		}
		switch {
		case h.lo+1 == h.hi:
			s.holes = append(s.holes[:i], s.holes[i+1:]...)
		case n == h.lo:
			h.lo++
		case n+1 == h.hi:
			h.hi--
		default:
			rest := span{n + 1, h.hi}
			h.hi = n
			s.holes = append(s.holes, span{})
			copy(s.holes[i+2:], s.holes[i+1:])
			s.holes[i+1] = rest
		}
		return late
	}
	return doubled
}
