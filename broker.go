package midge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/internal/index"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/transport"
)

// ErrClosed is returned by the methods of a broker that has been closed.
var ErrClosed = errors.New("midge: broker closed")

// A Broker is an MQTT server. Its methods may be called from any goroutine,
// hooks and handlers included, except Close and DisconnectAll, which wait for
// connections and so must not be called from a hook.
type Broker struct {
	// Immutable.
	set    *settings
	log    *slog.Logger
	ctx    context.Context // ends with the broker
	cancel context.CancelFunc
	epoch  time.Time
	keep   *keeper // nil: nothing outlives the broker

	// Concurrent by themselves.
	bounds     atomic.Pointer[settings] // set, but for what Adjust has changed
	index      *index.Tree[*subscription]
	retained   *index.Retained[message]
	stored     holding // what retained has
	shares     shares
	count      counters
	sequence   atomic.Uint64
	arrived    atomic.Int64           // the last to claim a session, Unix ns
	shared     atomic.Pointer[Access] // the last SharedAccess a session was given
	paid       bucket                 // of Rate
	overdue    overdue                // by Rate
	budget     budget
	replayed   bucket                  // off ReplayRate
	replayNews overdue                 // for MaxReplay
	work       sync.WaitGroup          // goroutines of the broker's own, connections included
	scratches  sync.Pool               // of *scratch
	watches    atomic.Pointer[watches] // nil: nobody looks; written under mu
	hush       hush
	loops      loops // read plain sockets, where the system lets them

	mu        sync.Mutex
	sessions  *roster                           // guarded by mu
	kept      int                               // guarded by mu: sessions that are to outlive their connections
	connected int                               // guarded by mu: sessions with an owner
	endings   map[string]store.Position         // guarded by mu: of sessions that are no more, and the disk may not know
	conns     []*conn                           // guarded by mu; each knows its place
	locals    map[*localClient]struct{}         // guarded by mu
	listeners map[transport.Listener]*listening // guarded by mu
	fallen    []string                          // guarded by mu: URLs of listeners that have failed
	closed    bool                              // guarded by mu
}

// New checks cfg and binds its listeners. The broker serves from then on,
// until Close. An error names every field that is out of range, or the
// address that could not be bound; nothing is left open then.
func New(cfg Config) (*Broker, error) {
	set, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Broker{
		set: set, log: set.Logger, ctx: ctx, cancel: cancel, epoch: time.Now(),
		scratches: sync.Pool{New: func() any { return new(scratch) }},
		index:     index.NewTree[*subscription](),
		retained:  index.NewRetained[message](),
		sessions:  newRoster(),
		endings:   map[string]store.Position{},
		locals:    map[*localClient]struct{}{},
		listeners: map[transport.Listener]*listening{},
	}
	b.bounds.Store(set)
	b.keep = newKeeper(set.Store)
	if err := b.recover(); err != nil {
		b.Close()
		return nil, err
	}
	if len(set.Listeners) > 0 {
		err = b.loops.start(b)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	for _, l := range set.Listeners {
		if l.Options.Poller = nil; len(b.loops.all) > 0 {
			l.Options.Poller = b.loops.poller
		}
		l.Options.OnError = b.hearOf(l.URL, l.Options.OnError)
		ln, err := transport.Listen(ctx, l.URL, l.Options)
		if err == nil {
			err = b.Serve(ln)
		}
		if err != nil {
			b.Close()
			return nil, err
		}
	}
	b.work.Go(b.housekeep)
	return b, nil
}

// hearOf counts what a listener survived, and tells told, or the log.
func (b *Broker) hearOf(url string, told func(error)) func(error) {
	if told == nil {
		told = func(err error) { b.sayOfStrangers(slog.LevelInfo, "listener", "url", url, "error", err) }
	}
	return func(err error) {
		var upgrade *transport.RefusedError
		var proxy *transport.ProxyError
		switch {
		case errors.As(err, &upgrade):
			b.count.refused.handshake.Add(1)
		case errors.As(err, &proxy):
			b.count.refused.proxy.Add(1)
		}
		told(err)
	}
}

// Run serves cfg in the calling goroutine until ctx ends, then closes the
// broker in good order and returns nil. It returns at once with an error that
// keeps the broker from starting.
func Run(ctx context.Context, cfg Config) error {
	b, err := New(cfg)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return b.Close()
}

// Serve accepts connections from ln too, in the background, and closes ln
// when the broker closes. Each is read by a goroutine of its own: those of
// Config.Listeners share a few where the system allows it. ln has been made
// without [transport.Options.Poller].
func (b *Broker) Serve(ln transport.Listener) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		ln.Close()
		return ErrClosed
	}
	l := &listening{url: ln.String()}
	b.setRate(l)
	b.listeners[ln] = l
	b.work.Go(func() { b.acceptFrom(ln, l) })
	return nil
}

func (b *Broker) acceptFrom(ln transport.Listener, l *listening) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				b.log.Error("listener failed", "url", l.url, "error", err)
				b.fell(l)
			}
			return
		}
		b.start(nc, l)
	}
}

// fell notes that a listener accepts nothing any more.
func (b *Broker) fell(l *listening) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fallen = append(b.fallen, l.url)
}

// Ready returns why the broker should get no new clients: it is being closed, a
// listener has failed, or its store takes nothing. nil: it should.
func (b *Broker) Ready() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrClosed
	case len(b.fallen) > 0:
		return fmt.Errorf("midge: accepts nothing any more: %s", strings.Join(b.fallen, " "))
	case b.keep.stuck():
		return fmt.Errorf("midge: the store takes nothing: %w", b.keep.st.Err())
	}
	return nil
}

// start has one connection served, by a loop or in a goroutine of its own.
func (b *Broker) start(nc transport.Conn, l *listening) {
	b.mu.Lock()
	crowded := b.bounds.Load().MaxConnections > 0 && len(b.conns) >= b.bounds.Load().MaxConnections
	if b.closed || crowded || b.tooMuch(full) {
		b.mu.Unlock()
		nc.Close()
		if crowded {
			b.count.refused.full.Add(1)
			b.sayOfStrangers(slog.LevelWarn, "connection refused: limit reached", "remote", nc.RemoteAddr(), "limit", b.bounds.Load().MaxConnections)
		}
		return
	}
	c := newConn(b, nc, l)
	c.place = int32(len(b.conns))
	b.conns = append(b.conns, c)
	b.budget.connections.Add(connCost(nc))
	if c.sock() != nil && b.set.Hooks.Accept == nil {
		b.work.Add(1)
		b.mu.Unlock()
		c.attach()
		return
	}
	b.work.Go(c.serve)
	b.mu.Unlock()
}

// Addrs returns where the broker listens, as URLs with the ports in force.
func (b *Broker) Addrs() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	urls := make([]string, 0, len(b.listeners))
	for _, l := range b.listeners {
		urls = append(urls, l.url)
	}
	return urls
}

// Close ends the broker: listeners close, wills are said, 5.0 clients are
// told with DISCONNECT 0x8B, every connection is closed, every handler and
// hook returns. It waits for all of that. Hooks that are asked about wills
// have 5 s in all, by their context; one that ignores its context delays Close.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		b.work.Wait()
		return nil
	}
	b.closed = true
	all := slices.Collect(maps.Keys(b.listeners))
	b.mu.Unlock()
	var err error
	for _, ln := range all {
		err = errors.Join(err, ln.Close())
	}

	defer time.AfterFunc(farewell, b.cancel).Stop() // every hook's context ends with b.ctx
	b.dismiss(mqtt.ServerShuttingDown)
	b.sayParkedWills()
	b.cancel()
	b.mu.Lock()
	for l := range b.locals {
		l.close()
	}
	sessions := b.sessions
	b.sessions = newRoster()
	b.mu.Unlock()
	for s := range sessions.all() {
		s.mu.Lock()
		s.stopTimersLocked()
		s.mu.Unlock()
	}
	b.work.Wait()
	b.loops.stop()
	return err
}

// DisconnectAll closes every connection and publishes the wills, as if the
// network had failed; 5.0 clients are told "administrative action". It waits
// until they are gone.
func (b *Broker) DisconnectAll() { b.dismiss(mqtt.AdministrativeAction) }

// dismiss says the wills of the connected while all can still hear them, then
// ends every connection and waits.
func (b *Broker) dismiss(code mqtt.ReasonCode) {
	all := b.snapshot()
	if code == mqtt.ServerShuttingDown {
		for _, c := range all {
			if w := c.willNow(); w != nil && b.keep != nil && w.delay > 0 && c.expiry.Load() > 0 {
				continue // the session goes on, and so does its delay
			}
			if w := c.takeWill(); w != nil {
				b.publishWill(w)
			}
		}
	}
	for _, c := range all {
		c.kick(code, "")
	}
	for _, c := range all {
		c.awaitEnd(context.Background())
	}
}

// Disconnect closes the connection of one client with code, as an
// administrator would; its will is published. It reports whether the client
// was connected.
func (b *Broker) Disconnect(clientID string, code mqtt.ReasonCode) bool {
	b.mu.Lock()
	c := b.sessions.find(clientID).heldBy()
	b.mu.Unlock()
	if c == nil {
		return false
	}
	return c.kick(code, "")
}

// Publish sends m to everyone subscribed, as a client would. It returns when
// m is in every subscriber's hands or queue; it waits for no network, but at
// QoS 1 and 2 for the store, as a client's acknowledgement does. Topics
// that begin with $ are allowed here. m.Payload is copied. An error says what
// no packet can hold, that there is no room for one more retained message (a
// [*Refusal]), or that the broker is closed.
func (b *Broker) Publish(m mqtt.Message) error {
	if err := checkPublic(&m); err != nil {
		return fmt.Errorf("midge: publish %q: %w", m.Topic, err)
	}
	if b.ctx.Err() != nil {
		return ErrClosed
	}
	kept := fromPublic(&m)
	largest := kept.forward(&variant{qos: mqtt.ExactlyOnce}, 0)
	if n := largest.Size(mqtt.V5); n > mqtt.MaxPacketSize {
		return fmt.Errorf("midge: publish %q: a packet of %d bytes, no packet is that large", m.Topic, n)
	}
	b.count.publishedHere.Add(1)
	if m.QoS > mqtt.AtMostOnce && b.keep.stuck() {
		return fmt.Errorf("midge: publish %q: %w", m.Topic, errStuck)
	}
	pos, refusal := b.publishKept(kept, 0)
	if refusal != nil {
		return fmt.Errorf("midge: publish %q: %w", m.Topic, refusal)
	}
	if m.QoS > mqtt.AtMostOnce {
		if err := b.keep.await(b.ctx, pos); err != nil {
			return fmt.Errorf("midge: publish %q: %w", m.Topic, err)
		}
	}
	return nil
}

// since is a point in time as links count it.
func (b *Broker) since(t time.Time) time.Duration { return t.Sub(b.epoch) }

// snapshot is every connection, with or without a session.
func (b *Broker) snapshot() []*conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.conns)
}
