package auth

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// Those who wait are called source by source.
func TestGateIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		g.enter(t.Context(), "first")
		order := make(chan string, 10)
		for _, source := range []string{"a", "a", "a", "b", "c", "b"} {
			go func() {
				if g.enter(t.Context(), source) == nil {
					order <- source
				}
			}()
			synctest.Wait()
		}
		var got []string
		for range 6 {
			g.leave()
			got = append(got, <-order)
		}
		if want := []string{"a", "b", "c", "a", "b", "a"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		g.leave()
		if g.free != 1 || g.waiting != 0 || len(g.queues)+len(g.turn) != 0 {
			t.Errorf("%+v", g)
		}
	})
}

func TestGateIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		g.perSource, g.total = 2, 3
		g.enter(t.Context(), "")
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 9)
		for _, source := range []string{"a", "a", "a", "b", "c"} {
			go func() { errs <- g.enter(ctx, source) }()
			synctest.Wait()
		}
		for range 2 { // the third a, and c
			if err := <-errs; !errors.Is(err, errBusy) {
				t.Error(err)
			}
		}
		cancel()
		for range 3 {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		g.leave()
		if g.free != 1 || g.waiting != 0 || len(g.queues)+len(g.turn) != 0 {
			t.Errorf("%+v", g)
		}
	})
}
