// Package flight does once what several ask for at the same time.
package flight

import (
	"context"
	"sync"
)

// A Group does work by key. The zero value is ready.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[V] // guarded by mu
}

type call[V any] struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int // guarded by Group.mu

	value V // set before done is closed
	err   error
}

// Do returns what work returns for a key. If it is at work for that key
// already, Do waits for the same outcome. The context of work has the values
// of the first caller's ctx, and ends when the last one has given up: Do then
// returns ctx's error, and the next call starts anew.
func (g *Group[K, V]) Do(ctx context.Context, key K, work func(ctx context.Context) (V, error)) (V, error) {
	g.mu.Lock()
	c := g.calls[key]
	if c == nil {
		c = &call[V]{done: make(chan struct{})}
		if g.calls == nil {
			g.calls = map[K]*call[V]{}
		}
		g.calls[key] = c
		var own context.Context
		own, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
		go g.run(own, key, c, work)
	}
	c.waiting++
	g.mu.Unlock()

	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.waiting--; c.waiting == 0 {
		c.cancel()
		g.forgetLocked(key, c)
	}
	var none V
	return none, ctx.Err()
}

func (g *Group[K, V]) run(ctx context.Context, key K, c *call[V], work func(context.Context) (V, error)) {
	defer c.cancel()
	c.value, c.err = work(ctx)
	g.mu.Lock()
	g.forgetLocked(key, c)
	g.mu.Unlock()
	close(c.done)
}

func (g *Group[K, V]) forgetLocked(key K, c *call[V]) {
	if g.calls[key] == c {
		delete(g.calls, key)
	}
}
