package flight

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, int]
		var worked atomic.Int32
		work := func(context.Context) (int, error) {
			<-time.After(time.Second)
			return int(worked.Add(1)), errors.New("so")
		}
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				key := []string{"a", "b"}[i%2]
				if v, err := g.Do(t.Context(), key, work); v < 1 || v > 2 || err.Error() != "so" {
					t.Error(v, err)
				}
			})
		}
		all.Wait()
		if worked.Load() != 2 || len(g.calls) != 0 {
			t.Error(worked.Load(), g.calls)
		}
		if v, _ := g.Do(t.Context(), "a", work); v != 3 {
			t.Error("an old outcome", v)
		}
	})
}

// Work goes on while somebody waits for it, and no longer.
func TestLastOneOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[int, int]
		ended := make(chan error, 1)
		work := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return 0, ctx.Err()
		}
		first, cancelFirst := context.WithCancel(t.Context())
		second, cancelSecond := context.WithCancel(t.Context())
		out := make(chan error, 2)
		for _, ctx := range []context.Context{first, second} {
			go func() { _, err := g.Do(ctx, 1, work); out <- err }()
			synctest.Wait()
		}
		cancelFirst()
		if err := <-out; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		synctest.Wait()
		if len(ended) != 0 {
			t.Error("the second is left alone")
		}
		cancelSecond()
		<-out
		<-ended
		if v, err := g.Do(t.Context(), 1, func(context.Context) (int, error) { return 7, nil }); v != 7 || err != nil {
			t.Error(v, err)
		}
	})
}
