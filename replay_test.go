package midge_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/store/memory"
)

func (w *world) retainMany(n int) {
	w.t.Helper()
	for i := range n {
		if err := w.b.Publish(mqtt.Message{Topic: fmt.Sprint("kept/", i), Payload: []byte("x"), Retain: true}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// collect counts the retained messages that come, and those that are not, until
// nothing does any more.
func (p *peer) collect(by time.Time) (retained, live int) {
	for {
		h, _, err := p.nextBy(by)
		if err != nil {
			return retained, live
		}
		if h.Type == packet.PUBLISH && h.Flags&1 != 0 {
			retained++
		} else if h.Type == packet.PUBLISH {
			live++
		}
	}
}

// All replays share a rate, of which nothing is lost, and live messages do not
// wait for it.
func TestReplayRate(t *testing.T) {
	for name, cfg := range map[string]midge.Config{
		"memory": {ReplayRate: 1000, SysInterval: -1},
		"store":  {ReplayRate: 1000, SysInterval: -1, Store: memory.New()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorldSized(t, cfg, 1<<20)
				w.retainMany(4000)
				p, q := w.connect("p", lasting), w.connect("q", lasting)
				start := time.Now()
				p.subscribe("#", 0)
				q.subscribe("kept/#", 0)
				w.b.Publish(mqtt.Message{Topic: "kept/live", Payload: []byte("x")})
				a, live := p.collect(start.Add(2 * time.Second))
				b, _ := q.collect(start.Add(2001 * time.Millisecond))
				if sum := a + b; sum < 1900 || sum > 2200 || live != 1 {
					t.Errorf("%d and %d messages came in 2 s, %d live ones", a, b, live)
				}
				if err := w.b.Adjust(midge.Config{}); err != nil {
					t.Fatal(err)
				}
				more, _ := p.collect(start.Add(3 * time.Second))
				rest, _ := q.collect(start.Add(3001 * time.Millisecond))
				if a+more != 4000 || b+rest != 4000 {
					t.Errorf("%d and %d messages came in the end", a+more, b+rest)
				}
				if w.b.Stats().Limited.ReplaysHeld == 0 {
					t.Error("nothing is counted")
				}
			})
		})
	}
}

// A subscription that would bring too much is refused, and can be had without.
func TestMaxReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldSized(t, midge.Config{MaxReplay: 100, SysInterval: -1}, 1<<20)
		w.retainMany(101)
		p := w.connect("p")
		for filter, want := range map[string]mqtt.ReasonCode{
			"#": mqtt.QuotaExceeded, "kept/+": mqtt.QuotaExceeded, "kept/7": 0, "+/other": 0, "$share/g/#": 0,
		} {
			q := w.connect("q" + filter)
			if got := q.ask(filter); got != want {
				t.Errorf("%s: %v, want %v", filter, got, want)
			}
		}
		s := packet.Subscribe{ID: 9, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("#"), RetainHandling: 2})}
		p.write(s.Append(nil, p.v))
		if k := p.want(packet.SUBACK); k[len(k)-1] != 0 {
			t.Errorf("without a replay: SUBACK % x", k)
		}
		old := w.connect("old", func(c *packet.Connect) { c.Version = mqtt.V311 })
		if got := old.ask("#"); got != mqtt.UnspecifiedError {
			t.Errorf("3.1.1: %v", got)
		}
		if n := w.b.Stats().Limited.Replays; n != 3 {
			t.Errorf("%d are counted", n)
		}
	})
}
