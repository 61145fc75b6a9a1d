package midge

import (
	"flag"
	"fmt"
	"runtime"
	"testing"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
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
	before := LiveHeap()
	all := make([]*conn, n)
	for i := range all {
		c := h.client(t, fmt.Sprintf("client-%08d", i), mqtt.V311)
		c.place = int32(len(h.b.conns))
		h.b.conns = append(h.b.conns, c)
		c.letBufferGo()
		all[i] = c
	}
	each := (LiveHeap() - before) / n
	t.Logf("%d clients: %d bytes each", n, each)
	if each > idle {
		t.Errorf("%d bytes a client, want at most %d", each, idle)
	}
	for i, c := range all {
		h.subscribe(c, fmt.Sprintf("clients/%08d/commands", i), mqtt.AtLeastOnce)
		c.letBufferGo()
	}
	each = (LiveHeap() - before) / n
	t.Logf("with a subscription each: %d bytes", each)
	if each > subscribed {
		t.Errorf("%d bytes a client with a subscription, want at most %d", each, subscribed)
	}
	runtime.KeepAlive(all)
	h.b.mu.Lock()
	h.b.conns = nil // nobody reads them
	h.b.mu.Unlock()
}

// Messages at QoS 1 that came in one piece share memory, but never so much of it
// that one who is slow to acknowledge the last holds more than a few KiB for it.
func TestAckedRunIsBounded(t *testing.T) {
	for _, lengths := range [][]int{{20}, {20, 21}, {1000}, {1000, 999}, {6000}, {20000}} {
		h := newRig(t)
		pub, sub := h.client(t, "pub", mqtt.V5), h.client(t, "sub", mqtt.V5)
		h.subscribe(sub, "t", mqtt.AtLeastOnce)
		h.sc.loop = new(loop) // writes after its turn, which is never
		var raw []byte
		sent := 0
		for ; sent < 100 && len(raw) < flushAt*3/4; sent++ {
			m := packet.Publish{Topic: []byte("t"), QoS: 1, ID: mqtt.PacketID(sent + 1), Payload: make([]byte, lengths[sent%len(lengths)])}
			raw = m.Append(raw, mqtt.V5)
		}
		if used, _, over, err := pub.batch(h.sc, raw); used != len(raw) || over || err != nil {
			t.Fatal(used, over, err)
		}
		pieces, most, size := map[*message]int{}, 0, len(raw)/sent
		for slot := range sub.session.out.All {
			pieces[slot.Value.m]++
			most = max(most, pieces[slot.Value.m])
		}
		if sub.session.out.Len() != sent || most < min(ackedMost, ackedBytes/size) {
			t.Errorf("%d bytes each: %d of %d messages in flight, %d at most in one piece", size, sub.session.out.Len(), sent, most)
		}
		if most > ackedMost || most > 1 && most*size > ackedBytes {
			t.Errorf("%d bytes each: %d messages hold one piece of memory", size, most)
		}
		pub.drop()
		sub.drop()
	}
}

// letBufferGo does what a writer does at the end.
func (c *conn) letBufferGo() {
	c.usual = giveBuffer(c.out)
	c.out = nil
	c.drop()
}
