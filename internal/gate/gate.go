// Package gate bounds how much of something expensive goes on at once. Those
// who wait are served source by source in turn, so that one who asks without
// end delays itself.
package gate

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// A Gate has places, and room for some who wait for one. Its methods may be
// called from any goroutine.
type Gate struct {
	// Immutable.
	perSource, total int // how many may wait

	mu      sync.Mutex
	free    int                        // guarded by mu
	waiting int                        // guarded by mu
	queues  map[string][]chan struct{} // guarded by mu, by source
	turn    []string                   // guarded by mu: sources that have a queue
}

// ErrFull is a gate with too many in front of it.
var ErrFull = errors.New("gate: too many wait")

// New returns a gate with places, before which total may wait, an eighth of
// them, one at least, from one source.
func New(places, total int) *Gate {
	return &Gate{perSource: max(total/8, 1), total: total, free: places, queues: map[string][]chan struct{}{}}
}

// Source is who is held responsible for what a peer asks for: its address, or
// of IPv6, where one has as many as it likes, the network.
func Source(peer net.Addr) string {
	if peer == nil {
		return ""
	}
	at, err := netip.ParseAddrPort(peer.String())
	if err != nil {
		return peer.Network()
	}
	addr := at.Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	network, _ := addr.Prefix(64) // within 128
	return network.String()
}

// Enter waits for a place. The error is ErrFull or that of ctx; without one,
// Leave has to be called.
func (g *Gate) Enter(ctx context.Context, source string) error {
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return nil
	}
	queue := g.queues[source]
	if g.waiting >= g.total || len(queue) >= g.perSource {
		g.mu.Unlock()
		return ErrFull
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
		g.Leave()
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

// Leave makes room for the next.
func (g *Gate) Leave() {
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

// Waiting returns how many wait.
func (g *Gate) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}
