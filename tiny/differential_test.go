package tiny_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/tiny"
	"github.com/midgemq/midge/tiny/host"
	"github.com/midgemq/midge/transport"
)

// The same seeded histories into tiny and into midge: what every client is sent
// after every step is the same, where both offer the feature.
func TestDifferential(t *testing.T) {
	seeds := 400
	if testing.Short() || tiny.Raced {
		seeds = 40
	}
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			a, b := tinyWorld(t), midgeWorld(t)
			h := history{t: t, r: rand.New(rand.NewPCG(seed, 1)), worlds: [2]*twin{a, b}}
			for step := range 60 {
				what := h.step()
				got, want := a.settle(), b.settle()
				if got != want {
					t.Fatalf("seed %d, step %d: %s\ntiny:\n%s\nmidge:\n%s\nso far:\n%s", seed, step, what, got, want, strings.Join(h.log, "\n"))
				}
				h.log = append(h.log, what)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// A twin is one of the two brokers and its clients.
type twin struct {
	t     *testing.T
	dial  func(ctx context.Context) (transport.Conn, error)
	peers [4]*twinPeer
}

func tinyWorld(t *testing.T) *twin {
	b, err := tiny.New(roomy(), tiny.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	ln := transport.ListenPipe("tiny", 0)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- host.New(b).Serve(ctx, ln) }()
	t.Cleanup(func() { stop(); <-ended })
	return &twin{t: t, dial: ln.Dial}
}

func midgeWorld(t *testing.T) *twin {
	b, err := midge.New(midge.Config{
		Listeners: []midge.Listener{}, Logger: slog.New(slog.DiscardHandler), MaxPacketSize: roomy().MaxPacket,
		MaxInflight: roomy().Inflight, SysInterval: -1, NoShared: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	ln := transport.ListenPipe("midge", 0)
	b.Serve(ln)
	t.Cleanup(func() { b.Close() })
	return &twin{t: t, dial: ln.Dial}
}

// A twinPeer is one client of one of the two.
type twinPeer struct {
	nc   net.Conn
	v    mqtt.Version
	lazy bool // acknowledges nothing

	mu     sync.Mutex
	in     []byte
	closed bool
}

func (w *twin) connect(i int, v mqtt.Version, lazy bool, hello []byte) {
	w.drop(i)
	nc, err := w.dial(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	p := &twinPeer{nc: nc, v: v, lazy: lazy}
	w.peers[i] = p
	go p.read()
	nc.Write(hello)
}

func (p *twinPeer) read() {
	buf := make([]byte, 4096)
	for {
		n, err := p.nc.Read(buf)
		p.mu.Lock()
		p.in = append(p.in, buf[:n]...)
		p.closed = err != nil
		p.mu.Unlock()
		if err != nil {
			if err != io.EOF {
				p.nc.Close()
			}
			return
		}
	}
}

func (w *twin) drop(i int) {
	if p := w.peers[i]; p != nil {
		p.nc.Close()
		w.peers[i] = nil
	}
	synctest.Wait()
}

func (w *twin) send(i int, b []byte) {
	if p := w.peers[i]; p != nil {
		p.nc.Write(b)
	}
}

// settle lets everything arrive, acknowledged as clients do, and returns what
// each was sent, in an order that does not depend on who was first.
func (w *twin) settle() string {
	var out []string
	for busy := true; busy; {
		busy = false
		synctest.Wait()
		for i, p := range w.peers {
			if p == nil {
				continue
			}
			p.mu.Lock()
			in := p.in
			p.in = nil
			closed := p.closed
			p.mu.Unlock()
			for len(in) > 0 {
				h, err := packet.ReadHeader(in)
				if err != nil || h.Size+h.Len > len(in) {
					w.t.Fatalf("client %d got % x: %v", i, in, err)
				}
				seen, reply := p.take(h, in[h.Size:h.Size+h.Len])
				out = append(out, fmt.Sprintf("%d: %s", i, seen))
				if len(reply) > 0 && !p.lazy {
					p.nc.Write(reply)
				}
				in = in[h.Size+h.Len:]
				busy = true
			}
			if closed {
				out = append(out, fmt.Sprintf("%d: closed", i))
				w.drop(i)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// take says what a packet is, less what two brokers may rightly do differently,
// and what a client answers.
func (p *twinPeer) take(h packet.Header, body []byte) (seen string, reply []byte) {
	ack := func(t packet.Type, id mqtt.PacketID) []byte {
		a := packet.Ack{Type: t, ID: id}
		return a.Append(nil, p.v)
	}
	switch h.Type {
	case packet.CONNACK:
		var k packet.Connack
		k.Decode(p.v, body)
		return fmt.Sprint("CONNACK ", k.SessionPresent, k.Code, k.Return), nil
	case packet.PUBLISH:
		var m packet.Publish
		m.Decode(p.v, h.Flags, body)
		var ids []uint32
		for id := range m.Properties.IDs.All() {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		if m.Dup {
			ids = nil // tiny says what matches now, midge what did when it came
		}
		switch m.QoS {
		case mqtt.AtLeastOnce:
			reply = ack(packet.PUBACK, m.ID)
		case mqtt.ExactlyOnce:
			reply = ack(packet.PUBREC, m.ID)
		}
		return fmt.Sprintf("PUBLISH %s %q qos %d dup %v retain %v ids %v expiry %d type %q", m.Topic, m.Payload, m.QoS,
			m.Dup, m.Retain, ids, m.Properties.MessageExpiryInterval, m.Properties.ContentType), reply
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		var a packet.Ack
		a.Decode(p.v, h.Type, body)
		switch {
		case h.Type == packet.PUBREC && !a.Code.Failed():
			reply = ack(packet.PUBREL, a.ID)
		case h.Type == packet.PUBREL:
			reply = ack(packet.PUBCOMP, a.ID)
			return fmt.Sprint("PUBREL ", a.Code), reply // its identifier is the broker's choice
		}
		return fmt.Sprint(h.Type, " ", a.ID, " ", a.Code), reply
	case packet.SUBACK, packet.UNSUBACK:
		var a packet.Suback
		a.Decode(p.v, h.Type, body)
		return fmt.Sprint(h.Type, " ", a.ID, " ", a.Codes), nil
	case packet.DISCONNECT:
		var d packet.Disconnect
		d.Decode(p.v, body)
		return fmt.Sprint("DISCONNECT ", d.Code), nil
	}
	return h.Type.String(), nil
}

// A history does the same to both.
type history struct {
	t      *testing.T
	r      *rand.Rand
	worlds [2]*twin
	log    []string
	id     mqtt.PacketID
}

var (
	diffTopics  = []string{"a", "a/b", "a/b/c", "b", "b/c", "/a", "a//c"}
	diffFilters = []string{"#", "+", "a/#", "a/+", "+/b", "a/b/c", "b", "/+", "a//c", "bad/#/x", "+/+/c"}
)

func (h *history) step() string {
	i := h.r.IntN(len(h.worlds[0].peers))
	p := h.worlds[0].peers[i]
	if p == nil {
		return h.connect(i)
	}
	switch h.r.IntN(12) {
	case 0:
		return h.connect(i)
	case 1, 2, 3:
		return h.subscribe(i, p.v)
	case 4:
		f := diffFilters[h.r.IntN(len(diffFilters))]
		u := packet.Unsubscribe{ID: h.next(), Filters: packet.TopicFilters(nil).Add(f)}
		return h.send(i, u.Append(nil, p.v), "unsubscribes from "+f)
	case 5:
		for _, w := range h.worlds {
			w.drop(i)
		}
		return fmt.Sprint(i, " vanishes")
	case 6:
		d := packet.Disconnect{}
		if p.v == mqtt.V5 && h.r.IntN(2) == 0 {
			d.Code = mqtt.DisconnectWithWill
		}
		return h.send(i, d.Append(nil, p.v), fmt.Sprint("says goodbye with ", d.Code))
	case 7:
		wait := time.Duration(h.r.IntN(8)) * time.Second
		<-time.After(wait)
		return fmt.Sprint(wait, " pass")
	}
	return h.publish(i, p.v)
}

func (h *history) next() mqtt.PacketID {
	h.id = h.id%200 + 1
	return h.id
}

func (h *history) send(i int, b []byte, what string) string {
	for _, w := range h.worlds {
		w.send(i, b)
	}
	return fmt.Sprint(i, " ", what)
}

func (h *history) connect(i int) string {
	v := mqtt.Version(3 + h.r.IntN(3))
	c := packet.Connect{
		Version: v, ClientID: []byte{'c', byte('0' + h.r.IntN(5))}, CleanStart: h.r.IntN(3) == 0,
		Properties: &packet.Properties{},
	}
	if v == mqtt.V5 {
		c.Properties.SessionExpiryInterval = uint32(h.r.IntN(3) * 10)
	}
	if h.r.IntN(2) == 0 {
		c.HasWill = true
		c.Will = packet.Will{Topic: []byte(diffTopics[h.r.IntN(len(diffTopics))]), Payload: []byte("will"), QoS: mqtt.QoS(h.r.IntN(3)), Retain: h.r.IntN(3) == 0}
		c.Will.Properties = &packet.Properties{WillDelayInterval: uint32(h.r.IntN(3) * 4)}
	}
	lazy := h.r.IntN(4) == 0
	for _, w := range h.worlds {
		w.connect(i, v, lazy, c.Append(nil))
	}
	return fmt.Sprintf("%d connects as %s, %v, clean %v, expiry %d, will %v %s q%d delay %v, lazy %v", i, c.ClientID, v, c.CleanStart,
		c.Properties.SessionExpiryInterval, c.HasWill, c.Will.Topic, c.Will.QoS, c.Will.Properties, lazy)
}

func (h *history) subscribe(i int, v mqtt.Version) string {
	s := packet.Subscribe{ID: h.next(), Properties: &packet.Properties{}}
	said := ""
	at := h.r.IntN(len(diffFilters))
	for range 1 + h.r.IntN(2) {
		at = (at + 1) % len(diffFilters) // never the same twice: that leaves room for choice
		sub := packet.Subscription{Filter: []byte(diffFilters[at]), QoS: mqtt.QoS(h.r.IntN(3))}
		if v == mqtt.V5 {
			sub.NoLocal, sub.RetainAsPublished, sub.RetainHandling = h.r.IntN(3) == 0, h.r.IntN(2) == 0, byte(h.r.IntN(3))
		}
		s.Filters = s.Filters.Add(sub)
		said += fmt.Sprintf(" %s q%d nl %v rap %v rh %d", sub.Filter, sub.QoS, sub.NoLocal, sub.RetainAsPublished, sub.RetainHandling)
	}
	if v == mqtt.V5 && h.r.IntN(2) == 0 {
		s.Properties.SubscriptionIdentifier = uint32(1 + h.r.IntN(300))
	}
	return h.send(i, s.Append(nil, v), fmt.Sprintf("subscribes to%s, id %d", said, s.Properties.SubscriptionIdentifier))
}

func (h *history) publish(i int, v mqtt.Version) string {
	p := packet.Publish{
		Topic: []byte(diffTopics[h.r.IntN(len(diffTopics))]), Payload: fmt.Appendf(nil, "m%d", len(h.log)),
		QoS: mqtt.QoS(h.r.IntN(3)), Retain: h.r.IntN(4) == 0, Properties: &packet.Properties{},
	}
	if p.QoS > 0 {
		p.ID = h.next()
	}
	if p.Retain && h.r.IntN(3) == 0 {
		p.Payload = nil
	}
	if v == mqtt.V5 {
		p.Properties.MessageExpiryInterval = uint32(h.r.IntN(4) * 5)
		if h.r.IntN(3) == 0 {
			p.Properties.ContentType = []byte("text")
		}
	}
	return h.send(i, p.Append(nil, v), fmt.Sprintf("publishes %s %q q%d retain %v expiry %d", p.Topic, p.Payload, p.QoS, p.Retain, p.Properties.MessageExpiryInterval))
}
