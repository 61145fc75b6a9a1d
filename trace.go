package midge

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/trace"
)

// Watches are what is looked at, nil while nothing is: see Broker.watches.
// Immutable.
type watches struct {
	all     []*watch      // at most maxWatches
	sampler trace.Sampler // nil: none
}

const (
	maxWatches  = 8
	watchBuffer = 4096    // events that wait for one trace's handler
	watchBytes  = 8 << 20 // of what clients chose in them
)

// A watch is one trace in progress.
type watch struct {
	f   trace.Filter // immutable
	bit watchSet     // immutable: its place in sets

	mu     sync.Mutex
	wake   chan struct{}
	events []trace.Event // guarded by mu: not handled yet
	size   int           // guarded by mu: their bytes
	missed uint64        // guarded by mu: found events full
}

// A watchSet is some of the traces in progress, one bit each.
type watchSet uint8

// ErrTooManyTraces is returned by [Broker.Trace] while 8 are in progress.
var ErrTooManyTraces = errors.New("midge: trace: there are 8 in progress already")

// Trace calls handle with what happens and fits f: see package trace. It
// returns nil when f's time or number is over, and before if ctx or the broker
// ends. The first event says that it has begun, the last, unless ctx ends, why
// it is over. It returns an error at once for an f that makes no sense, and
// while 8 traces are in progress.
//
// handle is called by this goroutine and may block: nothing waits for it. What
// finds 4,096 events waiting, or 8 MiB of topics, filters and payloads in them,
// is counted, and told as an event of kind Missed.
func (b *Broker) Trace(ctx context.Context, f trace.Filter, handle func(trace.Event)) error {
	f, err := f.Resolve()
	if err != nil {
		return err
	}
	w := &watch{f: f, wake: make(chan struct{}, 1)}
	if !b.watch(w) {
		return ErrTooManyTraces
	}
	defer b.unwatch(w)
	handle(trace.Event{Time: time.Now(), Kind: trace.Began, Detail: f.String()})
	end := func(why string) { handle(trace.Event{Time: time.Now(), Kind: trace.Over, Detail: why}) }
	var over <-chan time.Time
	if f.For > 0 {
		t := time.NewTimer(f.For)
		defer t.Stop()
		over = t.C
	}
	left := f.Events
	for {
		select {
		case <-w.wake:
		case <-over:
			end("its time is over")
			return nil
		case <-b.ctx.Done():
			end("the broker has ended")
			return nil
		case <-ctx.Done():
			return nil
		}
		for _, e := range w.take() {
			handle(e)
			if left--; left == 0 {
				end("it has the number of events it was to have")
				return nil
			}
		}
	}
}

// watch puts w among those in progress. False is no room.
func (b *Broker) watch(w *watch) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.watchesLocked()
	var taken watchSet
	for _, other := range next.all {
		taken |= other.bit
	}
	for w.bit = 1; taken&w.bit != 0; w.bit <<= 1 {
	}
	if w.bit == 0 {
		return false
	}
	next.all = append(next.all, w)
	b.watches.Store(&next)
	return true
}

func (b *Broker) unwatch(w *watch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.watchesLocked()
	next.all = slices.DeleteFunc(next.all, func(other *watch) bool { return other == w })
	b.settleLocked(&next)
}

// watchesLocked is a copy to change; settleLocked puts it in force.
func (b *Broker) watchesLocked() watches {
	now := b.watches.Load()
	if now == nil {
		return watches{}
	}
	return watches{slices.Clone(now.all), now.sampler}
}

func (b *Broker) settleLocked(next *watches) {
	if len(next.all) == 0 && next.sampler == nil {
		next = nil
	}
	b.watches.Store(next)
}

// put gives w an event, if there is room.
func (w *watch) put(e trace.Event) {
	w.mu.Lock()
	if len(w.events) < watchBuffer && w.size < watchBytes {
		w.events = append(w.events, e)
		w.size += weigh(&e)
	} else {
		w.missed++
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// weigh is what e takes of what clients may make long.
func weigh(e *trace.Event) int {
	n := len(e.Topic) + len(e.Payload) + len(e.Detail) + 16*len(e.Codes)
	for _, f := range e.Filters {
		n += 16 + len(f)
	}
	return n
}

func (w *watch) take() []trace.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.events
	w.events, w.size = nil, 0
	if w.missed > 0 {
		all = append(all, trace.Event{Time: time.Now(), Kind: trace.Missed, Count: w.missed})
		w.missed = 0
	}
	return all
}

// each calls f with the traces of set.
func (ws *watches) each(set watchSet, f func(w *watch)) {
	for _, w := range ws.all {
		if set&w.bit != 0 {
			f(w)
		}
	}
}

// peers are the traces a client is of interest to.
func (ws *watches) peers(client, user string, addr func() netip.Addr) (set watchSet) {
	for _, w := range ws.all {
		if w.f.Peer(client, user, addr) {
			set |= w.bit
		}
	}
	return set
}

// host is where c comes from.
func (c *conn) host() netip.Addr { return trace.Host(c.nc.RemoteAddr().String()) }

// event is one about c. The caller may read c.user.
func (c *conn) event(kind trace.Kind, client string) trace.Event {
	return trace.Event{Time: time.Now(), Kind: kind, Client: client, User: c.username(), Remote: c.nc.RemoteAddr().String()}
}

// tell says that c has come, could not, or has gone. Its reader calls it.
func (c *conn) tell(kind trace.Kind, code mqtt.ReasonCode, text string) {
	ws := c.b.watches.Load()
	if ws == nil {
		return
	}
	e := c.event(kind, c.id())
	if c.greeting() != nil {
		e.User = c.greeting().hello.Username
	}
	e.Say(code)
	if e.Detail = text; kind == trace.Connected {
		e.Detail, e.Reason = "MQTT "+c.version.String()+" over "+string(c.nc.Kind()), ""
	}
	ws.each(ws.peers(e.Client, e.User, c.host), func(w *watch) {
		if w.f.Topic == "" || w.f.OfPeer() {
			w.put(e)
		}
	})
}

// sees is for the reader, before a batch: who looks at c.
func (c *conn) sees(sc *scratch) {
	ws := sc.watches
	sc.what, sc.journey = 0, nil
	if c.session == nil {
		sc.who = ^watchSet(0) // CONNECT will tell
		if g := c.greeting(); g != nil {
			sc.who = ws.peers(g.hello.ClientID, g.hello.Username, c.host)
		}
		return
	}
	if sc.who = ws.peers(c.session.id, c.username(), c.host); sc.who == 0 && ws.sampler == nil {
		sc.watches = nil
	}
}

// heard is for the reader: it has a packet at hand that somebody may look at.
func (c *conn) heard(sc *scratch, t packet.Type, raw []byte) {
	ws, p := sc.watches, &sc.packets
	sc.what, sc.journey, sc.fate = 0, nil, trace.Sent
	if t == packet.CONNECT {
		sc.who = ws.peers(string(p.Connect.ClientID), string(p.Connect.Username), c.host)
	}
	var what watchSet
	ws.each(sc.who, func(w *watch) {
		if w.f.Topic == "" && (w.f.Packets || t == packet.PUBLISH || t == packet.SUBSCRIBE || t == packet.UNSUBSCRIBE) ||
			w.f.Topic != "" && w.about(t, p) {
			what |= w.bit
		}
	})
	if t == packet.PUBLISH && ws.sampler != nil {
		c.sample(sc, &p.Publish)
	}
	if what == 0 && sc.journey == nil {
		return
	}
	c.endRun(sc) // which nobody looked at
	sc.raw = nil // it goes alone
	sc.what = what
	id := c.id()
	ws.each(sc.what, func(w *watch) {
		e, _ := trace.Describe(c.in.Version(), raw, w.f.Payload)
		e.Time, e.Kind, e.Remote = sc.now, trace.In, c.nc.RemoteAddr().String()
		if t == packet.PUBLISH {
			e.Topic = string(p.Publish.Topic) // an alias is resolved
		}
		if t != packet.CONNECT {
			e.Client, e.User = id, c.username()
		}
		w.put(e)
	})
}

// about reports whether a packet has to do with w's topics.
func (w *watch) about(t packet.Type, p *link.Packets) bool {
	switch t {
	case packet.PUBLISH:
		return w.f.Name(p.Publish.Topic)
	case packet.SUBSCRIBE:
		for s := range p.Subscribe.Filters.All() {
			if w.f.Shares(string(s.Filter)) {
				return true
			}
		}
	case packet.UNSUBSCRIBE:
		for f := range p.Unsubscribe.Filters.All() {
			if w.f.Shares(string(f)) {
				return true
			}
		}
	}
	return false
}
