package disk

import (
	"log/slog"
	"testing"

	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/storetest"
)

func quiet(opt Options) Options {
	opt.Logger = slog.New(slog.DiscardHandler)
	return opt
}

func TestStore(t *testing.T) {
	for _, opt := range []Options{{}, {SegmentSize: 4096}, {Durability: Interval}, {Durability: None, SegmentSize: 16384}} {
		t.Run(opt.Durability.String(), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) (store.Store, func(bool) store.Store) {
				dir := t.TempDir()
				must := func() *Store {
					st, err := Open(dir, quiet(opt))
					if err != nil {
						t.Fatal(err)
					}
					return st
				}
				st := must()
				return st, func(bool) store.Store {
					if err := st.Close(); err != nil {
						t.Fatal(err)
					}
					st = must()
					return st
				}
			})
		})
	}
}
