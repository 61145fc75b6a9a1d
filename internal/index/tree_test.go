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

// matches is MQTT's rule, written apart from the index and from package topic.
func matches(filter, name string) bool {
	if strings.HasPrefix(name, "$") && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	f, n := strings.Split(filter, "/"), strings.Split(name, "/")
	for i := range f {
		if f[i] == "#" {
			return len(n) >= i
		}
		if i >= len(n) || (f[i] != "+" && f[i] != n[i]) {
			return false
		}
	}
	return len(f) == len(n)
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
				if matches(s.filter, name) {
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
		if tree.root.kids.Load() != nil || tree.root.plus.Load() != nil || tree.root.hash.Load() != nil {
			t.Fatalf("seed %d: an empty tree has branches left", seed)
		}
	}
}

func TestRetainedAgainstMap(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 2))
		store, model := NewRetained[int](), map[string]int{}
		for step := range 2000 {
			name := randomName(r)
			switch r.IntN(3) {
			case 0:
				store.Set(name, step)
				model[name] = step
			case 1:
				_, had := model[name]
				if got := store.Delete(name); got != had {
					t.Fatalf("seed %d step %d: Delete(%q) = %v", seed, step, name, got)
				}
				delete(model, name)
			case 2:
				v, ok := store.Get(name)
				if want, had := model[name]; ok != had || v != want {
					t.Fatalf("seed %d step %d: Get(%q) = %d, %v", seed, step, name, v, ok)
				}
			}
			filter := randomFilter(r)
			if filter == "" {
				continue
			}
			var got, want []int
			store.Match(filter, func(v int) bool { got = append(got, v); return true })
			for name, v := range model {
				if matches(filter, name) {
					want = append(want, v)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) || store.Len() != len(model) {
				t.Fatalf("seed %d step %d: Match(%q) = %v, want %v", seed, step, filter, got, want)
			}
		}
	}
}

func TestRetainedMatchStops(t *testing.T) {
	store := NewRetained[int]()
	for i := range 10 {
		store.Set(fmt.Sprint("a/", i), i)
	}
	n := 0
	store.Match("#", func(int) bool { n++; return n < 3 })
	if n != 3 {
		t.Errorf("%d visits after the third said stop", n)
	}
	if store.DeleteIf("a/1", func(v int) bool { return v != 1 }) || store.Len() != 10 {
		t.Error("deleted a value that was not meant")
	}
}

// While Version stays the same, a result is what Match would return. Readers
// never see a value before it was added or after its removal was announced.
func TestVersionGuarantee(t *testing.T) {
	tree := NewTree[int]()
	var added, removed atomic.Int64 // values below are there for sure; below removed, gone for sure
	const n = 20_000
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			tree.Add("a/+", i)
			added.Store(int64(i + 1))
			if i >= 100 {
				tree.Remove("a/+", i-100)
				removed.Store(int64(i - 100 + 1))
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			var cached []int
			var version uint64
			for added.Load() < n {
				low, high := removed.Load(), added.Load()
				if v := tree.Version(); v != version || cached == nil {
					version = v
					cached = tree.Match([]byte("a/b"), cached[:0])
				}
				if tree.Version() != version {
					continue
				}
				have := map[int]bool{}
				for _, v := range cached {
					have[v] = true
					if int64(v) < low {
						t.Errorf("value %d is served, although its removal was seen", v)
						return
					}
				}
				for v := max(low, high-50); v < high; v++ {
					if !have[int(v)] && removed.Load() <= v {
						t.Errorf("value %d is missing from a result that counts as current", v)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// A hundred thousand come to one filter, or under one node, and go again. The
// quadratic way would take hours; this takes a moment or the test times out.
func TestCrowds(t *testing.T) {
	const n = 100_000
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
	if tree.root.kids.Load() != nil {
		t.Error("branches are left")
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
	store := NewRetained[int]()
	store.Set(deep, 1)
	n := 0
	store.Match("#", func(int) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d found", n)
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

// The budget of a wildcard filter of a fleet: what a rival's costs is in the
// hundreds, too.
func TestBytesPerFilter(t *testing.T) {
	const n, budget = 100_000, 600
	before := heap()
	tree := NewTree[*int]()
	fill(tree, n)
	each := (heap() - before) / n
	t.Logf("%d bytes a filter", each)
	if each > budget {
		t.Errorf("a filter takes %d bytes, the budget is %d", each, budget)
	}
	runtime.KeepAlive(tree)
}

func fill(tree *Tree[*int], n int) {
	for i := range n {
		tree.Add(fmt.Sprintf("dev/%d/+/state/#", i), new(int))
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n, " wildcard filters"), func(b *testing.B) {
			before := heap()
			tree := NewTree[*int]()
			fill(tree, n)
			each := float64(heap()-before) / float64(n)
			names := make([][]byte, 1024)
			for i := range names {
				names[i] = fmt.Appendf(nil, "dev/%d/lamp/state/on", i*7919%n)
			}
			dst := make([]*int, 0, 8)
			b.ResetTimer()
			for i := range b.N {
				dst = tree.Match(names[i%len(names)], dst[:0])
			}
			b.ReportMetric(each, "B/filter")
		})
	}
}
