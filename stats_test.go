package midge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{
			SysInterval: -1, MaxSubscriptions: 3, MaxRetained: 1, MaxQueuedMessages: 2,
			Hooks: midge.Hooks{Publish: func(_ context.Context, _ midge.ClientInfo, m *mqtt.Message) error {
				if m.Topic == "secret" {
					return errors.New("no")
				}
				return nil
			}},
		})
		started := time.Now()
		stays := w.connect("stays", func(c *packet.Connect) { c.Version = mqtt.V311 })
		w.dial() // says nothing
		sub, _ := w.hello("away", mqtt.V5)
		sub.subscribe("a/#", 1)
		sub.subscribe("$share/g/b", 1)
		sub.subscribe("c", 0)
		if code := sub.ask("d"); code != mqtt.QuotaExceeded {
			t.Fatal(code)
		}
		sub.nc.Close()
		synctest.Wait()
		for range 5 {
			stays.publish("a/b", "12345", 1)
			stays.want(packet.PUBACK)
		}
		stays.publish("secret", "", 1)
		stays.want(packet.PUBACK)
		for _, topic := range []string{"r1", "r2"} {
			stays.retain(topic, "x")
		}
		synctest.Wait()

		s := w.b.Stats()
		const held = 2 * (160 + 3 + 5)
		// Bytes are compared below: CONNACKs have a length of their own.
		in, out := s.In.Bytes, s.Out.Bytes
		s.In.Bytes, s.Out.Bytes = 0, 0
		if s.Memory == 0 {
			t.Error("nothing is held")
		}
		want := midge.Stats{
			Memory:  s.Memory,
			Version: midge.Version, Started: started,
			Connections: 2, Clients: 1, ClientsV311: 1, Away: 1, MostClients: 2,
			Subscriptions: 3, SharedSubscriptions: 1, Retained: 1, RetainedBytes: 160 + 2 + 1,
			Queued: 2, QueuedBytes: held,
			Listeners: []midge.ListenerStats{{URL: w.ln.String(), Connections: 2}},
			In:        midge.Traffic{Packets: 1 + 5 + 8, Messages: 8},
			Out:       midge.Traffic{Packets: 1 + 5 + 8},
			Connects:  2,
			Denied:    midge.Denied{Publishes: 1},
			Dropped:   midge.Dropped{Queue: 3},
			Limited:   midge.Limited{Subscriptions: 1, Retained: 1},
		}
		if got, want := fmt.Sprintf("%+v", s), fmt.Sprintf("%+v", want); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if in < 100 || out < 50 {
			t.Errorf("%d bytes in, %d out", in, out)
		}
	})
}

// A client that does not read is said to be stalled, and for how long; one that
// is away has no more than a session.
func TestClientStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldSized(t, midge.Config{SysInterval: -1, WriteTimeout: time.Minute}, 4<<10)
		lazy := w.connect("lazy")
		lazy.subscribe("t", 0)
		away, _ := w.hello("away", mqtt.V5)
		away.nc.Close()
		w.b.Publish(mqtt.Message{Topic: "t", Payload: make([]byte, 64<<10)})
		synctest.Wait()
		left := time.Now()
		<-time.After(7 * time.Second)

		seen := map[string]midge.ClientStats{}
		for c := range w.b.Sessions() {
			seen[c.ClientID] = c
		}
		if len(seen) != 2 {
			t.Fatalf("%d sessions", len(seen))
		}
		if c := seen["lazy"]; !c.Connected || c.Stalled != 6*time.Second || c.QueuedBytes < 64<<10 || c.Subscriptions != 1 || !c.Until.IsZero() {
			t.Errorf("lazy: %+v", c)
		}
		if c := seen["away"]; c.Connected || c.Stalled != 0 || c.Until.Sub(left) != time.Minute {
			t.Errorf("away: %+v, %v", c, c.Until.Sub(left))
		}
		if c, ok := w.b.Client("lazy"); !ok || c.Version != mqtt.V5 || c.PacketsIn != 2 {
			t.Errorf("%v %+v", ok, c)
		}
		if _, ok := w.b.Client("nobody"); ok {
			t.Error("nobody is there")
		}
		for range w.b.Sessions() {
			break
		}
	})
}

// Connections that end are counted before and after: a counter that shrank
// would look like a restart.
func TestStatsNeverShrink(t *testing.T) {
	w := newWorld(t, midge.Config{SysInterval: -1})
	const clients, messages = 50, 20
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			p := w.connect(fmt.Sprint("c", i))
			for range messages {
				p.publish("t", "x", 0)
			}
			p.write((&packet.Disconnect{Properties: new(packet.Properties)}).Append(nil, p.v))
			p.rest()
		})
	}
	over := make(chan struct{})
	go func() { all.Wait(); close(over) }()
	var last midge.Stats
	for done := false; !done; {
		select {
		case <-over:
			done = true
		default:
		}
		s := w.b.Stats()
		if s.In.Messages < last.In.Messages || s.In.Bytes < last.In.Bytes || s.Out.Packets < last.Out.Packets {
			t.Fatalf("%+v after %+v", s, last)
		}
		last = s
	}
	if last.In.Messages != clients*messages {
		t.Errorf("%d messages, want %d", last.In.Messages, clients*messages)
	}
}

// What is handed over as one is counted as what it is: what a client was sent,
// and what waits for one that does not read.
func TestStatsOfRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldSized(t, midge.Config{SysInterval: -1, MaxQueuedMessages: 6}, 4<<10)
		sub, pub := w.connect("sub"), w.connect("pub")
		sub.subscribe("t", 1)
		burst := func(ids ...mqtt.PacketID) (b []byte) {
			for _, id := range ids {
				b = (&packet.Publish{Topic: []byte("t"), QoS: 1, ID: id, Payload: fmt.Appendf(nil, "%02d", id)}).Append(b, mqtt.V5)
			}
			return b
		}
		before := w.b.Stats()
		pub.write(burst(1, 2, 3, 4, 5))
		synctest.Wait()
		if c, _ := w.b.Client("sub"); c.MessagesOut != 5 || c.PacketsOut != 2+5 || c.Inflight != 5 {
			t.Errorf("sub: %+v", c)
		}
		if c, _ := w.b.Client("pub"); c.MessagesIn != 5 || c.PacketsIn != 1+5 || c.PacketsOut != 1+5 {
			t.Errorf("pub: %+v", c)
		}
		s := w.b.Stats()
		if in, out := s.In, s.Out; in.Messages != 5 || in.Packets != before.In.Packets+5 ||
			out.Messages != 5 || out.Packets != before.Out.Packets+5+5 {
			t.Errorf("in %+v, out %+v, before %+v", in, out, before)
		}

		// The first of these keeps the writer, and the five have left room for one.
		pub.publish("t", string(make([]byte, 64<<10)), 0)
		synctest.Wait()
		pub.write(burst(6, 7, 8, 9, 10))
		synctest.Wait()
		pub.write(slices.Concat(zero("one"), zero("two")))
		synctest.Wait()
		if c, _ := w.b.Client("sub"); c.MessagesOut != 5+1+5+1 || c.Dropped != 1 || w.b.Stats().Dropped.Slow != 1 {
			t.Errorf("a client that does not read: %+v", c)
		}
	})
}

// zero is a message at QoS 0.
func zero(payload string) []byte {
	return (&packet.Publish{Topic: []byte("t"), Payload: []byte(payload)}).Append(nil, mqtt.V5)
}
