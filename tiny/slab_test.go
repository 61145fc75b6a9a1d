package tiny

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/midgemq/midge/topic"
)

// Whatever comes and goes, every object keeps its bytes, and what is free in all
// can be had in one piece.
func TestSlab(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s slab
	s.init(make([]byte, 2048), make([]uint16, 64))
	held := map[handle][]byte{}
	refs := map[handle]int{}
	for range 200_000 {
		if n := r.IntN(200); r.IntN(2) == 0 {
			h, o := s.alloc(n)
			if h == 0 {
				if s.live+footprint(n) <= len(s.mem) && len(held) < len(s.at) {
					t.Fatalf("no room for %d bytes with %d of %d taken", n, s.live, len(s.mem))
				}
				continue
			}
			for i := range o {
				o[i] = byte(r.Uint32())
			}
			held[h], refs[h] = bytes.Clone(o), 1
			continue
		}
		for h, want := range held {
			if got := s.bytes(h); !bytes.Equal(got, want) {
				t.Fatalf("object %d changed", h)
			}
			if r.IntN(3) == 0 {
				s.hold(h)
				refs[h]++
			} else if s.drop(h); refs[h] == 1 {
				delete(held, h)
				delete(refs, h)
			} else {
				refs[h]--
			}
			break
		}
		if r.IntN(50) == 0 {
			checkSlab(t, &s, refs)
		}
	}
	if s.peak < 1500 {
		t.Errorf("never more than %d bytes were taken", s.peak)
	}
}

// The short ways to a match say what the long one says.
func TestMatchesIsMatch(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	levels := []string{"", "a", "b", "longer", "$x"}
	build := func(wild bool) (s []byte) {
		for i := range 1 + r.IntN(4) {
			if i > 0 {
				s = append(s, '/')
			}
			if wild && r.IntN(3) == 0 {
				s = append(s, '+')
			} else {
				s = append(s, levels[r.IntN(len(levels))]...)
			}
		}
		if wild && r.IntN(4) == 0 {
			s = append(s, "/#"...)
		}
		return s
	}
	tiny := newRig(t, Limits{}, Hooks{})
	matched := 0
	for range 200_000 {
		filter, name := build(true), build(false)
		if topic.CheckFilter(filter) != nil || topic.CheckName(name) != nil {
			continue
		}
		addSub(tiny.b, tiny.b.program(), filter)
		got := tiny.b.match(name, noSession)
		if want := topic.Match(filter, name); got != want {
			t.Fatalf("%s matches %s: %v, want %v", filter, name, got, want)
		} else if want {
			matched++
		}
		tiny.b.removeSub(0)
	}
	if matched < 1000 {
		t.Errorf("only %d matched", matched)
	}
}
