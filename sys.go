package midge

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// Version is this module's, as $SYS and the command show it.
const Version = "0.1.0"

// A sysTree publishes the $SYS topics, under the names Mosquitto gave them,
// retained, and only when they have changed. Owned by housekeep.
type sysTree struct {
	b    *Broker
	last map[string]string
	prev totals
	at   time.Time
	load map[string]*[3]float64
}

// totals are counts over the broker's life.
type totals struct {
	bytesIn, bytesOut       uint64
	packetsIn, packetsOut   uint64
	messagesIn, messagesOut uint64
	connects                uint64
}

func newSysTree(b *Broker) *sysTree {
	return &sysTree{b: b, last: map[string]string{}, load: map[string]*[3]float64{}, at: b.epoch}
}

// total adds the connected clients' counts to those of the departed.
func (b *Broker) total() totals {
	n := &b.count
	t := totals{
		n.bytesIn.Load(), n.bytesOut.Load(), n.packetsIn.Load(), n.packetsOut.Load(),
		n.messagesIn.Load(), n.messagesOut.Load(), n.connects.Load(),
	}
	for _, c := range b.snapshot() {
		c.outbox.mu.Lock()
		in, out := &c.outbox.received, &c.outbox.sent
		t.bytesIn += in.bytes
		t.bytesOut += out.bytes
		t.packetsIn += in.packets
		t.packetsOut += out.packets
		t.messagesIn += in.messages
		t.messagesOut += out.messages
		c.outbox.mu.Unlock()
	}
	return t
}

func (y *sysTree) renew(now time.Time) {
	b, n := y.b, &y.b.count
	t := b.total()
	b.mu.Lock()
	connected, total := b.connected, len(b.sessions)
	b.mu.Unlock()

	y.put("version", "midge version "+Version)
	y.put("uptime", fmt.Sprintf("%d seconds", int(now.Sub(b.epoch).Seconds())))
	y.num("clients/connected", connected)
	y.num("clients/active", connected)
	y.num("clients/disconnected", total-connected)
	y.num("clients/inactive", total-connected)
	y.num("clients/total", total)
	y.num("clients/maximum", n.peak.Load())
	y.num("clients/expired", n.expired.Load())
	y.num("clients/stalled", n.stalled.Load())
	y.num("clients/refused", n.refused.Load())
	y.num("subscriptions/count", n.subscriptions.Load())
	y.num("shared_subscriptions/count", n.shared.Load())
	y.num("retained messages/count", b.retained.Len())
	y.num("retained messages/bytes", b.stored.bytes.Load())
	y.num("quota/refused", n.quota.Load())
	y.num("messages/received", t.packetsIn)
	y.num("messages/sent", t.packetsOut)
	y.num("publish/messages/received", t.messagesIn)
	y.num("publish/messages/sent", t.messagesOut)
	y.num("publish/messages/dropped", n.dropped.Load())
	y.num("publish/messages/denied", n.denied.Load())
	y.num("bytes/received", t.bytesIn)
	y.num("bytes/sent", t.bytesOut)
	y.memory()
	y.queues()
	y.loads(now, t)
}

func (y *sysTree) memory() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	y.num("heap/current", m.HeapAlloc)
	y.num("heap/maximum", m.HeapSys)
}

// queues counts what the sessions hold.
func (y *sysTree) queues() {
	var messages, bytes, inflight int
	y.b.mu.Lock()
	all := make([]*session, 0, len(y.b.sessions))
	for _, s := range y.b.sessions {
		all = append(all, s)
	}
	y.b.mu.Unlock()
	for _, s := range all {
		s.mu.Lock()
		messages += s.queue.len() + s.tail.n
		bytes += s.queue.size() + s.tail.bytes
		inflight += s.inflightLocked()
		s.mu.Unlock()
	}
	y.num("store/messages/count", messages+inflight+y.b.retained.Len())
	y.num("store/messages/bytes", bytes)
	y.num("messages/stored", messages+inflight+y.b.retained.Len())
	y.num("messages/inflight", inflight)
}

// loads are moving averages per minute over 1, 5 and 15 minutes.
func (y *sysTree) loads(now time.Time, t totals) {
	span := now.Sub(y.at).Minutes()
	if span <= 0 {
		return
	}
	for _, l := range []struct {
		name     string
		now, was uint64
	}{
		{"messages/received", t.packetsIn, y.prev.packetsIn},
		{"messages/sent", t.packetsOut, y.prev.packetsOut},
		{"publish/received", t.messagesIn, y.prev.messagesIn},
		{"publish/sent", t.messagesOut, y.prev.messagesOut},
		{"bytes/received", t.bytesIn, y.prev.bytesIn},
		{"bytes/sent", t.bytesOut, y.prev.bytesOut},
		{"connections", t.connects, y.prev.connects},
	} {
		avg := y.load[l.name]
		if avg == nil {
			avg = new([3]float64)
			y.load[l.name] = avg
		}
		rate := float64(l.now-l.was) / span
		for i, minutes := range []float64{1, 5, 15} {
			avg[i] += (rate - avg[i]) * (1 - math.Exp(-span/minutes))
			y.put("load/"+l.name+"/"+strconv.Itoa(int(minutes))+"min", fmt.Sprintf("%.2f", avg[i]))
		}
	}
	y.prev, y.at = t, now
}

func (y *sysTree) num(name string, v any) { y.put(name, fmt.Sprint(v)) }

func (y *sysTree) put(name, value string) {
	if y.last[name] == value {
		return
	}
	y.last[name] = value
	y.b.publishKept(fromPublic(&mqtt.Message{
		Topic: "$SYS/broker/" + name, Payload: []byte(value), Retain: true,
	}), 0)
}
