package bench

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// The generator allocates nothing for a message, sent and received, whatever
// the QoS.
func TestNothingIsAllocatedForAMessage(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for q := mqtt.AtMostOnce; q <= mqtt.ExactlyOnce; q++ {
			s := &sink{size: 1}
			c := &client{peer: &peer{nc: s, version: v, buf: make([]byte, 64<<10)}, epoch: time.Now(), latency: new(Histogram)}
			c.record = new(atomic.Bool)
			c.record.Store(true)
			p := &publisher{c: c, fan: 1, window: 100, total: 1 << 31}
			p.ring = newRing(0, v, q, false, 64, 100, func(int) string { return "bench/topic" })
			p.init()
			p.start()
			c.pub, c.senders, c.streams, c.touched = p, []*publisher{p}, make([]stream, 1), make([]uint32, 0, 1)
			c.out = make([]byte, 0, 4096)
			turn := func() { // a write of 100 messages, which come back as they are
				if err := p.pump(); err != nil {
					t.Fatal(err)
				}
				c.w = copy(c.buf, p.ring.b)
				if err := c.consume(); err != nil {
					t.Fatal(err)
				}
				if err := c.settle(); err != nil {
					t.Fatal(err)
				}
			}
			if n := testing.AllocsPerRun(100, turn); n != 0 {
				t.Errorf("MQTT %v, QoS %d: %v allocations for 100 messages", v, q, n)
			}
			if got := c.received.Load(); got < 10000 || c.faults.Any() {
				t.Errorf("MQTT %v, QoS %d: %d messages counted, %+v", v, q, got, c.faults)
			}
		}
	}
}
