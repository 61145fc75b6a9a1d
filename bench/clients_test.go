package bench

import (
	"os"
	"testing"
	"time"

	"github.com/midgemq/midge"
)

func TestClients(t *testing.T) {
	b := newBroker(t, midge.Listener{URL: "tcp://127.0.0.1:0"})
	target := Target{URL: b.Addrs()[0], Sources: 7, PID: os.Getpid()}
	for _, c := range []Clients{
		{Clients: 100, Disconnect: true},
		{Clients: 100, Subscribe: true, Busy: 3, Hold: 120 * time.Millisecond},
	} {
		c.Target = target
		r, err := c.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := r.Figure("connected"); n != 100 || r.Latency.Count != 100 {
			t.Errorf("%v connected, %d timed", n, r.Latency.Count)
		}
		if _, ok := r.Figure("rss_bytes_per_client"); ok == c.Disconnect {
			t.Errorf("memory of idle clients: %v", ok)
		}
	}
}

// Clients that are turned away are counted, and one of the reasons is told.
func TestClientsThatDoNotGetIn(t *testing.T) {
	b, err := midge.New(midge.Config{Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}}, MaxConnections: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c := Clients{Target: Target{URL: b.Addrs()[0]}, Clients: 30, AtOnce: 1, Hold: time.Millisecond}
	r, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if in, _ := r.Figure("connected"); in != 10 || len(r.Notes) != 1 {
		t.Errorf("%v connected, notes %q", in, r.Notes)
	}
}

func TestRetained(t *testing.T) {
	for _, c := range []Retained{{Messages: 1234}, {Messages: 600, Payload: 1000, Keep: true}} {
		c.Target = pipeTarget(t)
		r, err := c.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := r.Figure("replayed_per_second"); !ok || n <= 0 || r.Faults.Any() {
			t.Errorf("%v replayed a second, %+v", n, r.Faults)
		}
	}
}

func TestSourcesAreOurs(t *testing.T) {
	seen := map[string]bool{}
	for n := range 60000 {
		ip := source(n)
		if !ip.IsLoopback() || seen[ip.String()] {
			t.Fatalf("%d is %v", n, ip)
		}
		seen[ip.String()] = true
	}
	if ok := (&Target{URL: "tcp://127.0.0.1:1883"}).loopback(); !ok {
		t.Error("this machine is far away")
	}
}
