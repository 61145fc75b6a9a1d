package client_test

import (
	"context"
	"net"
	"testing"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// anvil is a server on a socket that acknowledges everything, and sends n
// QoS 0 messages for each SUBSCRIBE it gets. It allocates nothing.
func anvil(t testing.TB, n int) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		strike(c, n)
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return "mqtt://" + ln.Addr().String()
}

func strike(c net.Conn, n int) {
	buf, out := make([]byte, 1<<20), make([]byte, 0, 1<<20)
	in := buf[:0]
	flood := packet.Publish{Topic: []byte("a/b"), Payload: make([]byte, 64)}
	for {
		h, err := packet.ReadHeader(in)
		if size := h.Size + h.Len; err == nil && len(in) >= size {
			body := in[h.Size:size]
			switch h.Type {
			case packet.CONNECT:
				out = append(out, 0x20, 2, 0, 0)
			case packet.PUBLISH:
				if at := 2 + int(body[1]); h.Flags>>1&3 > 0 {
					t := packet.PUBACK
					if h.Flags>>1&3 == 2 {
						t = packet.PUBREC
					}
					out = append(out, byte(t)<<4, 2, body[at], body[at+1])
				}
			case packet.PUBREL:
				out = append(out, 0x70, 2, body[0], body[1])
			case packet.SUBSCRIBE:
				out = append(out, 0x90, 3, body[0], body[1], 0)
				for range n {
					out = flood.Append(out, mqtt.V311)
				}
			case packet.DISCONNECT:
				return
			}
			in = in[size:]
			continue
		}
		if _, err := c.Write(out); err != nil {
			return
		}
		out = out[:0]
		in = buf[:copy(buf, in)]
		k, err := c.Read(buf[len(in):])
		if err != nil {
			return
		}
		in = buf[:len(in)+k]
	}
}

func anvilClient(t testing.TB, n int, o client.Options) *client.Client {
	t.Helper()
	o.Version = mqtt.V311
	c, err := client.New(client.Config{Servers: []string{anvil(t, n)}, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); <-c.Done() })
	if err := c.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPublishAllocates(t *testing.T) {
	c := anvilClient(t, 0, client.Options{})
	m := mqtt.Message{Topic: "sensors/attic/temperature", Payload: make([]byte, 64)}
	for q, most := range []float64{0, 2, 3} {
		m.QoS = mqtt.QoS(q)
		publish := func() {
			if _, err := c.Publish(context.Background(), m); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			publish()
		}
		n := testing.AllocsPerRun(2000, publish)
		t.Logf("QoS %d: %v allocations a Publish", q, n)
		if n > most {
			t.Errorf("QoS %d: %v allocations a Publish, want at most %v", q, n, most)
		}
	}
}

func TestReceiveAllocates(t *testing.T) {
	const batch = 5000
	got := make(chan struct{}, batch)
	c := anvilClient(t, batch, client.Options{Handler: func(context.Context, client.Message) { got <- struct{}{} }})
	run := func() {
		if _, err := c.Subscribe(context.Background(), client.Subscription{Filter: "a/b"}); err != nil {
			t.Error(err)
		}
		for range batch {
			<-got
		}
	}
	run()
	n := testing.AllocsPerRun(10, run) / batch
	t.Logf("%.3f allocations a message", n)
	if n > 1.02 { // the SUBSCRIBE has its share
		t.Errorf("%.3f allocations a message received, want 1", n)
	}
}

func BenchmarkPublish(b *testing.B) {
	for q, name := range []string{"QoS0", "QoS1", "QoS2"} {
		b.Run(name, func(b *testing.B) {
			c := anvilClient(b, 0, client.Options{})
			m := mqtt.Message{Topic: "sensors/attic/temperature", Payload: make([]byte, 64), QoS: mqtt.QoS(q)}
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.Publish(context.Background(), m); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
