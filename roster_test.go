package midge

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// A roster says what a map says, and is as small again when all have gone.
func TestRoster(t *testing.T) {
	r, want := newRoster(), map[string]*session{}
	rnd := rand.New(rand.NewPCG(7, 7))
	const most = 20_000
	step := func(coming int) {
		id := fmt.Sprintf("client-%d", rnd.IntN(most))
		s := want[id]
		if got := r.find(id); got != s {
			t.Fatalf("%s: found %v, want %v", id, got, s)
		}
		switch {
		case s != nil && rnd.IntN(10) >= coming:
			r.drop(s)
			delete(want, id)
		case s == nil && rnd.IntN(10) < coming:
			want[id] = &session{id: id}
			r.put(want[id])
		}
	}
	for _, coming := range []int{9, 5, 1} {
		for range 3 * most {
			step(coming)
		}
		seen := map[string]*session{}
		for s := range r.all() {
			seen[s.id] = s
		}
		if r.n != len(want) || !maps.Equal(seen, want) {
			t.Fatalf("%d, %d seen, want %d", r.n, len(seen), len(want))
		}
	}
	for _, s := range want {
		r.drop(s)
	}
	for i, slots := range r.tables {
		if len(slots) > leastSlots || slices.ContainsFunc(slots, func(s *session) bool { return s != nil }) {
			t.Errorf("table %d has %d slots, %d used", i, len(slots), r.used[i])
		}
	}
	if r.n != 0 {
		t.Errorf("%d are left", r.n)
	}
}
