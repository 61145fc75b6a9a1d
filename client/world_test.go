package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/transport"
)

const s = time.Second

// patience is how long a packet may take to come, in fake time.
const patience = 10 * time.Minute

// A server is made of packets: tests say what it answers, and when.
type server struct {
	t  *testing.T
	ln *transport.PipeListener
}

// newServer is for one test in fake time.
func newServer(t *testing.T) *server {
	t.Helper()
	ln := transport.ListenPipe("server", 0)
	t.Cleanup(func() { ln.Close() })
	return &server{t, ln}
}

func (v *server) dial(ctx context.Context, _ *url.URL) (net.Conn, error) { return v.ln.Dial(ctx) }

// A peer is the server's end of one connection.
type peer struct {
	t  *testing.T
	nc net.Conn
	v  mqtt.Version
	in []byte
}

func (v *server) accept() *peer {
	v.t.Helper()
	nc, err := v.ln.Accept()
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { nc.Close() })
	return &peer{t: v.t, nc: nc, v: mqtt.V5}
}

// admit accepts a connection, reads its CONNECT and lets it in.
func (v *server) admit(with ...func(*packet.Connack)) (*peer, packet.Connect) {
	v.t.Helper()
	p := v.accept()
	c := p.wantConnect()
	p.connack(with...)
	return p, c
}

func (p *peer) wantConnect() (c packet.Connect) {
	p.t.Helper()
	if err := c.Decode(p.want(packet.CONNECT)); err != nil {
		p.t.Fatal(err)
	}
	p.v = c.Version
	return c
}

func (p *peer) connack(with ...func(*packet.Connack)) {
	p.t.Helper()
	k := packet.Connack{Properties: new(packet.Properties)}
	for _, f := range with {
		f(&k)
	}
	p.write(k.Append(nil, p.v))
}

func present(k *packet.Connack) { k.SessionPresent = true }

func refuse(code mqtt.ReasonCode) func(*packet.Connack) {
	return func(k *packet.Connack) { k.Code = code }
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// next returns the next packet, or an error once the connection has ended.
func (p *peer) next(d time.Duration) (packet.Header, []byte, error) {
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
		p.nc.SetReadDeadline(time.Now().Add(d))
		n, err := p.nc.Read(buf)
		p.in = append(p.in, buf[:n]...)
		if n == 0 && err != nil {
			return h, nil, err
		}
	}
}

func (p *peer) want(t packet.Type) []byte {
	p.t.Helper()
	h, body, err := p.next(patience)
	if err != nil {
		p.t.Fatalf("want %v: %v", t, err)
	}
	if h.Type != t {
		p.t.Fatalf("want %v, got %v % x", t, h.Type, body)
	}
	return body
}

// wantIdle wants no packet for so long.
func (p *peer) wantIdle(d time.Duration) {
	p.t.Helper()
	var timeout interface{ Timeout() bool }
	switch h, body, err := p.next(d); {
	case err == nil:
		p.t.Fatalf("want nothing, got %v % x", h.Type, body)
	case !errors.As(err, &timeout):
		p.t.Fatalf("want nothing, the connection ended: %v", err)
	}
}

func (p *peer) wantPublish() packet.Publish {
	p.t.Helper()
	h, body, err := p.next(patience)
	if err != nil || h.Type != packet.PUBLISH {
		p.t.Fatalf("want PUBLISH, got %v, %v", h.Type, err)
	}
	var m packet.Publish
	if err := m.Decode(p.v, h.Flags, body); err != nil {
		p.t.Fatal(err)
	}
	return m
}

func (p *peer) wantAck(t packet.Type) packet.Ack {
	p.t.Helper()
	var a packet.Ack
	if err := a.Decode(p.v, t, p.want(t)); err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p *peer) wantSubscribe() packet.Subscribe {
	p.t.Helper()
	var q packet.Subscribe
	if err := q.Decode(p.v, p.want(packet.SUBSCRIBE)); err != nil {
		p.t.Fatal(err)
	}
	return q
}

// wantEnd wants DISCONNECT with that code and then the end.
func (p *peer) wantEnd(code mqtt.ReasonCode) packet.Disconnect {
	p.t.Helper()
	var d packet.Disconnect
	if err := d.Decode(p.v, p.want(packet.DISCONNECT)); err != nil || d.Code != code {
		p.t.Fatalf("want DISCONNECT %v, got %v, %v", code, d.Code, err)
	}
	p.wantGone()
	return d
}

func (p *peer) wantGone() {
	p.t.Helper()
	if h, body, err := p.next(patience); err == nil {
		p.t.Fatalf("want the end, got %v % x", h.Type, body)
	} else if timeout := (interface{ Timeout() bool })(nil); errors.As(err, &timeout) {
		p.t.Fatal("want the end, the connection stays")
	}
	p.nc.Close()
}

func (p *peer) ack(t packet.Type, id mqtt.PacketID, code mqtt.ReasonCode) {
	p.t.Helper()
	a := packet.Ack{Type: t, ID: id, Code: code}
	p.write(a.Append(nil, p.v))
}

func (p *peer) suback(id mqtt.PacketID, codes ...byte) {
	p.t.Helper()
	a := packet.Suback{Type: packet.SUBACK, ID: id, Codes: codes}
	p.write(a.Append(nil, p.v))
}

func (p *peer) publish(topic, payload string, q mqtt.QoS, id mqtt.PacketID, with ...func(*packet.Publish)) {
	p.t.Helper()
	m := packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: q, ID: id, Properties: new(packet.Properties)}
	for _, f := range with {
		f(&m)
	}
	p.write(m.Append(nil, p.v))
}

// inbox collects messages.
type inbox struct {
	mu  sync.Mutex
	all []client.Message
}

func (b *inbox) take(_ context.Context, m client.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, m)
}

// texts waits until nothing moves and returns the payloads so far. For fake
// time alone.
func (b *inbox) texts() (out []string) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.all {
		out = append(out, string(m.Payload))
	}
	return out
}

// newClient makes a client of the server, closed at the end of the test.
func (v *server) newClient(cfg client.Config) *client.Client {
	v.t.Helper()
	cfg.Dial = v.dial
	c, err := client.New(cfg)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() {
		c.Close()
		<-c.Done()
	})
	return c
}

// connected starts the client and lets it in.
func (v *server) connected(cfg client.Config, with ...func(*packet.Connack)) (*client.Client, *peer) {
	v.t.Helper()
	c := v.newClient(cfg)
	c.Start()
	p, _ := v.admit(with...)
	synctest.Wait()
	if c.State() != client.Connected {
		v.t.Fatalf("the client is %v: %v", c.State(), c.Err())
	}
	return c, p
}

// dialed is one connection.
func (v *server) dialed(o client.Options, with ...func(*packet.Connack)) (*client.Conn, *peer) {
	v.t.Helper()
	o.Dial = v.dial
	got := make(chan *client.Conn, 1)
	go func() {
		c, err := client.Dial(context.Background(), "mqtt://server", o)
		if err != nil {
			v.t.Error(err)
		}
		got <- c
	}()
	p, _ := v.admit(with...)
	c := <-got
	if c == nil {
		v.t.FailNow()
	}
	v.t.Cleanup(func() {
		c.Close()
		<-c.Done()
	})
	return c, p
}

// later runs a call aside and hands out its error.
func later(f func() error) <-chan error {
	out := make(chan error, 1)
	go func() { out <- f() }()
	return out
}

// result waits for later, in fake time.
func result(t *testing.T, ch <-chan error) error {
	t.Helper()
	select {
	case err := <-ch:
		return err
	case <-time.After(time.Hour):
		t.Fatal("the call does not return")
		return nil
	}
}

func wantPending(t *testing.T, ch <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-ch:
		t.Fatalf("the call has returned already: %v", err)
	default:
	}
}

// A world is a broker in memory.
type world struct {
	t  *testing.T
	ln *transport.PipeListener
}

func newWorld(t *testing.T, cfg midge.Config) *world {
	t.Helper()
	cfg.Listeners = []midge.Listener{}
	cfg.Logger = quiet()
	b, err := midge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln := transport.ListenPipe("midge", 0)
	if err := b.Serve(ln); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return &world{t, ln}
}

func (w *world) dial(ctx context.Context, _ *url.URL) (net.Conn, error) { return w.ln.Dial(ctx) }

// client is a connected client of the world's broker.
func (w *world) client(cfg client.Config) *client.Client {
	w.t.Helper()
	if cfg.Dial == nil {
		cfg.Dial = w.dial
	}
	c, err := client.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		c.Close()
		<-c.Done()
	})
	if err := c.Connect(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func message(topic, payload string, q mqtt.QoS) mqtt.Message {
	return mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: q}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
