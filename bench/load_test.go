package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// newBroker runs midge on these addresses.
func newBroker(t testing.TB, listeners ...midge.Listener) *midge.Broker {
	t.Helper()
	if listeners == nil {
		listeners = []midge.Listener{}
	}
	b, err := midge.New(midge.Config{Listeners: listeners, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// pipeTarget is a broker in memory.
func pipeTarget(t testing.TB) Target {
	ln := transport.ListenPipe("bench", 0)
	if err := newBroker(t).Serve(ln); err != nil {
		t.Fatal(err)
	}
	return Target{Dial: func(ctx context.Context, _ int) (transport.Conn, error) { return ln.Dial(ctx) }}
}

// run runs a load that is to arrive whole.
func run(t *testing.T, l Load, deliveries int) *Report {
	t.Helper()
	r, err := l.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := r.Figure("messages"); int(n) != deliveries || r.Faults.Any() {
		t.Errorf("%s, QoS %d, MQTT %v: %v messages, want %d; %+v", l.Shape, l.QoS, l.Version, n, deliveries, r.Faults)
	}
	return r
}

// Every shape delivers each message to whom it is for, at every QoS.
func TestShapes(t *testing.T) {
	target := pipeTarget(t)
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for q := mqtt.AtMostOnce; q <= mqtt.ExactlyOnce; q++ {
			for _, c := range []struct {
				load       Load
				deliveries int
			}{
				{Load{Shape: Pairs, Clients: 3, Messages: 200}, 600},
				{Load{Shape: Pairs, Clients: 2, Messages: 200, Topics: 7}, 400},
				{Load{Shape: Pairs, Clients: 2, Messages: 300, Filters: 250}, 600},
				{Load{Shape: Pairs, Clients: 2, Messages: 300, Filters: 10, Topics: 11}, 600},
				{Load{Shape: FanOut, Clients: 5, Messages: 100}, 500},
				{Load{Shape: FanIn, Clients: 5, Messages: 100}, 500},
				{Load{Shape: AllToAll, Clients: 4, Messages: 50}, 800},
				{Load{Shape: Wildcard, Clients: 3, Messages: 250}, 750},
			} {
				l := c.load
				l.Target, l.QoS = target, q
				l.Version = v
				run(t, l, c.deliveries)
			}
		}
	}
}

// One message on its way at a time, and payloads larger than a read.
func TestWindowAndPayload(t *testing.T) {
	target := pipeTarget(t)
	run(t, Load{Target: target, Clients: 2, Messages: 50, Window: 1}, 100)
	run(t, Load{Target: target, Clients: 1, Messages: 50, Payload: 300_000, QoS: 1}, 50)
	run(t, Load{Target: target, Clients: 2, Messages: 50, Payload: 16, QoS: 2, Window: 1}, 100)
	run(t, Load{Target: target, Clients: 2, Messages: 100, QoS: 1, Durable: true}, 200)
}

// At a rate every message is timed.
func TestRate(t *testing.T) {
	l := Load{Target: pipeTarget(t), Clients: 2, Messages: 100, Rate: 20000}
	r := run(t, l, 200)
	if r.Latency == nil || r.Latency.Count == 0 || r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P99 {
		t.Errorf("%+v", r.Latency)
	}
}

// By time rather than by number: whatever was sent arrives.
func TestDuration(t *testing.T) {
	var phases []string
	l := Load{Target: pipeTarget(t), Clients: 2, Warmup: 150 * time.Millisecond, Duration: 350 * time.Millisecond}
	l.Progress = func(p Progress) {
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
	}
	r, err := l.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n, _ := r.Figure("messages")
	if n == 0 || r.Faults.Any() || len(r.Samples) == 0 || strings.Join(phases, ", ") != "warm up, measure" {
		t.Error(n, r.Faults, r.Samples, phases)
	}
}

func TestTransports(t *testing.T) {
	cert := selfSigned(t)
	secure := transport.Options{TLS: &transport.ServerTLS{Certificates: []tls.Certificate{cert}}}
	b := newBroker(
		t,
		midge.Listener{URL: "tcp://127.0.0.1:0"},
		midge.Listener{URL: "ws://127.0.0.1:0/mqtt"},
		midge.Listener{URL: "tls://127.0.0.1:0", Options: secure},
		midge.Listener{URL: "wss://127.0.0.1:0/mqtt", Options: secure},
		midge.Listener{URL: "unix://" + filepath.Join(t.TempDir(), "s")},
	)
	for _, url := range b.Addrs() {
		target := Target{URL: url, TLS: &tls.Config{InsecureSkipVerify: true}}
		run(t, Load{Target: target, Clients: 2, Messages: 500}, 1000)
		run(t, Load{Target: target, Clients: 2, Messages: 100, QoS: 1, Payload: 20000}, 200)
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	ok := Target{URL: "tcp://127.0.0.1:1"}
	for _, c := range []struct {
		load Load
		says string
	}{
		{Load{}, "URL"},
		{Load{Target: ok, Payload: 3}, "Payload"},
		{Load{Target: ok, Shape: "ring"}, "ring"},
		{Load{Target: ok, Shape: FanOut, Filters: 3}, "Pairs"},
		{Load{Target: ok, QoS: 3}, "QoS"},
		{Load{Target: Target{URL: "tcp://127.0.0.1:1", PID: 1 << 30}}, "process"},
		{Load{Target: Target{URL: "tcp://127.0.0.1:1", Version: 9}}, "version"},
		{Load{Target: ok}, "refused"}, // nobody listens there
	} {
		if _, err := c.load.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v does not say %q", c.load, err, c.says)
		}
	}
}
