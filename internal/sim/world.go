// Package sim puts the broker, the fixed-memory broker, the client and the
// store into a world of its own: links that split, delay, tear and fall silent,
// a disk that loses what was not synced, hours that pass in milliseconds. A
// history of that world follows from a seed; a model of what MQTT promises
// watches from the clients' ends of the wires.
//
// It runs inside a testing/synctest bubble, and so as a test; see
// docs/simulation.md for how to run, read and replay it.
package sim

import (
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/internal/faultdisk"
	"github.com/midgemq/midge/packet"
)

// A World is one history as it happens.
type World struct {
	plan     *Plan
	lie      Lie
	model    *model
	actors   []*actor
	programs []*program
	disk     *faultdisk.Disk
	flash    *flash
	mended   time.Time // when the disk's trouble ends; zero: it has none
	wake     chan struct{}
	links    atomic.Int64 // so far
	start    time.Time
	crash    *Op // the one that is about to come

	mu    sync.Mutex
	host  *host    // guarded by mu; nil: the server is down
	notes []string // guarded by mu: what happened
	hash  uint64   // guarded by mu: of all of it
}

// A Result is what became of a history.
type Result struct {
	Wrong []string // what must not be; nil: nothing
	Notes []string // what happened, the last part of it
	Hash  uint64   // of all that happened
	Tally Tally
}

// Run lives a plan through, with the operations at keep (nil: all) and
// something deliberately broken. It must be called inside a bubble.
func Run(p *Plan, keep []int, lie Lie) Result {
	w := &World{
		plan: p, lie: lie, disk: faultdisk.New(p.Seed), flash: newFlash(), wake: make(chan struct{}, 1), start: time.Now(),
	}
	w.model = newModel(w)
	w.model.count.Faults = map[string]int{}
	for i, h := range p.Actors {
		a := &actor{w: w, name: fmt.Sprintf("c%d", i), last: h}
		a.last.Will, a.last.Clean = nil, false
		a.view = w.model.view(a.name)
		w.actors = append(w.actors, a)
	}
	w.note("seed %d: %v server, inflight %d, receive maximum %d, segments of %d bytes, %d actors, %d programs", p.Seed, p.Kind,
		p.Inflight, p.ReceiveMax, p.Segment, len(p.Actors), len(p.Programs))
	w.boot()
	for i, h := range p.Programs {
		g := w.newProgram(fmt.Sprintf("p%d", i), h)
		g.skew = time.Duration(i+1) * time.Millisecond
		w.programs = append(w.programs, g)
		w.note("%s uses MQTT %v, expiry %d, keep alive %d, receive maximum %d, %+v", g.name, h.Version, h.Expiry, h.KeepAlive, h.ReceiveMax, h.Wire)
		g.start()
		w.quiesce()
	}
	if keep == nil {
		for i := range p.Ops {
			keep = append(keep, i)
		}
	}
	for _, i := range keep {
		op := &p.Ops[i]
		w.note("%3d %v", i, op)
		w.do(op)
		w.pass(op.After)
	}
	w.settle()
	w.tearDown()
	return w.result()
}

func (w *World) result() Result {
	c := &w.model.count
	c.Histories = 1
	c.ByKind[w.plan.Kind] = 1
	c.Restarts = len(w.model.restarts)
	c.Time = time.Since(w.start)
	c.ClientTime = c.Time * time.Duration(len(w.actors)+len(w.programs))
	return Result{Wrong: w.model.wrong, Notes: w.notes, Hash: w.hash, Tally: *c}
}

// note writes down what happens.
func (w *World) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := fmt.Sprintf("%14v  ", time.Since(w.start)) + fmt.Sprintf(format, args...)
	w.notes = append(w.notes, s)
	h := fnv.New64a()
	fmt.Fprintf(h, "%x", w.hash)
	h.Write([]byte(s))
	w.hash = h.Sum64()
}

// seen writes down a packet that has come.
func (w *World) seen(x *watch, h packet.Header, body []byte) {
	if h.Type == packet.PINGRESP {
		return
	}
	w.note("    %s <- %v %x % .40x", x.name, h.Type, h.Flags, body)
}

func (w *World) fail(format string, args ...any) {
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	w.model.wrongLocked(format, args...)
}

// poke wakes the world: something has arrived.
func (w *World) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// quiesce lets everything that can happen now happen.
func (w *World) quiesce() {
	for busy := true; busy; {
		synctest.Wait()
		busy = w.checkCrash()
		for _, a := range w.actors {
			if a.pump() {
				busy = true
			}
		}
	}
}

// pass lets time pass. Clients go on doing what clients do.
func (w *World) pass(d time.Duration) {
	end := time.Now().Add(d)
	for {
		w.quiesce()
		now := time.Now()
		if !now.Before(end) {
			return
		}
		next := end
		if !w.mended.IsZero() {
			if !now.Before(w.mended) {
				w.mend()
				continue
			}
			next = min2(next, w.mended)
		}
		for _, a := range w.actors {
			next = min2(next, a.ping(now))
		}
		w.wait(next.Sub(now))
	}
}

func min2(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (w *World) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-w.wake:
	case <-t.C:
	}
}

// freeze lets time pass while no actor does anything, and wants the server to
// give up those that promised to.
func (w *World) freeze(d time.Duration) {
	var due []*watch
	for _, a := range w.actors {
		if a.x == nil {
			continue
		}
		a.x.mark(func(x *watch) {
			if a.up && a.keep > 0 && d > a.keep*3/2+time.Minute && x.well() && x.closedAt.IsZero() {
				due = append(due, x)
			}
			x.silent, x.slow = true, true
		})
	}
	t := time.NewTimer(d)
	<-t.C
	for _, x := range due {
		x.mark(func(x *watch) {
			if x.closedAt.IsZero() && !x.k.host.dead.Load() {
				x.m.wrongLocked("%s has been silent for %v, and its connection is still up", x.name, d)
			}
		})
	}
}

func (w *World) newProgram(name string, h Hello) *program {
	return &program{w: w, name: name, hello: h, view: w.model.view(name), store: new(client.MemoryStore)}
}
