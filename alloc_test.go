package midge

import (
	"crypto/tls"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/transport"
)

// A sinkConn takes what is written and has nothing to read.
type sinkConn struct{ transport.Conn }

func (sinkConn) Write(p []byte) (int, error)      { return len(p), nil }
func (sinkConn) SetReadDeadline(time.Time) error  { return nil }
func (sinkConn) SetWriteDeadline(time.Time) error { return nil }
func (sinkConn) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "sink", Net: "unix"} }
func (sinkConn) Kind() transport.Kind             { return transport.Pipe }
func (sinkConn) Close() error                     { return nil }
func (sinkConn) TLS() *tls.ConnectionState        { return nil }

// A rig is a broker whose connections nobody serves: packets go in by hand.
type rig struct {
	b  *Broker
	sc *scratch
}

func newRig(tb testing.TB) *rig {
	b, err := New(Config{Listeners: []Listener{}, SysInterval: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.Close() })
	return &rig{b, &scratch{now: time.Now()}}
}

func (h *rig) client(tb testing.TB, id string, v mqtt.Version) *conn {
	c := newConn(h.b, sinkConn{}, new(listening))
	if over, err := c.connect(h.sc, &packet.Connect{Version: v, ClientID: []byte(id), CleanStart: true, Properties: new(packet.Properties)}); over || err != nil {
		tb.Fatal(over, err)
	}
	c.drop()
	return c
}

// drop does what a writer would, without one.
func (c *conn) drop() {
	c.outbox.out, c.outbox.messages, c.outbox.marked = c.outbox.out[:0], 0, nil
}

func (h *rig) subscribe(c *conn, filter string, q mqtt.QoS) {
	p := packet.Subscribe{
		ID: 1, Properties: new(packet.Properties),
		Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte(filter), QoS: q}),
	}
	c.subscribe(h.sc, &p)
	c.drop()
}

type anything struct{}

func (anything) MayPublish([]byte) bool   { return true }
func (anything) MaySubscribe(string) bool { return true }
func (anything) MayReceive([]byte) bool   { return true }

// Routing a QoS 0 PUBLISH to subscribers that stand is free of allocation,
// whatever they speak and however their filters look; so is the way in.
func TestRouteQoS0AllocatesNothing(t *testing.T) {
	h := newRig(t)
	var subs []*conn
	for i, filter := range []string{"a/b", "a/+", "#", "$share/g/a/b", "a/b"} {
		c := h.client(t, filter+string(rune('0'+i)), []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}[i%3])
		h.subscribe(c, filter, mqtt.QoS(i%3))
		subs = append(subs, c)
	}
	for i, v := range []mqtt.Version{mqtt.V311, mqtt.V5, mqtt.V5} {
		pub := h.client(t, "pub"+string(rune('0'+i)), v)
		if i == 2 { // with access control
			pub.session.setAccessLocked(anything{})
			for _, c := range subs {
				c.session.setAccessLocked(anything{})
			}
		}
		raw := (&packet.Publish{Topic: []byte("a/b"), Payload: []byte("payload")}).Append(nil, v)
		publish := func() {
			ty, n, _, err := pub.in.Next(raw, &h.sc.packets)
			if err != nil || n != len(raw) {
				t.Fatal(n, err)
			}
			if over, err := pub.handle(h.sc, ty); over || err != nil {
				t.Fatal(over, err)
			}
			for _, c := range subs {
				c.drop()
			}
			clear(h.sc.dirty)
			h.sc.dirty = h.sc.dirty[:0]
		}
		before := subs[0].outbox.sent.messages
		if n := testing.AllocsPerRun(1000, publish); n != 0 {
			t.Errorf("%s: %v allocations a message", v, n)
		}
		if got := subs[0].outbox.sent.messages - before; got != 1001 {
			t.Errorf("%s: %d messages arrived", v, got)
		}
	}
}

// So is a run of messages, whatever its subscribers speak.
func TestRunAllocatesNothing(t *testing.T) {
	h := newRig(t)
	var subs []*conn
	for i, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		subs = append(subs, h.client(t, string(rune('0'+i)), v))
		h.subscribe(subs[i], "a/b", mqtt.AtMostOnce)
	}
	pub := h.client(t, "pub", mqtt.V5)
	var raw []byte
	for range 50 {
		m := packet.Publish{Topic: []byte("a/b"), Payload: []byte("payload"), Properties: new(packet.Properties)}
		raw = m.Append(raw, mqtt.V5)
	}
	var want, got []byte
	h.sc.loop = new(loop) // writes after its turn, which is never
	publish := func() {
		for _, c := range subs {
			giveBuffer(c.outbox.out)
			c.outbox.out, c.outbox.messages, c.outbox.marked, c.outbox.writing = nil, 0, nil, true
		}
		if used, _, over, err := pub.batch(h.sc, raw); used != len(raw) || over || err != nil {
			t.Fatal(used, over, err)
		}
		clear(h.sc.dirty)
		h.sc.dirty = h.sc.dirty[:0]
	}
	publish()
	for range 50 {
		want = append(want, 0x30, 2+3+7, 0, 3, 'a', '/', 'b')
		want = append(want, "payload"...)
	}
	if got = subs[0].outbox.out; string(got) != string(want) {
		t.Errorf("3.1.1 gets % x", got)
	}
	if got = subs[1].outbox.out; string(got) != string(raw) {
		t.Errorf("5.0 gets % x", got)
	}
	if n := testing.AllocsPerRun(1000, publish); n != 0 {
		t.Errorf("%v allocations a run", n)
	}
	if got := subs[1].outbox.sent.messages; got != 50*1002 {
		t.Errorf("%d messages were counted", got)
	}
}

// The plan of a topic is renewed when somebody subscribes.
func TestRouteSeesNewSubscriptions(t *testing.T) {
	h := newRig(t)
	pub, sub := h.client(t, "pub", mqtt.V5), h.client(t, "sub", mqtt.V5)
	m := &packet.Publish{Topic: []byte("t"), Payload: []byte("x"), Properties: new(packet.Properties)}
	want := uint32(0)
	for range 3 {
		pub.publish(h.sc, m)
		h.subscribe(sub, "t", 0)
		pub.publish(h.sc, m)
		want++
		if got := sub.outbox.sent.messages; got != want {
			t.Fatalf("%d messages, want %d", got, want)
		}
		sub.unsubscribe(&packet.Unsubscribe{ID: 2, Filters: packet.TopicFilters(nil).Add("t")})
		sub.drop()
	}
}

func BenchmarkRouteQoS0(b *testing.B) {
	for _, fan := range []int{1, 100} {
		b.Run("to "+string(rune('0'+fan%10)), func(b *testing.B) {
			h := newRig(b)
			var subs []*conn
			for i := range fan {
				c := h.client(b, "s"+string(rune(i)), mqtt.V311)
				h.subscribe(c, "a/b", 0)
				subs = append(subs, c)
			}
			pub := h.client(b, "pub", mqtt.V311)
			raw := (&packet.Publish{Topic: []byte("a/b"), Payload: make([]byte, 64)}).Append(nil, mqtt.V311)
			b.ReportAllocs()
			for range b.N {
				ty, _, _, _ := pub.in.Next(raw, &h.sc.packets)
				pub.handle(h.sc, ty)
				for _, c := range subs {
					if len(c.outbox.out) > 32<<10 {
						c.drop()
					}
				}
				h.sc.dirty = h.sc.dirty[:0]
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(fan), "ns/delivery")
		})
	}
}
