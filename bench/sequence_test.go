package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSequence(t *testing.T) {
	for _, c := range []struct {
		name                string
		got                 []uint32
		lost, late, doubled int
	}{
		{"all", []uint32{0, 1, 2, 3}, 0, 0, 0},
		{"first lost", []uint32{1, 2}, 1, 0, 0},
		{"three lost", []uint32{0, 4, 5}, 3, 0, 0},
		{"doubled at once", []uint32{0, 0, 1}, 0, 0, 1},
		{"doubled later", []uint32{0, 1, 2, 1}, 0, 0, 1},
		{"two swapped", []uint32{0, 2, 1, 3}, 0, 1, 0},
		{"late and doubled", []uint32{0, 2, 1, 1, 3}, 0, 1, 1},
		{"hole filled from below", []uint32{4, 0, 1, 2, 3}, 0, 4, 0},
		{"from above", []uint32{4, 3, 2, 1, 0}, 0, 4, 0},
		{"in the middle", []uint32{5, 2, 2}, 4, 1, 1},
	} {
		var s stream
		late, dbl := 0, 0
		for _, n := range c.got {
			switch s.got(n) {
			case doubled:
				dbl++
			case inOrder:
			default:
				late++
			}
		}
		lost := 0
		for _, h := range s.holes {
			lost += int(h.hi - h.lo)
		}
		if lost != c.lost || late != c.late || dbl != c.doubled {
			t.Errorf("%s: %d lost, %d late, %d doubled", c.name, lost, late, dbl)
		}
	}
}

// Whatever the order, what was seen once leaves no hole, and a second time is
// doubled.
func TestSequenceOfAShuffle(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var s stream
	order := rnd.Perm(2000)
	for _, n := range order {
		if s.got(uint32(n)) == doubled {
			t.Fatalf("%d is doubled", n)
		}
	}
	if len(s.holes) != 0 || s.next != 2000 {
		t.Fatal(s.holes, s.next)
	}
	slices.Reverse(order)
	for _, n := range order {
		if s.got(uint32(n)) != doubled {
			t.Fatalf("%d is not doubled", n)
		}
	}
}

func TestHolesAreBounded(t *testing.T) {
	var s stream
	for n := range uint32(3 * maxHoles) {
		s.got(2*n + 1)
	}
	if len(s.holes) != maxHoles {
		t.Fatal(len(s.holes))
	}
}
