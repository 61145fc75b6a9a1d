package index

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/midgemq/midge/topic"
)

var levels = []string{"a", "b", "c", "", "$x", "+"}

func randomFilter(r *rand.Rand) string {
	parts := make([]string, 1+r.IntN(4))
	for i := range parts {
		parts[i] = levels[r.IntN(len(levels))]
	}
	if r.IntN(4) == 0 {
		parts[len(parts)-1] = "#"
	}
	return strings.Join(parts, "/")
}

func randomName(r *rand.Rand) string {
	parts := make([]string, 1+r.IntN(4))
	for i := range parts {
		parts[i] = levels[r.IntN(len(levels)-1)]
	}
	return strings.Join(parts, "/")
}

// A tree driven at random finds what a list of its filters finds.
func TestTreeAgainstList(t *testing.T) {
	type sub struct {
		filter string
		v      int
	}
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		tree, list := NewTree[int](), map[sub]bool{}
		for step := range 2000 {
			s := sub{randomFilter(r), r.IntN(40)}
			if s.filter == "" {
				continue
			}
			if r.IntN(2) == 0 {
				tree.Add(s.filter, s.v)
				list[s] = true
			} else if got := tree.Remove(s.filter, s.v); got != list[s] {
				t.Fatalf("seed %d step %d: Remove(%q, %d) = %v", seed, step, s.filter, s.v, got)
			} else {
				delete(list, s)
			}
			name := randomName(r)
			var want []int
			for s := range list {
				if topic.Match(s.filter, name) {
					want = append(want, s.v)
				}
			}
			got := tree.Match([]byte(name), nil)
			slices.Sort(got)
			slices.Sort(want)
			if name != "" && !slices.Equal(got, want) {
				t.Fatalf("seed %d step %d: Match(%q) = %v, want %v", seed, step, name, got, want)
			}
		}
		for s := range list {
			tree.Remove(s.filter, s.v)
		}
		if !tree.root.barren() {
			t.Fatalf("seed %d: an empty tree has branches left", seed)
		}
	}
}

// While Version stays the same, a result is what Match would return. Readers
// never see a value before it was added or after its removal was announced.
func TestVersionGuarantee(t *testing.T) {
	tree := NewTree[int]()
	var added, removed atomic.Int64 // values below are there for sure; below removed, gone for sure
	const n, window = 200_000, 4
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			tree.Add("a/+", i)
			added.Store(int64(i + 1))
			runtime.Gosched()
			if i >= window {
				tree.Remove("a/+", i-window)
				removed.Store(int64(i - window + 1))
				runtime.Gosched()
			}
		}
	})
	for range 4 {
		wg.Go(func() {
			var cached []int
			version, name := uint64(0), []byte("a/b")
			for ; added.Load() < n; runtime.Gosched() {
				if v := tree.Version(); v != version {
					version = v
					cached = tree.Match(name, cached[:0])
				}
				low, high := removed.Load(), added.Load()
				if tree.Version() != version {
					continue
				}
				if len(cached) > 0 && int64(slices.Min(cached)) < low {
					t.Errorf("%v is served, although all below %d were removed", cached, low)
					return
				}
				if high > 0 && !slices.Contains(cached, int(high-1)) {
					t.Errorf("%v is served, although %d was added", cached, high-1)
					return
				}
			}
		})
	}
	wg.Wait()
}

// What is there all along is found exactly once, whatever grows, is renewed
// and is pruned around it.
func TestTreeReadersDuringChurn(t *testing.T) {
	tree := NewTree[int]()
	stay := []string{"#", "a/+", "a/b/#", "a/b", "+/b", "+/+/#"}
	for i, f := range stay {
		tree.Add(f, i)
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			var dst []int
			for !done.Load() {
				dst = tree.Match([]byte("a/b"), dst[:0])
				slices.Sort(dst)
				steady, _ := slices.BinarySearch(dst, len(stay))
				if steady != len(stay) || !slices.Equal(dst[:steady], []int{0, 1, 2, 3, 4, 5}) {
					t.Errorf("found %v", dst)
					return
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(3, 3))
	for range 100 {
		var added []string
		for range 200 {
			f := [...]string{"a/%d", "%d", "%d/b", "a/b", "a/+", "#", "+/%d"}[r.IntN(7)]
			if strings.Contains(f, "%") {
				f = fmt.Sprintf(f, r.IntN(300))
			}
			tree.Add(f, 1000+r.IntN(50))
			added = append(added, f)
		}
		for _, f := range added {
			for v := range 50 {
				tree.Remove(f, 1000+v)
			}
		}
	}
	done.Store(true)
	wg.Wait()
}

// A hundred thousand come to one filter, or under one node, and go again.
// Copying what is there at every step would allocate a thousandfold.
func TestCrowds(t *testing.T) {
	const n = 100_000
	before := allocated()
	tree := NewTree[int]()
	for i := range n {
		tree.Add("one/filter", i)
		tree.Add(fmt.Sprintf("many/%d/+", i), i)
	}
	if got := len(tree.Match([]byte("one/filter"), nil)); got != n {
		t.Fatalf("%d of %d under one filter", got, n)
	}
	if got := tree.Match([]byte("many/77777/x"), nil); len(got) != 1 || got[0] != 77777 {
		t.Fatalf("got %v", got)
	}
	for i := range n {
		if !tree.Remove("one/filter", i) || !tree.Remove(fmt.Sprintf("many/%d/+", i), i) {
			t.Fatal("lost", i)
		}
	}
	if !tree.root.barren() {
		t.Error("branches are left")
	}
	if each := (allocated() - before) / n; each > 2000 {
		t.Errorf("%d bytes allocated for each", each)
	}
}

// One that comes and goes leaves no trail for others to walk.
func TestComingAndGoingLeavesNoTrail(t *testing.T) {
	tree := NewTree[int]()
	for i := range 1000 {
		tree.Add(fmt.Sprint(i), i)
	}
	for range 400 {
		tree.Add("guest", 1)
		tree.Remove("guest", 1)
	}
	if dead := tree.root.kids.Load().dead; dead > 1 {
		t.Errorf("%d headstones after one guest", dead)
	}
}

func TestDeepTopics(t *testing.T) {
	deep := strings.Repeat("/", 65534)
	tree := NewTree[int]()
	tree.Add(strings.Repeat("+/", 32766)+"#", 1)
	tree.Add(deep, 2)
	if got := tree.Match([]byte(deep), nil); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

// Where + and the level itself both lead on at every level, each filter costs
// once: all 2^12 of them that match, and a chain that doubling would never end.
func TestPlusMultipliesNoMoreThanFilters(t *testing.T) {
	const depth = 12
	tree := NewTree[int]()
	for i := range 1 << depth {
		parts := make([]string, depth)
		for j := range parts {
			parts[j] = string("a+"[i>>j&1])
		}
		tree.Add(strings.Join(parts, "/"), i)
	}
	got := tree.Match([]byte("a"+strings.Repeat("/a", depth-1)), nil)
	slices.Sort(got)
	if len(slices.Compact(got)) != 1<<depth {
		t.Errorf("%d filters of %d", len(got), 1<<depth)
	}
	tree = NewTree[int]()
	const long = 1000
	for i := range long {
		tree.Add(strings.Repeat("a/", i)+"+/#", i)
		tree.Add(strings.Repeat("+/", i)+"a", i)
	}
	name := []byte("a" + strings.Repeat("/a", long-1))
	dst := tree.Match(name, nil)
	if len(dst) != long+1 {
		t.Errorf("%d filters, want %d", len(dst), long+1)
	}
	if n := testing.AllocsPerRun(10, func() { dst = tree.Match(name, dst[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	tree := NewTree[int]()
	for i, f := range []string{"a/b", "a/+", "#", "+/b/#", "$x/y"} {
		tree.Add(f, i)
	}
	dst, name := make([]int, 0, 8), []byte("a/b")
	if n := testing.AllocsPerRun(100, func() { dst = tree.Match(name, dst[:0]) }); n != 0 || len(dst) != 4 {
		t.Errorf("%v allocations, %v", n, dst)
	}
}

// A branch that stays does not keep the long filter that began it.
func TestFiltersAreNotKept(t *testing.T) {
	const n, long = 100, 60_000
	tree, tail := NewTree[int](), strings.Repeat("y", long)
	before := heap()
	for i := range n {
		branch := fmt.Sprint(i)
		tree.Add(branch+"/"+tail, 1)
		tree.Add(branch+"/x", 1)
		tree.Remove(branch+"/"+tail, 1)
	}
	if kept := heap() - before; kept > n*long/10 {
		t.Errorf("%d bytes are kept", kept)
	}
	runtime.KeepAlive(tree)
}

// The budget of a wildcard filter of a fleet.
func TestBytesPerFilter(t *testing.T) {
	const n, budget = 100_000, 245
	before := heap()
	tree := NewTree[*int]()
	fill(tree, "dev/%d/+/state/#", n)
	if each := (heap() - before) / n; each > budget {
		t.Errorf("a filter takes %d bytes, the budget is %d", each, budget)
	}
	runtime.KeepAlive(tree)
}
