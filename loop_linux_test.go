package midge_test

import (
	"context"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/transport"
)

// A loopWorld is a broker with one loop, which calls asked for each topic that
// the client "asker" publishes to.
type loopWorld struct {
	*world
	asked atomic.Pointer[func(topic string)]
}

type onLoop struct{ w *loopWorld }

func (o onLoop) MaySubscribe(string) bool { return true }
func (o onLoop) MayReceive([]byte) bool   { return true }
func (o onLoop) MayPublish(topic []byte) bool {
	if f := o.w.asked.Load(); f != nil {
		(*f)(string(topic))
	}
	return true
}

func newLoopWorld(t *testing.T) *loopWorld {
	w := &loopWorld{}
	cfg := midge.Config{Logger: quiet(), Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}}}
	cfg.Hooks.Authenticate = func(_ context.Context, c *midge.Connect) error {
		if c.ClientID == "asker" {
			c.Access = onLoop{w}
		}
		return nil
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	b, err := midge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	w.world = &world{t: t, b: b}
	return w
}

// connect is world's over a socket.
func (w *loopWorld) connect(id string, with ...func(*packet.Connect)) *peer {
	w.t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(w.b.Addrs()[0], "tcp://"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { nc.Close() })
	return (&peer{t: w.t, nc: nc}).greet(id, with...)
}

// onNext has f called on the loop with the next topic "asker" publishes to.
func (w *loopWorld) onNext(f func()) {
	once := func(string) {
		w.asked.Store(nil)
		f()
	}
	w.asked.Store(&once)
}

// A client whose last bytes and whose end come before its loop looks at either
// has its will said then, and not when its keep alive is over, or never.
func TestEndBehindBytesIsSeen(t *testing.T) {
	w := newLoopWorld(t)
	sub, asker := w.connect("sub"), w.connect("asker")
	sub.subscribe("will", mqtt.AtMostOnce)
	leaving := w.connect("leaving", func(c *packet.Connect) {
		c.HasWill, c.Will.Topic, c.Will.Payload = true, []byte("will"), []byte("gone")
	})
	held, release := make(chan struct{}), make(chan struct{})
	w.onNext(func() {
		close(held)
		<-release
	})
	asker.publish("hold", "the loop", mqtt.AtMostOnce)
	<-held
	leaving.publish("elsewhere", "last words", mqtt.AtMostOnce)
	leaving.nc.(*net.TCPConn).CloseWrite()
	close(release)
	if m := sub.wantPublish(); string(m.Payload) != "gone" {
		t.Errorf("got %q", m.Payload)
	}
}

// A connection has one turn a round, however much it sends.
func TestOneTurnARound(t *testing.T) {
	w := newLoopWorld(t)
	asker := w.connect("asker")
	most := 0
	look := func(string) {
		if n, conns := w.b.InLine("asker"); n > conns {
			most = max(most, n)
		}
	}
	w.asked.Store(&look)
	payload := strings.Repeat("x", 1000)
	var b []byte
	for i := range 20_000 {
		m := packet.Publish{Topic: []byte("t/" + strconv.Itoa(i)), Payload: []byte(payload)}
		b = m.Append(b, asker.v)
	}
	asker.write(b)
	asker.write(packet.AppendPingreq(nil))
	asker.want(packet.PINGRESP)
	if most > 0 {
		t.Errorf("one connection stood in line %d times", most)
	}
}

// A loop keeps no memory for the largest message it has ever had.
func TestLoopGivesMemoryBack(t *testing.T) {
	w := newLoopWorld(t)
	asker := w.connect("asker")
	old := w.connect("old", func(c *packet.Connect) { c.Version = mqtt.V311 })
	old.subscribe("#", mqtt.AtMostOnce)
	large := strings.Repeat("x", 300_000)
	for q := range mqtt.ExactlyOnce {
		asker.publish("large", large, q)
		old.wantPublish()
	}
	asker.want(packet.PUBACK)
	kept := make(chan int, 1)
	w.onNext(func() { kept <- w.b.KeptByLoop("asker") })
	asker.publish("small", "", mqtt.AtMostOnce)
	if n := <-kept; n > 64<<10 {
		t.Errorf("it keeps %d bytes", n)
	}
}

// A broker reads its own listeners with its own loops, whoever else was named.
func TestPollersAreTheBrokers(t *testing.T) {
	cfg := midge.Config{Logger: quiet(), Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}}}
	cfg.Listeners[0].Options.Poller = func() *transport.Poller {
		t.Error("a connection is given to somebody else")
		return nil
	}
	b, err := midge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	w := &loopWorld{world: &world{t: t, b: b}}
	w.connect("c").nc.Close()
}
