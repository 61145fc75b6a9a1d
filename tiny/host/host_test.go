package host_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge/conform"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/tiny"
	"github.com/midgemq/midge/tiny/host"
	"github.com/midgemq/midge/transport"
)

// serving starts a broker behind url and returns its listener.
func serving(t *testing.T, l tiny.Limits, url string) (*host.Host, transport.Listener) {
	t.Helper()
	b, err := tiny.New(l, tiny.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := transport.Listen(t.Context(), url, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := host.New(b)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- h.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return h, ln
}

// The conformance suite over TCP; what takes seconds runs in fake time elsewhere.
func TestConformanceOverTCP(t *testing.T) {
	_, ln := serving(t, tiny.Limits{
		Clients: 16, Filters: 128, MaxPacket: 16384, Queue: 64, Inflight: 16, Retained: 64, RetainedBytes: 64 << 10, Slab: 256 << 10,
	}, "tcp://127.0.0.1:0")
	target := conform.Target{
		Name: "tiny over TCP", MaxPacket: 16384, NoSlow: true, Idle: 50 * time.Millisecond,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return transport.Dial(ctx, ln.String(), transport.DialOptions{})
		},
	}
	passed := 0
	for _, c := range conform.Cases() {
		if conform.Excused(c.Check) != "" || c.Version == mqtt.V31 {
			continue
		}
		switch r := c.Run(t.Context(), target); r.Outcome {
		case conform.Fail:
			t.Errorf("%s: %s\n%s", c, r.Detail, strings.Join(r.Log, "\n"))
		case conform.Pass:
			passed++
		}
	}
	if t.Logf("%d checks passed", passed); passed < 250 {
		t.Errorf("only %d checks passed", passed)
	}
}

// A burst of QoS 0 messages larger than the subscriber's queue, in one write, is
// lost for a reader that does not read, and for no other.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := tiny.New(tiny.Limits{}, tiny.Hooks{})
		ln := transport.ListenPipe("tiny", 0)
		h := host.New(b)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Serve(ctx, ln) }()
		defer func() { stop(); <-ended }()

		sub := dial(t, ln, "sub")
		s := packet.Subscribe{ID: 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("t")})}
		sub.Write(s.Append(nil, mqtt.V311))
		if _, err := sub.Read(make([]byte, 5)); err != nil { // SUBACK
			t.Fatal(err)
		}
		pub := dial(t, ln, "pub")
		var burst []byte
		for range 50 {
			p := packet.Publish{Topic: []byte("t"), Payload: []byte("x")}
			burst = p.Append(burst, mqtt.V311)
		}
		pub.Write(burst)
		got := make([]byte, len(burst))
		for n := 0; n < len(got); {
			k, err := sub.Read(got[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += k
		}
		var st tiny.Stats
		h.Do(func(b *tiny.Broker) { st = b.Stats() })
		if st.Dropped != 0 || st.Sent != 50 {
			t.Errorf("%+v", st)
		}
		pub.Close()
		sub.Close()
	})
}

func dial(t *testing.T, ln *transport.PipeListener, id string) net.Conn {
	t.Helper()
	nc, err := ln.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := packet.Connect{Version: mqtt.V311, ClientID: []byte(id), CleanStart: true}
	nc.Write(c.Append(nil))
	if _, err := nc.Read(make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	return nc
}

// A file is flash: what one broker retained the next one has, and a file of
// another size is not taken for it.
func TestFlash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flash")
	for round := range 3 {
		f, err := host.OpenFlash(path, 2, 4096)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := tiny.New(tiny.Limits{}, tiny.Hooks{})
		if n, err := b.Restore(f); n != round || err != nil {
			t.Fatalf("round %d: %d messages, %v", round, n, err)
		}
		b.Publish(&tiny.Message{Topic: []byte{'t', byte('0' + round)}, Payload: []byte("x"), Retain: true})
		b.Keep()
		f.Close()
	}
	if _, err := host.OpenFlash(path, 2, 8192); err == nil {
		t.Error("a file of another size is taken")
	}
}
