package client_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

var (
	faultMessages = flag.Int("faults.messages", 4000, "messages each way in TestFaults")
	faultEvery    = flag.Int("faults.every", 40, "messages each way to a fault in TestFaults")
	faultSeed     = flag.Uint64("faults.seed", 0, "seed of TestFaults; 0: from the clock")
)

// A badNetwork lets bytes through until it is time for the next fault.
type badNetwork struct {
	w     *world
	mu    sync.Mutex
	r     *rand.Rand
	every int // bytes
	count int // faults so far
}

func (b *badNetwork) roll(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.r.IntN(n)
}

func (b *badNetwork) dial(ctx context.Context, _ *url.URL) (net.Conn, error) {
	server, err := b.w.ln.Dial(ctx)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	fuse := &fuse{b: b, ends: []net.Conn{far, server}}
	fuse.left.Store(int64(b.roll(2 * b.every)))
	go fuse.copy(far, server)
	go fuse.copy(server, far)
	return near, nil
}

// A fuse is one connection through a bad network.
type fuse struct {
	b     *badNetwork
	ends  []net.Conn
	left  atomic.Int64
	burnt atomic.Bool
}

func (f *fuse) close() {
	for _, c := range f.ends {
		c.Close()
	}
}

func (f *fuse) copy(to, from net.Conn) {
	defer f.close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if f.left.Add(-int64(n)) < 0 && !f.burnt.Swap(true) && f.fault(to, from, buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// fault does one; it reports whether this direction is over.
func (f *fuse) fault(to, from net.Conn, last []byte) bool {
	f.b.mu.Lock()
	f.b.count++
	f.b.mu.Unlock()
	switch f.b.roll(5) {
	case 0: // cut in the middle of a packet
		to.Write(last[:len(last)/2])
	case 1: // all of it arrives, and nothing comes back
		to.Write(last)
	case 2: // nothing arrives
	case 3: // this direction falls silent until somebody gives up
		io.Copy(io.Discard, from)
	case 4: // a stall, and on it goes
		<-time.After(time.Duration(f.b.roll(3000)) * time.Millisecond)
		f.left.Store(int64(f.b.roll(2 * f.b.every)))
		f.burnt.Store(false)
		return false
	}
	return true
}

// A mortal store stops taking changes when its program dies.
type mortal struct {
	client.Store
	dead atomic.Bool
}

func (m *mortal) Apply(ops []client.Op) error {
	if m.dead.Load() {
		return errors.New("the program is dead")
	}
	return m.Store.Apply(ops)
}

// A tally is what has arrived, by topic.
type tally struct {
	t    *testing.T
	mu   sync.Mutex
	last map[string]int
	n    atomic.Int64
}

// take wants QoS 2 once, QoS 1 at least once, both in order.
func (y *tally) take(m *client.Message) {
	i, _ := strconv.Atoi(string(m.Payload[:8]))
	y.mu.Lock()
	defer y.mu.Unlock()
	switch last := y.last[m.Topic]; {
	case i == last+1:
		y.last[m.Topic] = i
		y.n.Add(1)
	case i <= last && m.QoS == mqtt.AtLeastOnce:
	default:
		y.t.Errorf("%s: %d behind %d", m.Topic, i, last)
	}
}

const faultTopics = 4

func numbered(way string, i int) mqtt.Message {
	k := i % faultTopics
	return message(fmt.Sprintf("%s/%d", way, k), fmt.Sprintf("%08d%s", i/faultTopics+1, strings.Repeat("x", 100)), mqtt.QoS(1+k%2))
}

// A life is a program with a client, restarted by death.
type life struct {
	t     *testing.T
	cfg   client.Config
	path  string
	mu    sync.Mutex // held by what a death must not tear apart
	store *mortal
	c     *client.Client
}

func (l *life) begin() {
	file, err := client.OpenFile(l.path, client.FileOptions{})
	if err != nil {
		l.t.Error(err)
		return
	}
	l.store = &mortal{Store: file}
	l.cfg.Store = l.store
	if l.c, err = client.New(l.cfg); err != nil {
		l.t.Error(err)
		return
	}
	l.c.Start()
}

func (l *life) die() {
	l.mu.Lock()
	l.store.dead.Store(true)
	l.mu.Unlock()
	l.c.Close()
	<-l.c.Done()
	l.begin()
}

// Messages both ways through a network that breaks and a program that dies:
// none is lost, none of QoS 2 comes twice, all are in order.
func TestFaults(t *testing.T) {
	seed := *faultSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./client -run TestFaults -faults.seed=%d -faults.messages=%d -faults.every=%d", seed, *faultMessages, *faultEvery)
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { faults(t, v, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func faults(t *testing.T, v mqtt.Version, r *rand.Rand) {
	total := *faultMessages
	w := newWorld(t, midge.Config{MaxQueuedMessages: 2 * total, MaxQueuedBytes: 1 << 30})
	bad := &badNetwork{w: w, r: r, every: 150 * *faultEvery}
	up, down := &tally{t: t, last: map[string]int{}}, &tally{t: t, last: map[string]int{}}

	good := w.client(client.Config{Options: client.Options{Version: v, ClientID: "good", SessionExpiry: time.Hour, Handler: func(_ context.Context, m client.Message) { up.take(&m) }}})
	if _, err := good.Subscribe(ctx, client.Subscription{Filter: "up/#", QoS: 2}); err != nil {
		t.Fatal(err)
	}
	l := &life{t: t, path: filepath.Join(t.TempDir(), "store")}
	l.cfg = client.Config{
		Backoff: client.Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond},
		// A CONNECT that was held up on the way comes late, and takes the
		// session over from the connection made after it: go on.
		Retry: func(_ error, pause time.Duration) (time.Duration, error) { return pause, nil },
		Options: client.Options{
			Version: v, ClientID: "bad", SessionExpiry: time.Hour, KeepAlive: 5 * s, ConnectTimeout: 5 * s, WriteTimeout: 5 * s, Dial: bad.dial,
			ManualAck: true, MaxQueuedMessages: 500,
			Handler: func(_ context.Context, m client.Message) {
				l.mu.Lock() // handling and acknowledging are one, to a death
				defer l.mu.Unlock()
				if l.store.dead.Load() {
					return
				}
				down.take(&m)
				m.Ack()
			},
		},
	}
	l.begin()
	defer func() { l.c.Close(); <-l.c.Done() }()
	if _, err := l.c.Subscribe(ctx, client.Subscription{Filter: "down/#", QoS: 2}); err != nil {
		t.Fatal(err)
	}
	var senders sync.WaitGroup
	senders.Go(func() {
		for i := range total {
			if _, err := good.Enqueue(ctx, numbered("down", i)); err != nil {
				t.Error(err)
				return
			}
			if i%50 == 0 {
				<-time.After(time.Millisecond)
			}
		}
	})
	var before runtime.MemStats
	deaths, full := 0, 0
	for i := 0; i < total; {
		switch _, err := l.c.Enqueue(ctx, numbered("up", i)); {
		case err == nil:
			i, full = i+1, 0
		case errors.Is(err, client.ErrQueueFull):
			if full++; full > 100_000 {
				t.Fatalf("stuck: the client is %v (%v), %+v", l.c.State(), l.c.Err(), l.c.Stats())
			}
			<-time.After(10 * time.Millisecond)
			continue
		default:
			t.Fatal(err)
		}
		if bad.roll(total/50) == 0 {
			l.die()
			deaths++
		}
		if i == total/4 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
	}
	senders.Wait()
	for d := time.Duration(0); (up.n.Load() < int64(total) || down.n.Load() < int64(total)) && d < 10*time.Minute; d += s {
		<-time.After(s)
	}
	if up.n.Load() != int64(total) || down.n.Load() != int64(total) {
		t.Errorf("%d up and %d down of %d arrived", up.n.Load(), down.n.Load(), total)
	}
	rest, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := l.c.Shutdown(rest); err != nil {
		t.Errorf("%d messages are left in the outbox: %v", l.c.Stats().OutboxMessages, err)
	}
	bad.mu.Lock()
	defer bad.mu.Unlock()
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d faults, %d deaths; heap %d kB, %d kB at a quarter", bad.count, deaths, after.HeapAlloc>>10, before.HeapAlloc>>10)
	if after.HeapAlloc > before.HeapAlloc+32<<20 {
		t.Error("memory grows")
	}
	if want := total / *faultEvery / 4; bad.count < want {
		t.Errorf("only %d faults, want %d", bad.count, want)
	}
}
