package trace_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/midgemq/midge/topic"
	"github.com/midgemq/midge/trace"
)

func resolved(t *testing.T, f trace.Filter) *trace.Filter {
	t.Helper()
	f, err := f.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	return &f
}

func TestPeer(t *testing.T) {
	for _, c := range []struct {
		f                  trace.Filter
		client, user, addr string
		want               bool
	}{
		{trace.Filter{}, "c", "u", "192.0.2.1", true},
		{trace.Filter{Client: "c"}, "c", "", "::1", true},
		{trace.Filter{Client: "c"}, "C", "", "::1", false},
		{trace.Filter{User: "u"}, "c", "u", "::1", true},
		{trace.Filter{User: "u", Client: "d"}, "c", "u", "::1", false},
		{trace.Filter{Address: "192.0.2.1"}, "c", "u", "::ffff:192.0.2.1", true},
		{trace.Filter{Address: "192.0.2.0/24"}, "c", "u", "192.0.2.255", true},
		{trace.Filter{Address: "192.0.2.77/24"}, "c", "u", "192.0.3.1", false},
		{trace.Filter{Address: "2001:db8::/32"}, "c", "u", "2001:db8::5", true},
		{trace.Filter{Address: "0.0.0.0/0"}, "c", "u", "", false},
	} {
		addr := func() netip.Addr {
			at, _ := netip.ParseAddr(c.addr)
			return trace.Host(netip.AddrPortFrom(at, 1883).String())
		}
		if got := resolved(t, c.f).Peer(c.client, c.user, addr); got != c.want {
			t.Errorf("%+v of %s %s %s: %v", c.f, c.client, c.user, c.addr, got)
		}
	}
}

func TestResolve(t *testing.T) {
	for want, f := range map[string]trace.Filter{
		"address":        {Address: "example.org"},
		"address: netip": {Address: "1.2.3.4/33"},
		`topic "a/#/b"`:  {Topic: "a/#/b"},
		"payload is":     {Payload: trace.MaxPayload + 1},
	} {
		if _, err := f.Resolve(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", f, err, want)
		}
	}
	if f := resolved(t, trace.Filter{Topic: "$share/g/a/+"}); !f.Name([]byte("a/b")) || f.Events != trace.DefaultEvents || f.For != trace.DefaultFor {
		t.Errorf("%+v", f)
	}
}

// Two filters share topics if there is a topic that both match; here it is
// looked for among all of up to three levels.
func TestShares(t *testing.T) {
	words := []string{"a", "b", "", "$x", "c"}
	var names []string
	for _, x := range words {
		if x != "" {
			names = append(names, x)
		}
		for _, y := range words {
			names = append(names, x+"/"+y)
			for _, z := range words {
				names = append(names, x+"/"+y+"/"+z)
			}
		}
	}
	filters := []string{"#", "+", "a", "b", "a/#", "+/#", "a/+", "+/b", "a/b", "/", "/a", "+/+", "a/+/c", "+/b/#", "a/b/c", "$x/#", "$x/a", "$x", "a//c", "a/b/+"}
	for _, f := range filters {
		for _, g := range filters {
			want := false
			for _, n := range names {
				want = want || topic.Match(f, n) && topic.Match(g, n)
			}
			if got := resolved(t, trace.Filter{Topic: f}).Shares("$share/x/" + g); got != want {
				t.Errorf("%q and %q: %v", f, g, got)
			}
		}
	}
}

func ExampleFilter() {
	f, err := trace.Filter{Topic: "sensors/+/temperature"}.Resolve()
	fmt.Println(f.Name([]byte("sensors/attic/temperature")), f.Shares("sensors/#"), f.Shares("lamps/#"), err)
	// Output: true true false <nil>
}
