package midge_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// counting publishes 1, 2, 3, ... to the topic t, retained, until told to stop.
func counting(t *testing.T, b *midge.Broker) (stop func()) {
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := uint64(1); !done.Load(); n++ {
			m := mqtt.Message{Topic: "t", Retain: true, QoS: mqtt.QoS(n % 2), Payload: binary.BigEndian.AppendUint64(nil, n)}
			if err := b.Publish(m); err != nil {
				t.Error(err)
			}
			runtime.Gosched()
		}
	})
	return func() { done.Store(true); wg.Wait() }
}

// A new subscription may get a retained message and the one that takes its
// place, in this order only.
func TestRetainedNeverBehindNewer(t *testing.T) {
	const subscriptions = 8_000
	t.Run("client", func(t *testing.T) {
		w := newWorld(t, midge.Config{SysInterval: -1})
		p := w.connect("p")
		stop := counting(t, w.b)
		defer stop()
		var last uint64
		for i := range subscriptions {
			s := packet.Subscribe{ID: mqtt.PacketID(i + 1), Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("t")})}
			p.write(s.Append(nil, p.v))
			for got := 0; got < 3; {
				h, body, err := p.next()
				if err != nil {
					t.Fatal(err)
				}
				var m packet.Publish
				if h.Type != packet.PUBLISH || m.Decode(p.v, h.Flags, body) != nil {
					continue
				}
				got++
				n := binary.BigEndian.Uint64(m.Payload)
				if n < last {
					t.Fatalf("%d behind %d, RETAIN %v", n, last, m.Retain)
				}
				last = n
			}
		}
	})
	t.Run("local", func(t *testing.T) {
		w := newWorld(t, midge.Config{SysInterval: -1})
		stop := counting(t, w.b)
		defer stop()
		for range subscriptions {
			var mu sync.Mutex
			var last uint64
			end, err := w.b.Subscribe("t", mqtt.AtLeastOnce, func(m mqtt.Message) {
				mu.Lock()
				defer mu.Unlock()
				n := binary.BigEndian.Uint64(m.Payload)
				if n < last {
					t.Errorf("%d behind %d, RETAIN %v", n, last, m.Retain)
				}
				last = n
			})
			if err != nil {
				t.Fatal(err)
			}
			runtime.Gosched()
			end()
		}
	})
}

// retainMany retains n messages below many/, of one text.
func retainMany(w *world, n int, text string) {
	for i := range n {
		w.b.Publish(mqtt.Message{Topic: fmt.Sprintf("many/%d/x", i), Payload: []byte(text), QoS: mqtt.QoS(i % 2), Retain: true})
	}
}

// A replay that has to look at more topics than it may in one go goes on, also
// where it finds next to nothing.
func TestReplayGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		w := newWorld(t, midge.Config{SysInterval: -1})
		retainMany(w, n, "x")
		w.b.Publish(mqtt.Message{Topic: "many/7/y", Payload: []byte("y"), Retain: true})
		p := w.connect("p")
		p.subscribe("many/+/y", mqtt.AtMostOnce)
		if m := p.wantPublish(); string(m.Payload) != "y" || !m.Retain {
			t.Fatalf("got %s", m.Payload)
		}
		p.subscribe("many/+/x", mqtt.AtMostOnce)
		for range n {
			p.wantPublish()
		}
	})
}

// What takes the place of a retained message while a replay is under way comes
// once, and nothing older behind it.
func TestReplayBesideNewMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5000
		w := newWorldSized(t, midge.Config{SysInterval: -1, MaxQueuedMessages: 2 * n}, 4<<10)
		retainMany(w, n, "old")
		p := w.connect("p")
		s := packet.Subscribe{ID: 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("#"), QoS: mqtt.AtLeastOnce})}
		p.write(s.Append(nil, p.v))
		p.want(packet.SUBACK)
		synctest.Wait() // the client takes nothing, and the replay is stuck
		retainMany(w, n, "new")
		seen, old := map[string]bool{}, 0
		for len(seen) < n {
			h, body, err := p.next()
			if err != nil {
				t.Fatal(err, len(seen), old)
			}
			var m packet.Publish
			if err := m.Decode(p.v, h.Flags, body); err != nil {
				t.Fatal(err)
			}
			if m.QoS > 0 {
				p.write((&packet.Ack{Type: packet.PUBACK, ID: m.ID}).Append(nil, p.v))
			}
			topic := string(m.Topic)
			switch fresh := string(m.Payload) == "new"; {
			case seen[topic]:
				t.Fatalf("%s %s behind the newest", topic, m.Payload)
			case fresh == m.Retain:
				t.Fatalf("%s %s with RETAIN %v", topic, m.Payload, m.Retain)
			case fresh:
				seen[topic] = true
			default:
				old++
			}
		}
		if old == 0 || old == n {
			t.Errorf("%d old ones came: nothing was under way", old)
		}
	})
}
