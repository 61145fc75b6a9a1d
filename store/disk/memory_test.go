//go:build !race

package disk_test

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/disk"
	"github.com/midgemq/midge/transport"
)

// A watched store counts how often queues are read.
type watched struct {
	store.Store
	loads atomic.Int64
}

func (w *watched) Load(id store.SessionID, seq uint64, most, size int) ([]store.Entry, error) {
	w.loads.Add(1)
	return w.Store.Load(id, seq, most, size)
}

func (w *watched) Exchanges(id store.SessionID) ([]store.PacketID, []store.Entry, error) {
	w.loads.Add(1)
	return w.Store.Exchanges(id)
}

// Messages for a client that is away are on the disk: memory has their places
// alone, before a restart and after, and the queue is read when the client is
// back, and in parts.
func TestQueueIsOnDisk(t *testing.T) {
	const (
		messages = 200_000
		payload  = 1024
		perEntry = 130      // bytes of heap for a message that waits; see docs/durability.md
		reading  = 64 << 20 // of the 200 MiB that wait; the receiver is in this process, too
	)
	dir, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
	run := func(use func(r *rig, b *midge.Broker, w *watched)) {
		st, err := disk.Open(dir, disk.Options{Durability: disk.Interval, Interval: 20 * time.Millisecond, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		w := &watched{Store: st}
		b, err := midge.New(midge.Config{
			Listeners: []midge.Listener{}, Logger: quiet, Store: w, SysInterval: -1, MaxQueuedMessages: 1 << 20, MaxQueuedBytes: 1 << 30,
		})
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{t: t, ln: transport.ListenPipe("memory", 0)}
		if err := b.Serve(r.ln); err != nil {
			t.Fatal(err)
		}
		use(r, b, w)
		if err := errors.Join(b.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	}
	run(func(r *rig, b *midge.Broker, w *watched) {
		c := r.must("absent", mqtt.V5, true)
		if _, err := c.Subscribe(t.Context(), client.Subscription{Filter: "t", QoS: mqtt.AtLeastOnce}); err != nil {
			t.Fatal(err)
		}
		leave(c)
		before := heapInUse()
		for i := range messages {
			m := mqtt.Message{Topic: "t", Payload: make([]byte, payload), QoS: mqtt.AtLeastOnce}
			copy(m.Payload, fmt.Sprint(i))
			if err := b.Publish(m); err != nil {
				t.Fatal(err)
			}
		}
		for w.Store.(*disk.Store).Stats().Pending > 0 {
			<-time.After(time.Millisecond)
		}
		grown := heapInUse() - before
		t.Logf("%d bytes of heap for each of %d messages of %d bytes", grown/messages, messages, payload)
		if grown > perEntry*messages+8<<20 {
			t.Errorf("the heap has grown by %d bytes a message, want at most %d", grown/messages, perEntry)
		}
	})
	before := heapInUse()
	run(func(r *rig, b *midge.Broker, w *watched) {
		after := heapInUse()
		t.Logf("after a restart: %d bytes", (after-before)/messages)
		if after-before > perEntry*messages || w.loads.Load() > 0 {
			t.Errorf("after a restart %d bytes a message, and queues were read %d times", (after-before)/messages, w.loads.Load())
		}
		c := r.must("absent", mqtt.V5, true)
		defer leave(c)
		most := after
		for got := 0; got < messages/10; {
			<-time.After(10 * time.Millisecond)
			r.mu.Lock()
			got += len(r.got)
			r.got = nil
			r.mu.Unlock()
			most = max(most, heapInUse())
		}
		t.Logf("while it is sent: %d KiB more, in %d parts", (most-after)>>10, w.loads.Load())
		if most-after > reading {
			t.Errorf("the heap grows by %d bytes while the queue is sent", most-after)
		}
	})
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
