package midge_test

import (
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
)

// Bounds change under clients that are there, and what is there stays.
func TestAdjust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{MaxSubscriptions: 1, MaxRetained: 1, MaxTopicLevels: 2})
		p := w.connect("p")
		want := func(got, want mqtt.ReasonCode) {
			t.Helper()
			if got != want && (got.Failed() || want.Failed()) { // nobody matching is no failure
				t.Errorf("%v, want %v", got, want)
			}
		}
		want(p.ask("a"), 0)
		want(p.ask("b"), mqtt.QuotaExceeded)
		want(p.retain("r/1", "x"), 0)
		want(p.retain("r/2", "x"), mqtt.QuotaExceeded)
		if err := w.b.Adjust(midge.Config{MaxSubscriptions: 2, MaxRetained: 2}); err != nil {
			t.Fatal(err)
		}
		want(p.ask("b/c/d"), 0)
		want(p.retain("r/2", "x"), 0)
		if err := w.b.Adjust(midge.Config{MaxSubscriptions: 1, MaxRetained: 1}); err != nil {
			t.Fatal(err)
		}
		want(p.ask("c"), mqtt.QuotaExceeded)
		want(p.ask("a"), 0)
		want(p.retain("r/3", "x"), mqtt.QuotaExceeded)
		want(p.retain("r/1", "y"), 0)
		if err := w.b.Adjust(midge.Config{MaxSubscriptions: -1}); err == nil {
			t.Error("a bound below 1 is taken")
		}
	})
}
