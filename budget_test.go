package midge_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/store"
)

// Whatever clients do, what is counted is what there is.
func TestBudgetIsExact(t *testing.T) {
	for name, open := range map[string]func() store.Store{
		"memory": func() store.Store { return nil },
		"store":  func() store.Store { return newLagging(3 * time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := midge.Config{SysInterval: -1, MaxQueuedMessages: 50, MaxPacketSize: 100_000}
				if st := open(); st != nil {
					cfg.Store = st
				}
				w := newWorldSized(t, cfg, 4<<10)
				r := rand.New(rand.NewPCG(7, 7))
				for range 60 {
					w.muddle(r)
					synctest.Wait()
					if n := w.b.Miscounted(); n != 0 {
						t.Fatalf("the budget is %d bytes off", n)
					}
				}
				<-time.After(2 * time.Hour) // sessions expire
				for i := range 20 {
					w.b.Publish(mqtt.Message{Topic: fmt.Sprint("r/", i), Retain: true})
				}
				if got := w.b.Stats().Memory; got != 0 {
					t.Errorf("%d bytes are held for nobody", got)
				}
			})
		})
	}
}

// muddle lets a few clients do this and that, and leave in one way or another.
func (w *world) muddle(r *rand.Rand) {
	var all []*peer
	for i := range 4 {
		p := w.connect(fmt.Sprint("client", r.IntN(3)+3*i), func(c *packet.Connect) {
			c.CleanStart = r.IntN(3) == 0
			c.Properties.SessionExpiryInterval = uint32(r.IntN(2) * 3600)
			if c.HasWill = r.IntN(2) == 0; c.HasWill {
				c.Will.Topic, c.Will.Payload = []byte("w/x"), make([]byte, r.IntN(3000))
				c.Will.Properties.WillDelayInterval = uint32(r.IntN(2) * 100)
			}
		})
		all = append(all, p)
	}
	for id := range mqtt.PacketID(60) {
		p, topic := all[r.IntN(len(all))], fmt.Sprint([]string{"r/", "w/", "q/"}[r.IntN(3)], r.IntN(20))
		switch r.IntN(6) {
		case 0:
			filter := []string{"#", "r/#", "q/+", topic, "$share/g/q/#"}[r.IntN(5)]
			s := packet.Subscribe{ID: id + 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte(filter), QoS: mqtt.QoS(r.IntN(3))})}
			p.try(s.Append(nil, p.v))
		case 1:
			u := packet.Unsubscribe{ID: id + 1, Filters: packet.TopicFilters(nil).Add(topic)}
			p.try(u.Append(nil, p.v))
		default:
			m := packet.Publish{Topic: []byte(topic), QoS: mqtt.QoS(r.IntN(3)), Payload: make([]byte, r.IntN(1<<r.IntN(15))), Retain: topic[0] == 'r'}
			if m.QoS > 0 {
				m.ID = id + 1
			}
			p.try(m.Append(nil, p.v))
		}
		if r.IntN(3) == 0 { // others never read
			p.glance()
		}
	}
	for _, p := range all {
		if r.IntN(2) == 0 {
			big := packet.Publish{Topic: []byte("big"), Payload: make([]byte, 80_000)}
			p.try(big.Append(nil, p.v)[:r.IntN(70_000)])
		}
		if r.IntN(2) == 0 {
			p.try([]byte{0xE0, 0})
		}
		p.nc.Close()
	}
	<-time.After(time.Minute)
}

// try writes what the other end takes at once.
func (p *peer) try(b []byte) {
	p.nc.SetWriteDeadline(time.Now().Add(time.Millisecond))
	p.nc.Write(b)
}

// glance reads what has come and acknowledges QoS 1.
func (p *peer) glance() {
	for {
		h, body, err := p.nextBy(time.Now().Add(time.Millisecond))
		if err != nil {
			return
		}
		var m packet.Publish
		if h.Type == packet.PUBLISH && m.Decode(p.v, h.Flags, body) == nil && m.QoS == 1 {
			a := packet.Ack{Type: packet.PUBACK, ID: m.ID}
			p.try(a.Append(nil, p.v))
		}
	}
}

// near fills a broker with retained messages until it takes no more.
func (w *world) fillRetained() (n int) {
	w.t.Helper()
	for ; w.b.Publish(mqtt.Message{Topic: fmt.Sprint("fill/", n), Payload: make([]byte, 64<<10), Retain: true}) == nil; n++ {
	}
	return n
}

// When memory gets short, what is new is refused, then what would have to wait;
// those who do nothing of the kind notice nothing.
func TestMemoryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 16 << 20
		w := newWorldSized(t, midge.Config{MaxMemory: most, SysInterval: -1}, 1<<20)
		away := w.connect("away", lasting)
		away.subscribe("queue", 1)
		away.nc.Close()
		sub, pub := w.connect("sub"), w.connect("pub")
		old := w.connect("old", func(c *packet.Connect) { c.Version = mqtt.V311 })
		sub.subscribe("live", 1)
		if w.fillRetained() < 100 {
			t.Fatal("there is hardly room for anything")
		}
		held := w.b.Stats().Memory
		if held < most*3/4 || held > most*7/8 {
			t.Errorf("%d of %d bytes are held when nothing new is retained", held, most)
		}
		if code := pub.retain("more", strings.Repeat("x", 100_000)); code != mqtt.QuotaExceeded {
			t.Errorf("one more retained message: %v", code)
		}
		if code := pub.ask("more"); code.Failed() {
			t.Errorf("one more subscription, with an eighth to go: %v", code)
		}
		sub.subscribe("live", 1) // is there
		if _, k := w.hello("new", mqtt.V5); k.Code != mqtt.QuotaExceeded {
			t.Errorf("one more session: %v", k.Code)
		}
		if _, k := w.hello("new", mqtt.V311); k.Return != mqtt.RefusedUnavailable {
			t.Errorf("one more session of 3.1.1: %v", k.Return)
		}
		n := 0
		for _, size := range []int{64 << 10, 1 << 10} { // a large one counts while it is read, too
			for ; pub.told("queue", size) == mqtt.Success; n++ {
			}
		}
		if now := w.b.Stats().Memory; n == 0 || now < most*7/8-(8<<10) || now > most {
			t.Errorf("%d bytes are held after %d queued messages", now, n)
		}
		if code := pub.ask("even more"); code != mqtt.QuotaExceeded {
			t.Errorf("one more subscription: %v", code)
		}
		sub.subscribe("live", 1) // is there
		start := time.Now()
		for range 5 {
			old.told("queue", 8<<10)
		}
		if waited := time.Since(start); waited < 2*time.Second {
			t.Errorf("an older client is held back for %v", waited)
		}
		for range 100 {
			if code := pub.told("live", 100); code != mqtt.Success {
				t.Fatalf("a message that need not wait: %v", code)
			}
			m := sub.wantPublish()
			a := packet.Ack{Type: packet.PUBACK, ID: m.ID}
			sub.write(a.Append(nil, sub.v))
		}
		if got := w.b.Stats().Limited.Memory; got < 8 {
			t.Errorf("%d refusals are counted", got)
		}
		if code := pub.retain("fill/0", "less"); code.Failed() {
			t.Errorf("a message that takes the place of a larger one: %v", code)
		}
		if err := w.b.Adjust(midge.Config{}); err != nil {
			t.Fatal(err)
		}
		if code := pub.told("queue", 64<<10); code != mqtt.Success {
			t.Errorf("without a bound: %v", code)
		}
	})
}

// told publishes size bytes at QoS 1 and returns the code of the answer.
func (p *peer) told(topic string, size int) mqtt.ReasonCode {
	p.t.Helper()
	p.publish(topic, strings.Repeat("x", size), 1)
	var a packet.Ack
	if err := a.Decode(p.v, packet.PUBACK, p.want(packet.PUBACK)); err != nil {
		p.t.Fatal(err)
	}
	return a.Code
}

// What is counted is what the heap has, or more.
func TestBudgetIsTrue(t *testing.T) {
	const n = 20_000
	for name, fill := range map[string]func(w *world){
		"retained": func(w *world) {
			for i := range n {
				w.b.Publish(mqtt.Message{Topic: fmt.Sprintf("site/%d/device/%d", i%100, i), Payload: make([]byte, 64), Retain: true})
			}
		},
		"deep topics": func(w *world) {
			for i := range n / 20 {
				w.b.Publish(mqtt.Message{Topic: fmt.Sprint(i, strings.Repeat("/x", 120)), Payload: make([]byte, 64), Retain: true})
			}
		},
		"sessions": func(w *world) {
			t := w.t
			for i := range n / 10 {
				nc, err := w.ln.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				p := (&peer{t: t, nc: nc, v: mqtt.V5}).greet(fmt.Sprint("session", i), lasting)
				p.subscribe(fmt.Sprint("own/", i), 1)
				p.try([]byte{0xE0, 0})
				p.nc.Close()
			}
		},
		"queue": func(w *world) {
			p := w.connect("away", lasting)
			p.subscribe("q/#", 1)
			p.nc.Close()
			synctest.Wait()
			for i := range n {
				w.b.Publish(mqtt.Message{Topic: fmt.Sprint("q/", i), Payload: make([]byte, 100), QoS: 1})
			}
		},
		"slow reader": func(w *world) {
			p := w.connect("slow")
			p.subscribe("q/#", 0)
			for i := range n {
				w.b.Publish(mqtt.Message{Topic: fmt.Sprint("q/", i), Payload: make([]byte, 1000)})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorldSized(t, midge.Config{SysInterval: -1}, 4<<10)
				before, counted := midge.LiveHeap(), w.b.Stats().Memory
				fill(w)
				synctest.Wait()
				took, said := int64(midge.LiveHeap()-before), w.b.Stats().Memory-counted
				t.Logf("%d bytes of heap, %d counted: %.2f", took, said, float64(said)/float64(took))
				if f := float64(said) / float64(took); f < 0.85 || f > 2 {
					t.Errorf("%d bytes are counted, the heap has %d", said, took)
				}
			})
		})
	}
}
