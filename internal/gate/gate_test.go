package gate

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
)

// Those who wait are called source by source.
func TestGateIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(1, 1024)
		g.Enter(t.Context(), "first")
		order := make(chan string, 10)
		for _, source := range []string{"a", "a", "a", "b", "c", "b"} {
			go func() {
				if g.Enter(t.Context(), source) == nil {
					order <- source
				}
			}()
			synctest.Wait()
		}
		var got []string
		for range 6 {
			g.Leave()
			got = append(got, <-order)
		}
		if want := []string{"a", "b", "c", "a", "b", "a"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		g.Leave()
		if g.free != 1 || g.waiting != 0 || len(g.queues)+len(g.turn) != 0 {
			t.Errorf("%+v", g)
		}
	})
}

func TestGateIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(1, 3)
		g.perSource = 2
		g.Enter(t.Context(), "")
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 9)
		for _, source := range []string{"a", "a", "a", "b", "c"} {
			go func() { errs <- g.Enter(ctx, source) }()
			synctest.Wait()
		}
		for range 2 { // the third a, and c
			if err := <-errs; !errors.Is(err, ErrFull) {
				t.Error(err)
			}
		}
		cancel()
		for range 3 {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		g.Leave()
		if g.free != 1 || g.waiting != 0 || len(g.queues)+len(g.turn) != 0 {
			t.Errorf("%+v", g)
		}
	})
}

func TestSource(t *testing.T) {
	for _, c := range []struct {
		addr net.Addr
		want string
	}{
		{nil, ""},
		{&net.UnixAddr{Name: "@", Net: "unix"}, "unix"},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5}, "192.0.2.1"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 5}, "2001:db8::/64"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8::2:3"), Port: 6}, "2001:db8::/64"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 6}, "fe80::/64"},
	} {
		if got := Source(c.addr); got != c.want {
			t.Errorf("%v: %q, want %q", c.addr, got, c.want)
		}
	}
}
