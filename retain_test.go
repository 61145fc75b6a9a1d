package midge_test

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

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
