package index

import (
	"fmt"
	"runtime"
	"testing"
)

func fill(tree *Tree[*int], format string, n int) {
	v := new(int)
	for i := range n {
		tree.Add(fmt.Sprintf(format, i), v)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// allocated is how many bytes were ever allocated.
func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}

var sizes = []int{10, 1_000, 100_000, 1_000_000}

func BenchmarkTreeMatch(b *testing.B) {
	for _, kind := range []struct{ name, filter, topic string }{
		{"exact", "dev/%d/lamp/state", "dev/%d/lamp/state"},
		{"wildcard", "dev/%d/+/state/#", "dev/%d/lamp/state/on"},
	} {
		for _, n := range sizes {
			b.Run(fmt.Sprint(kind.name, "/", n), func(b *testing.B) {
				before := heap()
				tree := NewTree[*int]()
				fill(tree, kind.filter, n)
				each := float64(heap()-before) / float64(n)
				names := make([][]byte, 1024)
				for i := range names {
					names[i] = fmt.Appendf(nil, kind.topic, i*7919%n)
				}
				dst := make([]*int, 0, 8)
				i := 0
				b.ReportAllocs()
				for b.Loop() {
					if dst = tree.Match(names[i%len(names)], dst[:0]); len(dst) != 1 {
						b.Fatal("found", len(dst))
					}
					i++
				}
				b.ReportMetric(each, "B/filter")
			})
		}
	}
}

func BenchmarkTreeAddRemove(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tree := NewTree[*int]()
			fill(tree, "dev/%d/+/state/#", n)
			v := new(int)
			b.ReportAllocs()
			for b.Loop() {
				tree.Add("dev/new/+/state/#", v)
				tree.Remove("dev/new/+/state/#", v)
			}
		})
	}
}

func BenchmarkRetainedMatch(b *testing.B) {
	for _, n := range sizes {
		for _, kind := range []struct {
			name, filter string
			found        int
		}{{"one", "dev/7/+", 1}, {"all", "#", n}} {
			b.Run(fmt.Sprint(kind.name, "/", n), func(b *testing.B) {
				v := new(int)
				before := heap()
				store := NewRetained[int]()
				for i := range n {
					store.Set(fmt.Sprintf("dev/%d/state", i), v)
				}
				each := float64(heap()-before) / float64(n)
				b.ReportAllocs()
				for b.Loop() {
					found := 0
					store.Match(kind.filter, func(*int) bool { found++; return true })
					if found != kind.found {
						b.Fatal("found", found)
					}
				}
				b.ReportMetric(each, "B/topic")
			})
		}
	}
}
