package midge_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// On a loop, a client that is held back gets all it sends through, no faster
// than it may, while others are served; and so where a hook has had its
// connection taken off the loop.
func TestLoopHoldsBack(t *testing.T) {
	const rate, all = 400, 700
	for name, hook := range map[string]func(context.Context, midge.ClientInfo, *mqtt.Message) error{
		"loop":      nil,
		"goroutine": func(context.Context, midge.ClientInfo, *mqtt.Message) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := midge.Config{
				Logger: quiet(), Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}},
				ClientRate: midge.Rate{Messages: rate}, RateBurst: 500 * time.Millisecond,
			}
			cfg.Hooks.Publish = hook
			b, err := midge.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			start := time.Now()
			var n atomic.Int64
			stop, err := b.Subscribe("flood", 0, func(mqtt.Message) {
				most := int64(rate/2 + 1 + time.Since(start).Seconds()*rate)
				if got := n.Add(1); got <= all && got > most {
					t.Errorf("message %d comes when there may be %d", got, most)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			dial := func(id string) *peer {
				nc, err := net.Dial("tcp", strings.TrimPrefix(b.Addrs()[0], "tcp://"))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { nc.Close() })
				return (&peer{t: t, nc: nc}).greet(id, func(c *packet.Connect) { c.KeepAlive = 1 })
			}
			p, q, r := dial("p"), dial("q"), dial("r")
			p.flood(all, 1, 300)
			q.subscribe("q", 0)
			q.publish("q", "here", 0)
			if m := q.wantPublish(); string(m.Payload) != "here" {
				t.Errorf("q got %q", m.Payload)
			}
			if codes := p.acks(all); codes[mqtt.Success] != all {
				t.Errorf("acknowledged: %v", codes)
			}
			r.flood(100_000/300, 0, 300) // ends held back
			b.Disconnect("r", mqtt.AdministrativeAction)
			r.wantEnd(mqtt.AdministrativeAction)
		})
	}
}
