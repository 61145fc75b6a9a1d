package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a broker in memory, and its Handler.
type world struct {
	t  *testing.T
	b  *midge.Broker
	h  *admin.Handler
	ln *transport.PipeListener
}

func newWorld(t *testing.T, cfg midge.Config, set ...func(*admin.Config)) *world {
	t.Helper()
	cfg.Listeners, cfg.Logger, cfg.SysInterval = []midge.Listener{}, slog.New(slog.DiscardHandler), -1
	b, err := midge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln := transport.ListenPipe("midge", 4<<10)
	if err := b.Serve(ln); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	a := admin.Config{Broker: b, Logger: cfg.Logger}
	for _, f := range set {
		f(&a)
	}
	return &world{t, b, admin.New(a), ln}
}

// connect has a client let in; it says what its packets say.
func (w *world) connect(id, user string, subscribe ...string) net.Conn {
	w.t.Helper()
	nc, err := w.ln.Dial(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { nc.Close() })
	c := packet.Connect{
		Version: mqtt.V5, ClientID: []byte(id), HasUsername: user != "", Username: []byte(user), KeepAlive: 60000,
		Properties: &packet.Properties{SessionExpiryInterval: 600},
	}
	c.Properties.Present = c.Properties.Present.With(packet.PropSessionExpiryInterval)
	b := c.Append(nil)
	for _, filter := range subscribe {
		s := packet.Subscribe{ID: 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte(filter), QoS: 1})}
		b = s.Append(b, mqtt.V5)
	}
	if _, err := nc.Write(b); err != nil {
		w.t.Fatal(err)
	}
	expect(w.t, nc, packet.CONNACK)
	for range subscribe {
		expect(w.t, nc, packet.SUBACK)
	}
	return nc
}

// expect reads one packet.
func expect(t *testing.T, nc net.Conn, want packet.Type) {
	t.Helper()
	var in []byte
	for {
		h, err := packet.ReadHeader(in)
		if err == nil && len(in) == h.Size+h.Len {
			if h.Type != want {
				t.Fatalf("%v, want %v", h.Type, want)
			}
			return
		}
		var b [1]byte
		if _, err := io.ReadFull(nc, b[:]); err != nil {
			t.Fatalf("want %v: %v", want, err)
		}
		in = append(in, b[0])
	}
}

func publish(t *testing.T, nc net.Conn, topic string, size int) {
	t.Helper()
	m := packet.Publish{Topic: []byte(topic), Payload: make([]byte, size)}
	if _, err := nc.Write(m.Append(nil, mqtt.V5)); err != nil {
		t.Fatal(err)
	}
}

// request is one from this machine.
func request(method, path string) *http.Request {
	r := httptest.NewRequest(method, "http://localhost"+path, nil)
	r.RemoteAddr = "127.0.0.1:4711"
	return r
}

func (w *world) ask(method, path string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.h.ServeHTTP(rec, request(method, path))
	return rec
}

// get wants JSON of status 200.
func get[T any](w *world, path string) (v T) {
	w.t.Helper()
	rec := w.ask("GET", path)
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil || rec.Code != http.StatusOK {
		w.t.Fatalf("GET %s: %d %v\n%s", path, rec.Code, err, rec.Body)
	}
	return v
}

func timeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
