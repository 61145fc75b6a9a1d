package midge

import (
	"flag"
	"fmt"
	"runtime"
	"testing"

	"github.com/midgemq/midge/mqtt"
)

var sessionsFlag = flag.Int("midge.sessions", 20_000, "how many clients TestBytesPerSession connects through memory")

// What the broker itself has of a connected client: with
//
//	go test -run TestBytesPerSession -v . -midge.sessions 1000000
//
// of a million. Their transport is memory, and has nothing but a place to read.
func TestBytesPerSession(t *testing.T) {
	const idle, subscribed = 490, 780 // bytes a client
	n := *sessionsFlag
	h := newRig(t)
	before := liveHeap()
	all := make([]*conn, n)
	for i := range all {
		c := h.client(t, fmt.Sprintf("client-%08d", i), mqtt.V311)
		c.place = int32(len(h.b.conns))
		h.b.conns = append(h.b.conns, c)
		c.letBufferGo()
		all[i] = c
	}
	each := (liveHeap() - before) / n
	t.Logf("%d clients: %d bytes each", n, each)
	if each > idle {
		t.Errorf("%d bytes a client, want at most %d", each, idle)
	}
	for i, c := range all {
		h.subscribe(c, fmt.Sprintf("clients/%08d/commands", i), mqtt.AtLeastOnce)
		c.letBufferGo()
	}
	each = (liveHeap() - before) / n
	t.Logf("with a subscription each: %d bytes", each)
	if each > subscribed {
		t.Errorf("%d bytes a client with a subscription, want at most %d", each, subscribed)
	}
	runtime.KeepAlive(all)
	h.b.mu.Lock()
	h.b.conns = nil // nobody reads them
	h.b.mu.Unlock()
}

// letBufferGo does what a writer does at the end.
func (c *conn) letBufferGo() {
	c.usual = giveBuffer(c.out)
	c.out = nil
	c.drop()
}

func liveHeap() int {
	runtime.GC()
	runtime.GC() // what pools keep for one round longer
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
