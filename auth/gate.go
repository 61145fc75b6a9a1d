package auth

import (
	"context"
	"slices"
	"sync"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
)

// A gate bounds how much of something expensive goes on at once. Those who
// wait are served source by source in turn, so that one who asks without end
// delays itself.
type gate struct {
	// Immutable.
	perSource, total int // how many may wait

	mu      sync.Mutex
	free    int                        // guarded by mu
	waiting int                        // guarded by mu
	queues  map[string][]chan struct{} // guarded by mu, by source
	turn    []string                   // guarded by mu: sources that have a queue
}

// errBusy is a gate with too many in front of it.
var errBusy = &midge.Refusal{Code: mqtt.ServerBusy, Reason: "too many are logging in"}

func newGate(slots int) *gate {
	return &gate{perSource: 128, total: 1024, free: slots, queues: map[string][]chan struct{}{}}
}

// enter waits for a place. The error is errBusy or that of ctx; without one,
// leave has to be called.
func (g *gate) enter(ctx context.Context, source string) error {
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return nil
	}
	queue := g.queues[source]
	if g.waiting >= g.total || len(queue) >= g.perSource {
		g.mu.Unlock()
		return errBusy
	}
	called := make(chan struct{})
	if queue == nil {
		g.turn = append(g.turn, source)
	}
	g.queues[source] = append(queue, called)
	g.waiting++
	g.mu.Unlock()

	select {
	case <-called:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	i := slices.Index(g.queues[source], called)
	if i < 0 { // called in the same moment
		g.mu.Unlock()
		g.leave()
		return ctx.Err()
	}
	g.waiting--
	if g.queues[source] = slices.Delete(g.queues[source], i, i+1); len(g.queues[source]) == 0 {
		delete(g.queues, source)
		g.turn = slices.DeleteFunc(g.turn, func(s string) bool { return s == source })
	}
	g.mu.Unlock()
	return ctx.Err()
}

// leave makes room for the next.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.turn) == 0 {
		g.free++
		return
	}
	source := g.turn[0]
	g.turn = g.turn[1:]
	queue := g.queues[source]
	close(queue[0])
	g.waiting--
	if queue = queue[1:]; len(queue) == 0 {
		delete(g.queues, source)
		return
	}
	g.queues[source] = queue
	g.turn = append(g.turn, source)
}
