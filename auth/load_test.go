package auth

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// Fifty changes of users and rules under a thousand clients that publish and
// receive: who may stay notices nothing, who may not is gone.
func TestReloadUnderLoad(t *testing.T) {
	const clients, changes = 1000, 50
	path := filepath.Join(t.TempDir(), "passwords")
	hash, err := HashPassword(SHA512, "p", 0)
	if err != nil {
		t.Fatal(err)
	}
	f := NewPasswordFile(path)
	for i := range clients {
		f.Set(fmt.Sprintf("u%d", i), hash)
	}
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	users, err := OpenPasswords(path)
	if err != nil {
		t.Fatal(err)
	}
	policy := Policy{Authenticators: []Authenticator{users}, Anonymous: AnonymousNever, ACL: parse(t, "allow readwrite %u/#\nallow read all/#")}
	h := newHouse(t, policy)
	all := make([]*client.Conn, clients)
	for i := range all {
		user := fmt.Sprintf("u%d", i)
		all[i] = h.in(client.Options{ClientID: user, Username: user, Password: []byte("p")})
		if _, err := all[i].Subscribe(t.Context(), client.Subscription{Filter: "all/#"}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	busy := make(chan struct{})
	go func() { // messages to everybody and of somebody, all the time
		defer close(busy)
		for i := 0; ctx.Err() == nil; i++ {
			h.b.Publish(mqtt.Message{Topic: "all/news"})
			all[i%clients].Publish(ctx, mqtt.Message{Topic: fmt.Sprintf("u%d/x", i%clients), QoS: 1})
		}
	}()
	var slowest time.Duration
	for n := range changes {
		out := fmt.Sprintf("u%d", n*7)
		f.Delete(out)
		if err := f.Write(); err != nil {
			t.Fatal(err)
		}
		if err := users.Reload(); err != nil {
			t.Fatal(err)
		}
		policy.ACL = parse(t, fmt.Sprintf("deny publish u%d/no\nallow readwrite %%u/#\nallow read all/#", n))
		start := time.Now()
		if gone := h.g.Apply(h.b, policy); len(gone) != 1 || gone[0].Username != out {
			t.Fatalf("%d: %+v", n, gone)
		}
		<-all[n*7].Done()
		slowest = max(slowest, time.Since(start))
	}
	cancel()
	<-busy
	for i, c := range all {
		if out := i%7 == 0 && i/7 < changes; out != (c.Err() != nil) {
			t.Errorf("u%d: %v", i, c.Err())
		}
	}
	t.Logf("%d changes under %d clients; from a change to the last connection it ended, at most %v", changes, clients, slowest)
}

// A bystander's QoS 1 round trips while strangers try 10,000 passwords a
// second, each on a connection of its own: run with -benchtime 5000x.
func BenchmarkBystander(b *testing.B) {
	hash, err := HashPassword(Argon2id, "p", 0)
	if err != nil {
		b.Fatal(err)
	}
	f := NewPasswordFile(filepath.Join(b.TempDir(), "passwords"))
	f.Set("alice", hash)
	f.Set("bob", hash)
	f.Write()
	for _, flood := range []bool{false, true} {
		b.Run(fmt.Sprintf("flood=%v", flood), func(b *testing.B) {
			users, err := OpenPasswords(f.path)
			if err != nil {
				b.Fatal(err)
			}
			h := newHouse(b, Policy{Authenticators: []Authenticator{users}, Anonymous: AnonymousNever})
			alice := client.Options{ClientID: "alice", Username: "alice", Password: []byte("p")}
			c := h.in(alice)
			var tried atomic.Int64
			stop := func() {}
			if flood {
				stop = h.flood(&tried)
			}
			took := make([]time.Duration, 0, b.N)
			start := time.Now()
			for b.Loop() {
				at := time.Now()
				if _, err := c.Publish(b.Context(), mqtt.Message{Topic: "t", QoS: 1}); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(at))
			}
			n, elapsed := tried.Load(), time.Since(start)
			at := time.Now()
			h.in(alice) // who was here before gets in, flood or not
			again := time.Since(at)
			stop()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(n)/elapsed.Seconds(), "failed/s")
			b.ReportMetric(float64(users.checks.Load()), "hashes")
			b.ReportMetric(float64(again.Microseconds()), "relogin-µs")
		})
	}
}

// flood tries passwords until it is told to stop.
func (h *house) flood(tried *atomic.Int64) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			pace := time.NewTicker(2 * time.Millisecond)
			defer pace.Stop()
			for ctx.Err() == nil {
				<-pace.C
				n := tried.Add(1)
				nc, err := h.ln.Dial(ctx)
				if err != nil {
					return
				}
				p := packet.Connect{
					Version: mqtt.V5, CleanStart: true, HasUsername: true, Username: []byte("bob"),
					HasPassword: true, Password: fmt.Appendf(nil, "guess %d", n),
				}
				nc.Write(p.Append(nil))
				// Its answer, if it comes at once: few wait for a hash.
				nc.SetReadDeadline(time.Now().Add(time.Millisecond))
				nc.Read(make([]byte, 64))
				nc.Close()
			}
		})
	}
	return func() { cancel(); all.Wait() }
}
