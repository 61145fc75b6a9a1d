package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// A world is one run: a broker, its clients, and who kills it.
type world struct {
	plan
	server *server
	addr   string
	ledger *ledger
	rng    *rand.Rand // the killer's

	publishers []*publisher
	ends       atomic.Int64 // of the broker's process, counted before each
	killed     int
	stopped    int
	looks      atomic.Int64 // at retained messages
	stopping   chan struct{}
	drained    chan struct{}
	clients    sync.WaitGroup

	mu     sync.Mutex
	starts []time.Time // guarded by mu: when the broker listened again
}

// A plan says how long and how hard.
type plan struct {
	Broker string        `json:"broker"`
	Kills  int           `json:"kills"`
	Stops  int           `json:"stops"` // every so many times it is SIGTERM instead; 0: never
	Seed   uint64        `json:"seed"`
	Rate   int           `json:"rate"` // messages published a second, about
	For    time.Duration `json:"-"`    // no kill is begun later
	Wait   time.Duration `json:"-"`    // once nothing has come for so long in the end, nothing will

	midge string // the executable
	dir   string // for data and log
	say   func(format string, args ...any)
}

const (
	forever = mqtt.NeverExpires
	retry   = 10 * time.Millisecond // pause before the next attempt to connect

	publisherCount = 6
	willerCount    = 5
)

// habits are the lives of subscribers.
var habits = []habit{
	{name: "steady", stay: between{time.Hour, time.Hour}, expiry: forever, toggles: true},
	{name: "steady", stay: between{time.Hour, time.Hour}, expiry: forever},
	{name: "visitor", stay: between{20 * time.Millisecond, 2 * time.Second}, away: between{0, time.Second}, expiry: forever, toggles: true, rude: true},
	{name: "visitor", stay: between{20 * time.Millisecond, time.Second}, away: between{0, 500 * time.Millisecond}, expiry: forever, toggles: true, rude: true},
	{name: "visitor", stay: between{10 * time.Millisecond, 300 * time.Millisecond}, away: between{0, 100 * time.Millisecond}, expiry: forever, toggles: true, rude: true},
	{name: "hermit", stay: between{time.Second, 3 * time.Second}, away: between{5 * time.Second, 30 * time.Second}, expiry: forever, toggles: true},
	{name: "hermit", stay: between{time.Second, 3 * time.Second}, away: between{5 * time.Second, 30 * time.Second}, expiry: forever, toggles: true, rude: true},
	{name: "reborn", stay: between{50 * time.Millisecond, time.Second}, away: between{0, 300 * time.Millisecond}, expiry: forever, toggles: true, rude: true, reborn: true},
	{name: "reborn", stay: between{50 * time.Millisecond, time.Second}, away: between{0, 300 * time.Millisecond}, expiry: forever, toggles: true, reborn: true},
	{name: "sloth", stay: between{time.Second, 20 * time.Second}, away: between{0, time.Second}, expiry: forever, slow: true},
	{name: "mayfly", stay: between{50 * time.Millisecond, time.Second}, away: between{3 * time.Second, 6 * time.Second}, expiry: 1},
}

// member is the habit of those who share a subscription.
var member = habit{name: "member", stay: between{50 * time.Millisecond, 2 * time.Second}, away: between{0, 700 * time.Millisecond}, expiry: forever, rude: true}

// run is the whole of it. The error is one that kept it from being carried
// out; what the broker did wrong is in the verdict.
func run(ctx context.Context, p plan) (verdict, error) {
	s, err := newServer(p.Broker, p.midge, p.dir)
	if err != nil {
		return verdict{}, err
	}
	w := &world{
		plan: p, server: s, addr: s.addr, ledger: newLedger(), rng: rand.New(rand.NewPCG(p.Seed, 0)),
		stopping: make(chan struct{}), drained: make(chan struct{}),
	}
	if err := s.start(); err != nil {
		return verdict{}, err
	}
	defer func() { s.end(false) }()
	if err := s.ready(ctx); err != nil {
		return verdict{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer w.clients.Wait()
	defer cancel()
	w.populate(ctx)
	if err := w.rage(ctx); err != nil {
		return verdict{}, err
	}
	w.drain(ctx)
	if err := ctx.Err(); err != nil {
		return verdict{}, err
	}
	close(w.drained)
	cancel()
	w.clients.Wait()
	v := w.ledger.judge()
	v.Kills, v.Stops, v.Looks = w.killed, w.stopped, int(w.looks.Load())
	for _, line := range s.complaints() {
		v.Faults.add(&v.Faults.Broker, "%s", line)
	}
	return v, nil
}
