package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// What is looked up side by side is found as if it were looked up alone.
func TestSearchFindsWhatMatchFinds(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 2))
		tree, all := NewTree[int](), 0
		for ; all < 300; all++ {
			if f := randomFilter(r); f != "" {
				tree.Add(f, all)
			}
		}
		var s Search[int]
		for round := range 500 {
			shared := []string{"", "a/", "a/b/", "$x/"}[r.IntN(4)]
			names := make([][]byte, 1+r.IntN(20))
			for i := range names {
				names[i] = []byte(shared + randomName(r))
			}
			s.Look(tree, names)
			for i, name := range names {
				want, got := tree.Match(name, nil), s.Found(i, nil)
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d round %d: %q in %q: %v, want %v", seed, round, name, names, got, want)
				}
			}
			if r.IntN(4) == 0 {
				s.Forget()
			}
		}
	}
}

// However many children there are, and whatever shares a bucket with what.
func TestSearchAmongMany(t *testing.T) {
	tree := NewTree[int]()
	const n = 20_000
	for i := range n {
		tree.Add(fmt.Sprintf("a/%d/+", i), i)
	}
	for i := 0; i < n; i += 3 {
		tree.Remove(fmt.Sprintf("a/%d/+", i), i)
	}
	var s Search[int]
	for from := 0; from < n; from += 16 {
		var names [][]byte
		for i := range 16 {
			names = append(names, fmt.Appendf(nil, "a/%d/x", from+i))
		}
		s.Look(tree, names)
		for i := range names {
			got, there := s.Found(i, nil), (from+i)%3 != 0 && from+i < n
			if (len(got) == 1 && got[0] == from+i) != there {
				t.Fatalf("%s: %v", names[i], got)
			}
		}
	}
}

func TestSearchAllocatesNothing(t *testing.T) {
	tree := NewTree[int]()
	for i, f := range []string{"a/b", "a/+", "#", "+/b/#", "$x/y"} {
		tree.Add(f, i)
	}
	names := [][]byte{[]byte("a/b"), []byte("a/c"), []byte("b/b/b"), []byte("$x/y")}
	var s Search[int]
	dst := make([]int, 0, 8)
	look := func() {
		s.Look(tree, names)
		for i := range names {
			dst = s.Found(i, dst[:0])
		}
		s.Forget()
	}
	look()
	if n := testing.AllocsPerRun(100, look); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Readers that look several names up find what stays, whatever else happens.
func TestSearchDuringChurn(t *testing.T) {
	tree := NewTree[int]()
	tree.Add("a/stay/+", 1)
	tree.Add("+/stay/x", 2)
	names := [][]byte{[]byte("a/stay/x"), []byte("a/5/x"), []byte("a/stay/x"), []byte("b/7/x")}
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			var s Search[int]
			for !done.Load() {
				s.Look(tree, names)
				for _, i := range []int{0, 2} {
					if got := s.Found(i, nil); len(got) != 2 {
						t.Errorf("found %v", got)
						return
					}
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(4, 4))
	for range 20_000 {
		f := fmt.Sprintf([]string{"a/%d/+", "b/%d/#", "%d"}[r.IntN(3)], r.IntN(100))
		if tree.Add(f, 9); r.IntN(3) > 0 {
			tree.Remove(f, 9)
		}
	}
	done.Store(true)
	wg.Wait()
}
