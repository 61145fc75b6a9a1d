package sim

import (
	"context"
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/internal/faultdisk"
	"github.com/midgemq/midge/store/disk"
	"github.com/midgemq/midge/tiny"
	tinyhost "github.com/midgemq/midge/tiny/host"
)

// A Kind is which server a history is about.
type Kind int

// The servers.
const (
	Durable  Kind = iota // the broker with a store on disk
	Volatile             // the broker without a store
	Fixed                // the fixed-memory broker
	kinds
)

func (k Kind) String() string { return [...]string{"durable", "volatile", "fixed"}[k] }

// A host is one life of the server.
type host struct {
	w     *World
	door  *door
	links []*link // guarded by World.mu

	broker *midge.Broker
	store  *disk.Store

	stop  context.CancelFunc // of the fixed-memory broker
	ended chan struct{}

	fell atomic.Int64 // when it crashed, Unix ns
	dead atomic.Bool  // it has crashed: nothing it says counts
	room atomic.Int64 // bytes it says until it crashes; negative: it does not
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// boot begins a life of the server.
func (w *World) boot() {
	h := &host{w: w, door: newDoor()}
	h.room.Store(-1)
	if w.plan.Kind == Fixed {
		h.bootFixed()
	} else {
		h.bootBroker()
	}
	w.mu.Lock()
	w.host = h
	w.mu.Unlock()
}

func (h *host) bootFixed() {
	b, err := tiny.New(tiny.Limits{
		Clients: 16, Sessions: 16, Filters: 128, MaxPacket: 1024, Queue: 128, Inflight: 16, Retained: 64,
		RetainedBytes: 64 << 10, Slab: 256 << 10,
	}, tiny.Hooks{})
	if err != nil {
		panic(err)
	}
	if _, err := b.Restore(h.w.flash); err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	h.stop, h.ended = stop, make(chan struct{})
	go func() {
		defer close(h.ended)
		tinyhost.New(b).Serve(ctx, h.door)
	}()
}

func (h *host) bootBroker() {
	w := h.w
	cfg := midge.Config{
		Listeners: []midge.Listener{}, Logger: quiet(), SysInterval: -1,
		MaxInflight: w.plan.Inflight, ReceiveMaximum: w.plan.ReceiveMax,
	}
	if w.plan.Kind == Durable {
		st, err := disk.OpenIn(w.disk, disk.Options{Logger: quiet(), SegmentSize: w.plan.Segment})
		if err != nil {
			w.fail("the store does not open: %v", err)
			w.disk = faultdisk.New(w.plan.Seed)
			st, _ = disk.OpenIn(w.disk, disk.Options{Logger: quiet()})
		}
		if found := st.Report(); found.Damaged() {
			w.fail("the store is damaged: %+v", found)
		}
		h.store = st
		cfg.Store = w.lie.store(st)
	}
	b, err := midge.New(cfg)
	if err != nil {
		panic(err)
	}
	b.Serve(h.door)
	h.broker = b
}

// says reports whether the server lives to say n bytes more.
func (h *host) says(n int) bool {
	if h.dead.Load() {
		return false
	}
	if room := h.room.Load(); room >= 0 && h.room.Add(-int64(n)) < 0 {
		h.fall()
		return false
	}
	return true
}

// fall is the moment of a crash: first the disk takes nothing more, then
// nobody hears anything more.
func (h *host) fall() {
	h.w.disk.Stop()
	h.w.flash.stop()
	h.died()
}

// died notes that nobody hears anything more.
func (h *host) died() {
	h.fell.CompareAndSwap(0, time.Now().UnixNano())
	h.dead.Store(true)
	h.w.poke()
}

// halt ends a life in good order, or what is left of it after a crash.
func (h *host) halt() {
	h.door.Close()
	if h.broker != nil {
		h.broker.Close()
	} else {
		h.stop()
		<-h.ended
	}
	if h.store != nil {
		h.store.Close()
	}
}

// bury ends a life that has crashed. With power, the disk loses what was not
// synced; part of the clients do not notice.
func (w *World) bury(power bool, unnoticed uint64) {
	h := w.host
	h.fall()
	next := w.disk.Kill
	if power {
		next = w.disk.PowerCut
	}
	for i, k := range h.links {
		if power && unnoticed>>(i%64)&1 == 1 {
			k.faulty.Store(true)
			k.up.vanish()
			k.down.vanish()
			h.reap(k)
		} else {
			k.cut()
		}
	}
	w.disk, w.flash = next(), w.flash.crash(power)
	h.halt()
	for _, k := range h.links {
		w.serverClosed(k)
	}
	w.mu.Lock()
	w.host = nil
	w.mu.Unlock()
}

// reap closes the server's end of a link that stays as it is for the client.
func (h *host) reap(k *link) {
	past := time.Unix(1, 0)
	k.up.setDeadline(&k.up.rd, past)
	k.down.setDeadline(&k.down.wd, past)
	k.up.quit()
}

// dial connects to the server; nil: nobody listens.
func (w *World) dial(v *view, wire Wire) *watch {
	w.mu.Lock()
	h := w.host
	w.mu.Unlock()
	if h == nil || h.dead.Load() {
		return nil
	}
	k := w.newLink(h, wire)
	x := v.watch(k)
	w.mu.Lock()
	h.links = append(h.links, k)
	w.mu.Unlock()
	if !h.door.enter(&end{k: k, in: &k.up, out: &k.down, server: true}) {
		v.unwatch(x)
		return nil
	}
	return x
}

// errBroken is what a disk says that cannot sync.
var errBroken = syscall.EIO
