package midge_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// One of 101 subscribers stops reading: the publisher's PUBACK never waits for
// it, the other hundred lose nothing, the memory held for it stays within the
// bound of its queue, and its end is counted where an operator looks.
// In fake time "never later" is exact: a PUBACK that waited for anything
// would come at another instant.
func TestStalledSubscriber(t *testing.T) {
	for _, q := range []mqtt.QoS{mqtt.AtMostOnce, mqtt.AtLeastOnce} {
		t.Run(fmt.Sprintf("QoS %d", q), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { stalledSubscriber(t, q) })
		})
	}
}

func stalledSubscriber(t *testing.T, q mqtt.QoS) {
	const (
		healthy = 100
		sent    = 300
		queued  = 64 << 10
		size    = 2 << 10
		bound   = 2*queued + size // QoS 1 in flight is held once more as it goes out
	)
	w := newWorldSized(t, midge.Config{
		MaxQueuedBytes: queued, WriteTimeout: 20 * time.Second, SysInterval: time.Second,
	}, 16<<10)
	var got [healthy]atomic.Int64
	for i := range healthy {
		p := w.connect("healthy"+strconv.Itoa(i), func(c *packet.Connect) { c.Properties.SessionExpiryInterval = 60 })
		p.subscribe("t", q)
		go func() {
			for {
				h, body, err := p.next()
				if err != nil {
					return
				}
				var m packet.Publish
				if h.Type != packet.PUBLISH || m.Decode(p.v, h.Flags, body) != nil {
					continue
				}
				if want := fmt.Sprintf("%06d", got[i].Load()); !strings.HasPrefix(string(m.Payload), want) {
					t.Errorf("healthy subscriber %d: got %.6s, want %s", i, m.Payload, want)
				}
				got[i].Add(1)
				if m.QoS > 0 {
					a := packet.Ack{Type: packet.PUBACK, ID: m.ID}
					p.nc.Write(a.Append(nil, p.v))
				}
			}
		}()
	}
	stalled := w.connect("stalled")
	stalled.subscribe("t", q) // and never reads again
	sys := w.connect("sys")
	pub := w.connect("publisher")

	for i := range sent {
		before := time.Now()
		payload := fmt.Sprintf("%06d", i) + strings.Repeat("x", size)
		m := packet.Publish{Topic: []byte("t"), Payload: []byte(payload), QoS: mqtt.AtLeastOnce, ID: 1}
		pub.write(m.Append(nil, pub.v))
		pub.want(packet.PUBACK)
		if late := time.Since(before); late != 0 {
			t.Fatalf("PUBACK %d came %v late", i, late)
		}
		synctest.Wait()
		for _, st := range w.b.Clients() {
			if st.ClientID == "stalled" && st.QueuedBytes > bound {
				t.Fatalf("%d bytes are held for the stalled client, the bound is %d", st.QueuedBytes, bound)
			}
		}
	}
	for i := range got {
		if n := got[i].Load(); n != sent {
			t.Errorf("healthy subscriber %d got %d of %d messages", i, n, sent)
		}
	}
	<-time.After(45 * time.Second) // fake: past WriteTimeout and the next $SYS
	for _, st := range w.b.Clients() {
		if st.ClientID == "stalled" {
			t.Error("the stalled client is still connected after WriteTimeout")
		}
	}
	wantSys(t, sys, "$SYS/broker/clients/stalled", func(n int) bool { return n == 1 })
	wantSys(t, sys, "$SYS/broker/publish/messages/dropped", func(n int) bool { return n > 0 })
	runtime.KeepAlive(stalled)
}

// A message that fits the client's maximum to the byte is sent without the
// alias it has no room to define, and is not left in the window unsent.
func TestNoRoomForAnAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		const payload = 40
		m := packet.Publish{Topic: []byte("t"), Payload: make([]byte, payload), QoS: 1, ID: 1}
		sub := w.connect("sub", func(c *packet.Connect) {
			c.Properties.MaximumPacketSize = uint32(m.Size(mqtt.V5))
			c.Properties.TopicAliasMaximum = 10
			c.Properties.ReceiveMaximum = 1
		})
		sub.subscribe("t", mqtt.AtLeastOnce)
		for range 2 {
			if err := w.b.Publish(mqtt.Message{Topic: "t", Payload: m.Payload, QoS: 1}); err != nil {
				t.Fatal(err)
			}
			got := sub.wantPublish()
			if len(got.Payload) != payload || got.Properties.TopicAlias != 0 {
				t.Errorf("got %d bytes under alias %d", len(got.Payload), got.Properties.TopicAlias)
			}
			ack := packet.Ack{Type: packet.PUBACK, ID: got.ID}
			sub.write(ack.Append(nil, sub.v))
			synctest.Wait()
		}
	})
}

// wantSys subscribes to a $SYS topic and wants its value right at once.
func wantSys(t *testing.T, p *peer, topic string, right func(int) bool) {
	t.Helper()
	p.subscribe(topic, mqtt.AtMostOnce)
	m := p.wantPublish()
	if n, err := strconv.Atoi(string(m.Payload)); err != nil || !right(n) {
		t.Errorf("%s is %s", topic, m.Payload)
	}
}

// A client that asks and does not take the answers is not read on until it
// does: what waits for it stays within a bound, and nothing is lost.
func TestAnswersHaveABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 512 << 10
		w := newWorldSized(t, midge.Config{}, 4<<10)
		p := w.connect("p")
		p.subscribe("t", mqtt.AtMostOnce)
		for range 10 { // more than the pipe holds: the writer blocks
			w.b.Publish(mqtt.Message{Topic: "t", Payload: make([]byte, 2000)})
		}
		const pings = 512 << 10
		go p.nc.Write(bytes.Repeat([]byte{0xC0, 0}, pings))
		synctest.Wait()
		if st := w.b.Clients()[0]; st.QueuedBytes > bound {
			t.Fatalf("%d bytes wait for a client that does not read", st.QueuedBytes)
		}
		got := map[packet.Type]int{}
		for got[packet.PINGRESP] < pings {
			h, _, err := p.next()
			if err != nil {
				t.Fatal(got, err)
			}
			got[h.Type]++
		}
		if got[packet.PUBLISH] != 10 {
			t.Errorf("got %v", got)
		}
	})
}

// A client on a slow link is not a stalled one: it is cut off when it takes no
// byte, not when it takes long.
func TestSlowIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldSized(t, midge.Config{WriteTimeout: 4 * time.Second}, 512)
		s, p := w.connect("slow"), w.connect("p")
		s.subscribe("t", mqtt.AtMostOnce)
		const size = 20 << 10
		go p.publish("t", strings.Repeat("x", size), mqtt.AtMostOnce)
		s.nc.SetReadDeadline(time.Time{})
		got, buf := 0, make([]byte, 256)
		for got < size {
			<-time.After(time.Second)
			n, err := s.nc.Read(buf)
			if err != nil {
				t.Fatalf("cut off after %d bytes: %v", got, err)
			}
			got += n
		}
	})
}
