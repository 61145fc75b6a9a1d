package midge

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// However many there are, a session's subscriptions are one to a filter.
func TestSubscriptions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var ss *subscriptions
		model := map[string]*subscription{}
		for range r.IntN(40) {
			filter := fmt.Sprint("f", r.IntN(20))
			if r.IntN(3) == 0 {
				if got := ss.remove(filter); got != model[filter] {
					t.Fatalf("remove %s = %v, want %v", filter, got, model[filter])
				}
				delete(model, filter)
				continue
			}
			sub := &subscription{spec: Subscription{Filter: filter}}
			ss, model[filter] = ss.with(sub), sub
		}
		found := map[string]*subscription{}
		for sub := range ss.all {
			found[sub.spec.Filter] = sub
		}
		if !maps.Equal(found, model) || ss.len() != len(model) {
			t.Fatalf("%d subscriptions, counted as %d, want %d", len(found), ss.len(), len(model))
		}
		for filter, sub := range model {
			if ss.get(filter) != sub {
				t.Fatalf("get %s is another", filter)
			}
		}
		if ss.get("none") != nil {
			t.Fatal("a subscription nobody made")
		}
	}
}
