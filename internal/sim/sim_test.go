package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge/store"
)

var (
	seed      = flag.Uint64("sim.seed", 1, "the first history's seed")
	histories = flag.Int("sim.histories", 0, "how many histories TestHistories lives through; 0: as many as sim.time allows")
	budget    = flag.Duration("sim.time", time.Minute, "how long TestHistories begins new ones, if sim.histories is 0")
	only      = flag.String("sim.ops", "", "which operations of the history to do, such as 0-3,7; empty: all")
	lieFlag   = flag.Int("sim.lie", 0, "what to break deliberately, 1 to 5; see lie.go")
	verbose   = flag.Bool("sim.v", false, "print what happens")
)

// live lives through one history.
func live(t *testing.T, p *Plan, keep []int, lie Lie) (r Result) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(*testing.T) { r = Run(p, keep, lie) })
	return r
}

// TestHistories lives through one history after the other; a bad one is made
// as short as it goes and printed with the command that replays it.
func TestHistories(t *testing.T) {
	var all Tally
	begin, said := time.Now(), time.Now()
	n := 0
	for ; *histories > 0 && n < *histories || *histories == 0 && time.Since(begin) < *budget; n++ {
		p := NewPlan(*seed + uint64(n))
		keep := parseOps(*only)
		r := live(t, p, keep, Lie(*lieFlag))
		all.Add(&r.Tally)
		if *verbose {
			fmt.Fprintln(os.Stderr, strings.Join(r.Notes, "\n"))
		}
		if r.Wrong != nil {
			explain(t, p, keep, r)
			break
		}
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Fprintf(os.Stderr, "%d histories, %.0f client-hours, %v\n", n+1, all.ClientTime.Hours(), time.Since(begin).Round(time.Second))
		}
	}
	t.Logf("%d histories in %v\n%s", n, time.Since(begin).Round(time.Millisecond), &all)
}

// explain says what went wrong, in as short a history as shows it.
func explain(t *testing.T, p *Plan, keep []int, r Result) {
	t.Errorf("seed %d:\n%s", p.Seed, strings.Join(r.Wrong, "\n"))
	if keep == nil {
		for i := range p.Ops {
			keep = append(keep, i)
		}
	}
	lie := Lie(*lieFlag)
	short := Shrink(keep, 400, func(keep []int) bool { return live(t, p, keep, lie).Wrong != nil })
	if again := live(t, p, short, lie); again.Wrong != nil {
		r = again
	}
	t.Logf("%d of %d operations show it:\n%s", len(short), len(p.Ops), strings.Join(r.Notes, "\n"))
	t.Logf("replay: go test ./internal/sim -v -run TestHistories -sim.histories=1 -sim.seed=%d -sim.ops=%s -sim.lie=%d -sim.v",
		p.Seed, Ranges(short), lie)
}

// parseOps reads 0-3,7.
func parseOps(s string) (ops []int) {
	if s != "" {
		ops = []int{} // not nil: none are some, too
	}
	for part := range strings.SplitSeq(s, ",") {
		from, to, ok := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		b := a
		if ok {
			b, _ = strconv.Atoi(to)
		}
		for ; a <= b; a++ {
			ops = append(ops, a)
		}
	}
	return ops
}

// Whatever is deliberately broken is found out, and soon.
func TestLiesAreFoundOut(t *testing.T) {
	const within = 200
	for lie := Honest + 1; lie < lies; lie++ {
		t.Run(lie.String(), func(t *testing.T) {
			for n := range uint64(within) {
				p := NewPlan(1 + n)
				if r := live(t, p, nil, lie); r.Wrong != nil {
					t.Logf("history %d of at most %d: %s", n+1, within, r.Wrong[0])
					return
				}
			}
			t.Errorf("%d histories, and nobody noticed", within)
		})
	}
}

// Whatever kind of change the store loses, it is missed. (PutMessage is not
// among them: without it, nothing is stored that the others are about.)
func TestEveryChangeIsMissed(t *testing.T) {
	for kind := store.PutSession; kind <= store.Unretain; kind++ {
		if kind == store.PutMessage {
			continue
		}
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			for n := range uint64(200) {
				p := NewPlan(1 + n)
				if p.Kind != Durable {
					continue
				}
				if r := live(t, p, nil, Losing(kind)); r.Wrong != nil {
					t.Logf("seed %d: %s", p.Seed, r.Wrong[0])
					return
				}
			}
			t.Error("nobody noticed")
		})
	}
}

// A seed replays: what is done, and with what outcome, is the same each time.
func TestReplay(t *testing.T) {
	const seeds = 60
	same := 0
	for n := range uint64(seeds) {
		p := NewPlan(1 + n)
		if a, b := live(t, p, nil, Honest), live(t, p, nil, Honest); a.Hash == b.Hash {
			same++
		} else if *verbose {
			diverged(t, p.Seed, a.Notes, b.Notes)
		}
	}
	if same < seeds/4 { // the race detector shuffles what is ready
		t.Errorf("only %d of %d seeds gave the same history twice", same, seeds)
	}
	t.Logf("%d of %d seeds gave the same history twice, to the last packet", same, seeds)
}

func diverged(t *testing.T, seed uint64, a, b []string) {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Logf("seed %d, note %d of %d:\n%s\n%s", seed, i, len(a), a[i], b[i])
			return
		}
	}
}

func TestShrink(t *testing.T) {
	all := parseOps("0-99")
	needs := func(keep []int) bool {
		return slices.Contains(keep, 17) && slices.Contains(keep, 18) && slices.Contains(keep, 80)
	}
	if got := Ranges(Shrink(all, 400, needs)); got != "17-18,80" {
		t.Errorf("shrunk to %s", got)
	}
	if got := Ranges(Shrink(all, 400, func([]int) bool { return true })); got != "none" || len(parseOps(got)) != 0 {
		t.Errorf("shrunk to %s", got)
	}
}
