package bench

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/transport"
)

// A stub is a broker that knows one filter and does something to what passes.
type stub struct {
	mangle func(n int, publish []byte) [][]byte // what goes out for the n-th message

	mu   sync.Mutex
	subs []transport.Conn
	seen int
	wg   sync.WaitGroup
}

func (s *stub) dial(context.Context, int) (transport.Conn, error) {
	a, b := transport.NewPipe(0)
	s.wg.Go(func() { s.serve(b) })
	return a, nil
}

func (s *stub) serve(nc transport.Conn) {
	defer nc.Close()
	p := peer{nc: nc, version: mqtt.V311, buf: make([]byte, 4096)}
	for {
		h, body, err := p.next()
		if err != nil {
			return
		}
		switch h.Type {
		case packet.CONNECT:
			nc.Write([]byte{byte(packet.CONNACK) << 4, 2, 0, 0})
		case packet.SUBSCRIBE:
			s.mu.Lock()
			s.subs = append(s.subs, nc)
			s.mu.Unlock()
			nc.Write([]byte{byte(packet.SUBACK) << 4, 3, body[0], body[1], 0})
		case packet.PUBLISH:
			s.relay(packet.AppendHeader(nil, h.Type, h.Flags, h.Len), body)
		case packet.DISCONNECT:
			return
		}
	}
}

func (s *stub) relay(header, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.mangle(s.seen, append(header, body...)) {
		for _, sub := range s.subs {
			sub.Write(b)
		}
	}
	s.seen++
}

// A broker that drops, doubles or reorders is found out, and stops nothing.
func TestFaultsAreFound(t *testing.T) {
	var held []byte
	for _, c := range []struct {
		name   string
		mangle func(n int, b []byte) [][]byte
		want   Faults
	}{
		{"honest", func(_ int, b []byte) [][]byte { return [][]byte{b} }, Faults{}},
		{"drops every tenth", func(n int, b []byte) [][]byte {
			if n%10 == 9 {
				return nil
			}
			return [][]byte{b}
		}, Faults{Lost: 100}},
		{"drops all from the 500th on", func(n int, b []byte) [][]byte {
			if n >= 500 {
				return nil
			}
			return [][]byte{b}
		}, Faults{Lost: 500}},
		{"doubles every hundredth", func(n int, b []byte) [][]byte {
			if n%100 == 0 {
				return [][]byte{b, b}
			}
			return [][]byte{b}
		}, Faults{Doubled: 10}},
		{"swaps two of ten", func(n int, b []byte) [][]byte {
			switch n % 10 {
			case 3:
				held = b
				return nil
			case 4:
				return [][]byte{b, held}
			}
			return [][]byte{b}
		}, Faults{Disordered: 100}},
		{"says something of its own", func(n int, b []byte) [][]byte {
			if n == 7 {
				p := packet.Publish{Topic: []byte("t"), Payload: []byte("hello")}
				return [][]byte{p.Append(nil, mqtt.V311), b}
			}
			return [][]byte{b}
		}, Faults{Foreign: 1}},
	} {
		s := &stub{mangle: c.mangle}
		l := Load{Target: Target{Dial: s.dial}, Clients: 1, Messages: 1000, Window: 50, stall: 50 * time.Millisecond}
		r, err := l.Run(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if r.Faults != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, r.Faults, c.want)
		}
		s.wg.Wait()
	}
}

// A connection that ends under load is an error, which says whose.
func TestAConnectionThatEnds(t *testing.T) {
	s := new(stub)
	s.mangle = func(n int, b []byte) [][]byte {
		if n == 20 {
			s.subs[0].Close()
		}
		return [][]byte{b}
	}
	l := Load{Target: Target{Dial: s.dial}, Clients: 1, Messages: 1000, Window: 10}
	if r, err := l.Run(t.Context()); err == nil {
		t.Errorf("no error, but %+v", r.Figures)
	}
	s.wg.Wait()
}

// Whoever interrupts a load waits for nothing.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &stub{mangle: func(n int, b []byte) [][]byte {
		if n == 100 {
			cancel()
		}
		return [][]byte{b}
	}}
	l := Load{Target: Target{Dial: s.dial}, Clients: 1, Duration: time.Hour}
	if _, err := l.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s.wg.Wait()
}

// A broker that knows no 5.0 says so in the way of 3.1.1.
func TestABrokerWithoutVersion5(t *testing.T) {
	dial := func(context.Context, int) (transport.Conn, error) {
		a, b := transport.NewPipe(0)
		b.Write([]byte{byte(packet.CONNACK) << 4, 2, 0, byte(mqtt.RefusedVersion)})
		return a, nil
	}
	l := Load{Target: Target{Version: mqtt.V5, Dial: dial}, Clients: 1}
	_, err := l.Run(t.Context())
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Code != mqtt.UnsupportedProtocolVersion {
		t.Error(err)
	}
}
