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

func TestRetainedAgainstMap(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 2))
		store, model := NewRetained[int](), map[string]int{}
		for step := range 2000 {
			name := randomName(r)
			switch r.IntN(3) {
			case 0:
				store.Set(name, &step)
				model[name] = step
			case 1:
				_, had := model[name]
				if got := store.Delete(name); got != had {
					t.Fatalf("seed %d step %d: Delete(%q) = %v", seed, step, name, got)
				}
				delete(model, name)
			case 2:
				v := store.Get(name)
				if want, had := model[name]; (v != nil) != had || had && *v != want {
					t.Fatalf("seed %d step %d: Get(%q) = %v, want %d, %v", seed, step, name, v, want, had)
				}
			}
			filter := randomFilter(r)
			if filter == "" {
				continue
			}
			var got, want []int
			store.Match(filter, func(v *int) bool { got = append(got, *v); return true })
			for name, v := range model {
				if topic.Match(filter, name) {
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
		store.Set(fmt.Sprint("a/", i), &i)
	}
	n := 0
	store.Match("#", func(*int) bool { n++; return n < 3 })
	if n != 3 {
		t.Errorf("%d visits after the third said stop", n)
	}
	if store.DeleteIf("a/1", func(v *int) bool { return *v != 1 }) || store.Len() != 10 {
		t.Error("deleted a value that was not meant")
	}
}

// Whether a value is set can hang on the one before; a topic that is refused
// leaves nothing behind.
func TestRetainedSetIf(t *testing.T) {
	store := NewRetained[int]()
	for _, c := range []struct{ v, want, n int }{{5, 5, 1}, {3, 5, 1}, {7, 7, 1}} {
		wasSet := store.SetIf("a/b", &c.v, func(old *int) bool { return old == nil || c.v > *old })
		if got := *store.Get("a/b"); got != c.want || wasSet != (got == c.v) || store.Len() != c.n {
			t.Errorf("SetIf(%d): %v, then %d, %d topics", c.v, wasSet, got, store.Len())
		}
	}
	if store.SetIf("c/d", new(int), func(old *int) bool { return old != nil }) || store.Len() != 1 {
		t.Error("a refused topic was set")
	}
	store.Delete("a/b")
	if !store.root.barren() {
		t.Error("a refused topic left its levels behind")
	}
}

// A topic that has a value throughout is visited once, with a value it had.
func TestRetainedReadersDuringChurn(t *testing.T) {
	store := NewRetained[int]()
	const stay = 50
	for i := range stay {
		store.Set(fmt.Sprint("a/", i, "/x"), &i)
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for _, filter := range []string{"#", "a/+/x"} {
		wg.Go(func() {
			for !done.Load() {
				var seen [stay]int
				store.Match(filter, func(v *int) bool {
					if *v >= 0 {
						seen[*v%stay]++
					}
					return true
				})
				for i, n := range seen {
					if n != 1 {
						t.Errorf("%s: topic %d was visited %d times", filter, i, n)
						return
					}
				}
				if v := store.Get("a/7/x"); v == nil || *v%stay != 7 {
					t.Errorf("a/7/x has %v", v)
					return
				}
			}
		})
	}
	for round := range 100 {
		for i := range 300 {
			guest, mark := -1, round*stay+i%stay
			store.Set(fmt.Sprint("a/", stay+i, "/x"), &guest)
			store.Set(fmt.Sprint("a/", i%stay, "/x"), &mark)
		}
		for i := range 300 {
			store.Delete(fmt.Sprint("a/", stay+i, "/x"))
		}
	}
	done.Store(true)
	wg.Wait()
	if store.Len() != stay {
		t.Errorf("%d are left", store.Len())
	}
}

// A walk in steps finds what one in one go does, however small they are, and
// goes no further than it may.
func TestWalkInSteps(t *testing.T) {
	store := NewRetained[int]()
	const n = 3000
	for i := range n {
		store.Set(fmt.Sprint("a/", i, "/x"), &i)
		store.Set(fmt.Sprint("$a/", i), &i)
	}
	for _, c := range []struct {
		filter string
		want   int
	}{{"#", n}, {"a/+/x", n}, {"+/+/#", n}, {"a/7/x", 1}, {"a/+/y", 0}, {"b/#", 0}, {"$a/+", n}} {
		seen := make([]bool, n)
		found, calls := 0, 0
		for w := store.Walk(c.filter); w.More(); calls++ {
			steps := 10
			for v := w.Next(&steps); v != nil; v = w.Next(&steps) {
				if found++; seen[*v] {
					t.Fatalf("%s: %d twice", c.filter, *v)
				}
				seen[*v] = true
			}
			if steps < 0 {
				t.Fatalf("%s: %d steps too many", c.filter, -steps)
			}
		}
		if most := 3*n/10 + 2; found != c.want || calls > most {
			t.Errorf("%s: %d of %d found in %d calls, want %d at most", c.filter, found, c.want, calls, most)
		}
	}
}

// A visitor may write; nobody waits for it.
func TestRetainedVisitorWrites(t *testing.T) {
	store := NewRetained[int]()
	for i := range 1000 {
		store.Set(fmt.Sprint("a/", i), &i)
	}
	store.Match("a/+", func(v *int) bool {
		if !store.Delete(fmt.Sprint("a/", *v)) {
			t.Errorf("%d was visited and not there", *v)
		}
		return true
	})
	if store.Len() != 0 || !store.root.barren() {
		t.Errorf("%d are left", store.Len())
	}
}

func TestRetainedDeepTopics(t *testing.T) {
	deep := strings.Repeat("/", 65534)
	store := NewRetained[int]()
	store.Set(deep, new(int))
	for _, filter := range []string{"#", "+/#", deep, strings.Repeat("+/", 32000) + "#"} {
		n := 0
		store.Match(filter, func(*int) bool { n++; return true })
		if n != 1 {
			t.Errorf("%.10s: %d found", filter, n)
		}
	}
}

func TestRetainedGetAllocatesNothing(t *testing.T) {
	store := NewRetained[int]()
	v := new(int)
	store.Set("a/b", v)
	if n := testing.AllocsPerRun(100, func() {
		if store.Get("a/b") != v {
			t.Error("lost")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The budget of a retained topic of a fleet, without its message.
func TestBytesPerRetainedTopic(t *testing.T) {
	const n, budget = 100_000, 160
	v := new(int)
	before := heap()
	store := NewRetained[int]()
	for i := range n {
		store.Set(fmt.Sprintf("dev/%d/state", i), v)
	}
	if each := (heap() - before) / n; each > budget {
		t.Errorf("a topic takes %d bytes, the budget is %d", each, budget)
	}
	runtime.KeepAlive(store)
}
