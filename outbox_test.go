package midge_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// rest reads to the end of the connection and returns what came.
func (p *peer) rest() (types []packet.Type) {
	for {
		h, _, err := p.next()
		if err != nil {
			return types
		}
		types = append(types, h.Type)
	}
}

// Behind DISCONNECT nothing is sent, be it an acknowledgement of what was
// under way [MQTT-3.14.4-1, 5.0].
func TestNothingBehindDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *midge.Broker
		w := newWorld(t, midge.Config{Hooks: midge.Hooks{
			Publish: func(_ context.Context, c midge.ClientInfo, _ *mqtt.Message) error {
				if !b.Disconnect(c.ClientID, mqtt.AdministrativeAction) {
					t.Error("the client is not connected")
				}
				return nil
			},
		}})
		b = w.b
		p := w.connect("p")
		p.publish("x", "y", mqtt.AtLeastOnce)
		p.wantEnd(mqtt.AdministrativeAction)
	})
}

// A connection that is ended while a hook decides about its CONNECT gets one
// CONNACK, the refusal [MQTT-3.2.0-2, 5.0].
func TestEndedDuringAuthenticate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		w := newWorld(t, midge.Config{Hooks: midge.Hooks{
			Authenticate: func(context.Context, *midge.Connect) error { <-gate; return nil },
			Connected:    func(context.Context, midge.ClientInfo) { t.Error("connected") },
		}})
		p := w.dial()
		p.write((&packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("slow")}).Append(nil))
		synctest.Wait()
		go w.b.DisconnectAll()
		synctest.Wait()
		close(gate)
		var k packet.Connack
		if k.Decode(p.v, p.want(packet.CONNACK)); !k.Code.Failed() {
			t.Errorf("CONNACK %v", k.Code)
		}
		if more := p.rest(); more != nil {
			t.Errorf("then came %v", more)
		}
		if n := len(w.b.Clients()); n != 0 {
			t.Errorf("%d clients are connected", n)
		}
	})
}

// A client that has no room for what is due to it is cut off, and told why if
// that fits. It does not wait for ever.
func TestNoRoomForAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		p := w.dial()
		hello := packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("small"), Properties: &packet.Properties{MaximumPacketSize: 10}}
		p.write(hello.Append(nil))
		var k packet.Connack
		if k.Decode(p.v, p.want(packet.CONNACK)); k.Code != mqtt.PacketTooLarge {
			t.Errorf("CONNACK %v", k.Code)
		}
		if more := p.rest(); more != nil {
			t.Errorf("then came %v", more)
		}

		p = w.connect("large", func(c *packet.Connect) { c.Properties.MaximumPacketSize = 30 })
		s := packet.Subscribe{ID: 9}
		for i := range 40 {
			s.Filters = s.Filters.Add(packet.Subscription{Filter: fmt.Append(nil, i)})
		}
		p.write(s.Append(nil, p.v))
		p.wantEnd(mqtt.PacketTooLarge)
		p.nc.Close()
		synctest.Wait()
		if n := len(w.b.Clients()); n != 0 {
			t.Errorf("%d clients are connected", n)
		}
	})
}

// A code that a packet may not carry does not reach the wire, whatever a hook
// refuses with [MQTT-3.2.2-8, 5.0] [MQTT-3.4.2-1, 5.0] [MQTT-3.9.3-2, 5.0].
func TestCodesOfHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{Hooks: midge.Hooks{
			Authenticate: func(_ context.Context, c *midge.Connect) error {
				if c.Username == "bad" {
					return &midge.Refusal{Code: mqtt.MessageRateTooHigh}
				}
				return nil
			},
			Publish: func(context.Context, midge.ClientInfo, *mqtt.Message) error {
				return &midge.Refusal{Code: mqtt.ServerBusy}
			},
			Subscribe: func(context.Context, midge.ClientInfo, *midge.Subscription) error {
				return &midge.Refusal{Code: mqtt.Banned}
			},
		}})
		p := w.connect("p")
		p.publish("x", "y", mqtt.AtLeastOnce)
		var a packet.Ack
		if err := a.Decode(p.v, packet.PUBACK, p.want(packet.PUBACK)); err != nil || !a.Code.Failed() {
			t.Errorf("PUBACK %v, %v", a.Code, err)
		}
		s := packet.Subscribe{ID: 9, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("q")})}
		p.write(s.Append(nil, p.v))
		var sa packet.Suback
		if err := sa.Decode(p.v, packet.SUBACK, p.want(packet.SUBACK)); err != nil || sa.Codes[0] < 0x80 {
			t.Errorf("SUBACK % x, %v", sa.Codes, err)
		}
		bad := w.dial()
		hello := packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("bad")}
		loginAs("bad")(&hello)
		bad.write(hello.Append(nil))
		var k packet.Connack
		if err := k.Decode(bad.v, bad.want(packet.CONNACK)); err != nil || !k.Code.Failed() {
			t.Errorf("CONNACK %v, %v", k.Code, err)
		}
	})
}

// A log handler may ask the broker, whatever it is told: no lock is held.
func TestLogHandlerAsksBroker(t *testing.T) {
	var b atomic.Pointer[midge.Broker]
	h := handlerFunc(func(slog.Record) {
		if b := b.Load(); b != nil {
			b.Clients()
		}
	})
	w := newWorld(t, midge.Config{Logger: slog.New(h)})
	b.Store(w.b)
	p := w.connect("small", func(c *packet.Connect) {
		c.Properties.MaximumPacketSize = 20
		c.Properties.Present = c.Properties.Present.With(packet.PropMaximumPacketSize)
	})
	s := packet.Subscribe{ID: 1}
	for i := range 30 {
		s.Filters = s.Filters.Add(packet.Subscription{Filter: []byte("f/" + strconv.Itoa(i))})
	}
	p.write(s.Append(nil, p.v))
	p.wantEnd(mqtt.PacketTooLarge)
}

type handlerFunc func(slog.Record)

func (f handlerFunc) Enabled(context.Context, slog.Level) bool { return true }
func (f handlerFunc) WithAttrs([]slog.Attr) slog.Handler       { return f }
func (f handlerFunc) WithGroup(string) slog.Handler            { return f }
func (f handlerFunc) Handle(_ context.Context, r slog.Record) error {
	f(r)
	return nil
}

// A password is gone once its client is let in.
func TestPasswordIsNotKept(t *testing.T) {
	var password weak.Pointer[[64]byte]
	w := newWorld(t, midge.Config{SysInterval: -1, Hooks: midge.Hooks{
		Authenticate: func(_ context.Context, c *midge.Connect) error {
			password = weak.Make((*[64]byte)(c.Password))
			return nil
		},
	}})
	p := w.connect("p", func(c *packet.Connect) {
		c.HasUsername, c.Username = true, []byte("joe")
		c.HasPassword, c.Password = true, make([]byte, 64)
	})
	p.subscribe("t", 0) // Authenticate's caller is through
	runtime.GC()
	if password.Value() != nil {
		t.Error("it is still in memory")
	}
	if c := w.b.Clients(); len(c) != 1 || c[0].Username != "joe" {
		t.Errorf("%+v", c)
	}
}
