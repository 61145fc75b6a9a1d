package midge_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/transport"
)

// A peer is a client made of packets, for tests: it sends what it is told
// and says what comes.
type peer struct {
	t  *testing.T
	nc net.Conn
	v  mqtt.Version
	in []byte
	id mqtt.PacketID

	later []later // put back by acknowledge
}

type later struct {
	h    packet.Header
	body []byte
}

// A world is a broker in memory and a way in. Inside a synctest bubble its
// time is fake.
type world struct {
	t  *testing.T
	b  *midge.Broker
	ln *transport.PipeListener
}

func newWorld(t *testing.T, cfg midge.Config) *world { return newWorldSized(t, cfg, 0) }

// newWorldSized is newWorld with pipes that hold size bytes.
func newWorldSized(t *testing.T, cfg midge.Config, size int) *world {
	t.Helper()
	cfg.Listeners = []midge.Listener{}
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	b, err := midge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln := transport.ListenPipe("midge", size)
	if err := b.Serve(ln); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return &world{t, b, ln}
}

func (w *world) dial() *peer {
	w.t.Helper()
	nc, err := w.ln.Dial(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { nc.Close() })
	return &peer{t: w.t, nc: nc, v: mqtt.V5}
}

// connect dials and is let in.
func (w *world) connect(id string, with ...func(*packet.Connect)) *peer {
	w.t.Helper()
	return w.dial().greet(id, with...)
}

// greet is let in.
func (p *peer) greet(id string, with ...func(*packet.Connect)) *peer {
	p.t.Helper()
	c := packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte(id), Properties: new(packet.Properties)}
	c.Will.Properties = new(packet.Properties)
	for _, f := range with {
		f(&c)
	}
	p.v = c.Version
	p.write(c.Append(nil))
	var k packet.Connack
	if err := k.Decode(p.v, p.want(packet.CONNACK)); err != nil {
		p.t.Fatal(err)
	}
	if k.Code != mqtt.Success || k.Return != mqtt.Accepted {
		p.t.Fatalf("%s is refused: %v %v", id, k.Code, k.Return)
	}
	return p
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	p.nc.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// next returns the next packet, or an error once the connection has ended.
func (p *peer) next() (packet.Header, []byte, error) {
	return p.nextBy(time.Now().Add(10 * time.Second))
}

func (p *peer) nextBy(deadline time.Time) (packet.Header, []byte, error) {
	if len(p.later) > 0 {
		l := p.later[0]
		p.later = p.later[1:]
		return l.h, l.body, nil
	}
	for {
		h, err := packet.ReadHeader(p.in)
		if err == nil && len(p.in) >= h.Size+h.Len {
			body := p.in[h.Size : h.Size+h.Len : h.Size+h.Len]
			p.in = p.in[h.Size+h.Len:]
			return h, body, nil
		}
		if err != nil && err != packet.ErrShort {
			return h, nil, err
		}
		buf := make([]byte, 64<<10)
		p.nc.SetReadDeadline(deadline)
		n, err := p.nc.Read(buf)
		p.in = append(p.in, buf[:n]...)
		if n == 0 && err != nil {
			return h, nil, err
		}
	}
}

// want returns the body of the next packet, which has to be of type t.
func (p *peer) want(t packet.Type) []byte {
	p.t.Helper()
	h, body, err := p.next()
	if err != nil {
		p.t.Fatalf("want %v, the connection ended: %v", t, err)
	}
	if h.Type != t {
		p.t.Fatalf("want %v, got %v % x", t, h.Type, body)
	}
	return body
}

func (p *peer) wantPublish() packet.Publish {
	p.t.Helper()
	h, body, err := p.next()
	if err != nil || h.Type != packet.PUBLISH {
		p.t.Fatalf("want PUBLISH, got %v, %v", h.Type, err)
	}
	var m packet.Publish
	if err := m.Decode(p.v, h.Flags, body); err != nil {
		p.t.Fatal(err)
	}
	return m
}

// wantEnd wants the connection closed with a DISCONNECT of that code before.
func (p *peer) wantEnd(code mqtt.ReasonCode) {
	p.t.Helper()
	var d packet.Disconnect
	if err := d.Decode(p.v, p.want(packet.DISCONNECT)); err != nil || d.Code != code {
		p.t.Fatalf("want DISCONNECT %v, got %v, %v", code, d.Code, err)
	}
	if _, _, err := p.next(); err == nil {
		p.t.Fatal("the connection goes on after DISCONNECT")
	}
}

func (p *peer) subscribe(filter string, q mqtt.QoS) {
	p.t.Helper()
	p.id++
	s := packet.Subscribe{ID: p.id, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte(filter), QoS: q})}
	p.write(s.Append(nil, p.v))
	var k packet.Suback
	if err := k.Decode(p.v, packet.SUBACK, p.want(packet.SUBACK)); err != nil || k.Codes[0] != byte(q) {
		p.t.Fatalf("SUBACK %v, %v", k.Codes, err)
	}
}

func (p *peer) publish(topic, payload string, q mqtt.QoS) {
	p.t.Helper()
	m := packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: q}
	if q > 0 {
		p.id++
		m.ID = p.id
	}
	p.write(m.Append(nil, p.v))
}
