package index

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// A table driven at random has what a map has, and no more room than it needs.
func TestTableAgainstMap(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 5))
		parent, there := new(node[int]), map[string]bool{}
		first := new(node[int])
		first.name("first")
		parent.adopt(first) // the others have the table
		for step, wanted := range []int{3, 400, 40, 2000, 0, 7, 0} {
			for len(there) != wanted {
				level := fmt.Sprint(r.IntN(4000))
				switch c := parent.child([]byte(level)); {
				case (c != nil) != there[level]:
					t.Fatalf("seed %d step %d: %s: %v, want %v", seed, step, level, c != nil, there[level])
				case c == nil && len(there) < wanted:
					c = new(node[int])
					c.name(level)
					parent.adopt(c)
					there[level] = true
				case c != nil && len(there) > wanted:
					parent.drop(c)
					delete(there, level)
				}
			}
			checkTable(t, parent.kids.Load(), there)
		}
	}
}

func checkTable(t *testing.T, kids *table[int], there map[string]bool) {
	t.Helper()
	n := 0
	for i := range kids.slots() {
		if c := kids.slot(i); c != nil {
			n++
			if level := string(c.short[:c.size]); !there[level] || kids.find([]byte(level)) != c {
				t.Errorf("%s is not to be found", level)
			}
		}
	}
	if n != len(there) || kids != nil && (kids.used-kids.dead != n || kids.room() > 16*n+lanes) {
		t.Errorf("%d nodes and %d wanted, room for %d", n, len(there), kids.slots())
	}
}

// A tag that is not there may be reported; one that is there always is.
func TestTagged(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for range 100_000 {
		var tags, want, empty uint64
		tag := tagOf(r.Uint64())
		for lane := range lanes {
			b := []uint64{free, headstone, tag, tagOf(r.Uint64())}[r.IntN(4)]
			tags |= b << (8 * lane)
			if b == tag {
				want |= living << (8 * lane)
			} else if b == free {
				empty |= living << (8 * lane)
			}
		}
		if got := tagged(tags, tag); got&want != want || (want == 0) != (got == 0) {
			t.Fatalf("tags %x, tag %x: %x, want %x", tags, tag, got, want)
		}
		if got := vacant(tags); got != empty {
			t.Fatalf("tags %x: %x free, want %x", tags, got, empty)
		}
	}
}
