package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Tally counts what histories were made of.
type Tally struct {
	Histories       int
	ByKind          [kinds]int
	Time            time.Duration // simulated
	ClientTime      time.Duration // simulated, times clients
	Published       [3]int        // messages, by QoS
	Acked           [3]int
	Delivered       [3]int // PUBLISH packets received
	Sessions        int    // compared with what was due to them
	Probes          int
	Wills, Restarts int
	Faults          map[string]int
}

// Add adds another one.
func (t *Tally) Add(u *Tally) {
	t.Histories += u.Histories
	t.Time += u.Time
	t.ClientTime += u.ClientTime
	t.Sessions += u.Sessions
	t.Probes += u.Probes
	t.Wills += u.Wills
	t.Restarts += u.Restarts
	for i := range t.ByKind {
		t.ByKind[i] += u.ByKind[i]
	}
	for i := range t.Published {
		t.Published[i] += u.Published[i]
		t.Acked[i] += u.Acked[i]
		t.Delivered[i] += u.Delivered[i]
	}
	if t.Faults == nil {
		t.Faults = map[string]int{}
	}
	for k, n := range u.Faults {
		t.Faults[k] += n
	}
}

// packets is how many messages and acknowledgements have come.
func (t *Tally) packets() (n int) {
	for i := range t.Acked {
		n += t.Acked[i] + t.Delivered[i]
	}
	return n
}

// String draws the table.
func (t *Tally) String() string {
	var b strings.Builder
	row := func(name string, value any) { fmt.Fprintf(&b, "  %-28s %12v\n", name, value) }
	head := func(name string) { fmt.Fprintf(&b, "%s\n", name) }
	head("histories")
	row("lived through", t.Histories)
	for k, n := range t.ByKind {
		row("... of the "+Kind(k).String()+" server", n)
	}
	row("simulated hours", fmt.Sprintf("%.0f", t.Time.Hours()))
	row("simulated client-hours", fmt.Sprintf("%.0f", t.ClientTime.Hours()))
	head("messages                            QoS 0        QoS 1        QoS 2")
	for _, r := range []struct {
		name string
		n    [3]int
	}{{"published", t.Published}, {"acknowledged", t.Acked}, {"PUBLISH received", t.Delivered}} {
		fmt.Fprintf(&b, "  %-28s %12d %12d %12d\n", r.name, r.n[0], r.n[1], r.n[2])
	}
	row("wills left", t.Wills)
	row("server lives ended", t.Restarts)
	head("checks")
	row("sessions held to account", t.Sessions)
	row("probes for retained messages", t.Probes)
	head("faults")
	for _, k := range slices.Sorted(maps.Keys(t.Faults)) {
		row(k, t.Faults[k])
	}
	return b.String()
}
