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
	prev Stats
	at   time.Time
	load map[string]*[3]float64
}

func newSysTree(b *Broker) *sysTree {
	return &sysTree{b: b, last: map[string]string{}, load: map[string]*[3]float64{}, at: b.epoch}
}

func (y *sysTree) renew(now time.Time) {
	s := y.b.Stats()
	total := s.Clients + s.Away
	stored := s.Queued + s.Inflight + s.Retained
	y.put("version", "midge version "+Version)
	y.put("uptime", fmt.Sprintf("%d seconds", int(now.Sub(s.Started).Seconds())))
	for _, t := range []struct {
		name  string
		value any
	}{
		{"clients/connected", s.Clients},
		{"clients/active", s.Clients},
		{"clients/disconnected", s.Away},
		{"clients/inactive", s.Away},
		{"clients/total", total},
		{"clients/maximum", s.MostClients},
		{"clients/expired", s.SessionsEnded},
		{"clients/stalled", s.StalledClients},
		{"clients/refused", s.Refused.all()},
		{"subscriptions/count", s.Subscriptions},
		{"shared_subscriptions/count", s.SharedSubscriptions},
		{"retained messages/count", s.Retained},
		{"retained messages/bytes", s.RetainedBytes},
		{"quota/refused", s.Limited.all()},
		{"messages/received", s.In.Packets},
		{"messages/sent", s.Out.Packets},
		{"publish/messages/received", s.In.Messages},
		{"publish/messages/sent", s.Out.Messages},
		{"publish/messages/dropped", s.Dropped.all()},
		{"publish/messages/denied", s.Denied.Publishes + s.Denied.Wills},
		{"bytes/received", s.In.Bytes},
		{"bytes/sent", s.Out.Bytes},
		{"store/messages/count", stored},
		{"store/messages/bytes", s.QueuedBytes},
		{"messages/stored", stored},
		{"messages/inflight", s.Inflight},
	} {
		y.put(t.name, fmt.Sprint(t.value))
	}
	y.memory()
	y.loads(now, &s)
}

func (y *sysTree) memory() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	y.put("heap/current", fmt.Sprint(m.HeapAlloc))
	y.put("heap/maximum", fmt.Sprint(m.HeapSys))
}

// loads are moving averages per minute over 1, 5 and 15 minutes.
func (y *sysTree) loads(now time.Time, s *Stats) {
	span := now.Sub(y.at).Minutes()
	if span <= 0 {
		return
	}
	for _, l := range []struct {
		name     string
		now, was uint64
	}{
		{"messages/received", s.In.Packets, y.prev.In.Packets},
		{"messages/sent", s.Out.Packets, y.prev.Out.Packets},
		{"publish/received", s.In.Messages, y.prev.In.Messages},
		{"publish/sent", s.Out.Messages, y.prev.Out.Messages},
		{"bytes/received", s.In.Bytes, y.prev.In.Bytes},
		{"bytes/sent", s.Out.Bytes, y.prev.Out.Bytes},
		{"connections", s.Connects, y.prev.Connects},
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
	y.prev, y.at = *s, now
}

func (y *sysTree) put(name, value string) {
	if y.last[name] == value {
		return
	}
	y.last[name] = value
	y.b.publishKept(fromPublic(&mqtt.Message{
		Topic: "$SYS/broker/" + name, Payload: []byte(value), Retain: true,
	}), 0)
}
