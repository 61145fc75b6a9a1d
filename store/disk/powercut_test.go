package disk

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge/internal/faultdisk"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/memory"
	"github.com/midgemq/midge/store/storetest"
)

const shortCuts = 600

var cuts = flag.Int("cuts", shortCuts, "how many power cuts TestPowerCut makes; with -v it says how far it is")

// After a power cut the store is what some prefix of the changes made, all that
// was said to be durable is in it, and nothing is taken for damaged.
func TestPowerCut(t *testing.T) {
	sum := &tally{want: *cuts, start: time.Now()}
	for seed := uint64(0); sum.cuts < sum.want; seed++ {
		if err := history(t, seed, nil, sum); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		sum.progress()
	}
	t.Logf("%v", sum)
}

// A store, or a disk, that does not do what it says is found out.
func TestPowerCutFinds(t *testing.T) {
	for _, c := range []struct {
		name string
		lie  func(*life, faultdisk.Call) bool
	}{
		{"an answer before the sync", func(_ *life, c faultdisk.Call) bool {
			return c.Op == faultdisk.Sync && c.Size > headerSize
		}},
		{"a new file's name not synced", func(_ *life, c faultdisk.Call) bool { return c.Op == faultdisk.SyncNames }},
		{"a header not synced ahead of its frames", func(_ *life, c faultdisk.Call) bool {
			return c.Op == faultdisk.Sync && c.Size <= headerSize
		}},
		{"a full segment not synced", func(l *life, c faultdisk.Call) bool {
			return c.Op == faultdisk.Sync && c.Size >= int(l.opt.SegmentSize)
		}},
		{"removals in any order", func(_ *life, c faultdisk.Call) bool {
			return c.Op == faultdisk.SyncNames && !slices.Contains(c.Names, faultdisk.Create)
		}},
		{"what a killed process wrote not synced", func(l *life, c faultdisk.Call) bool {
			return c.Op == faultdisk.Sync && l.store.Load() == nil
		}},
		{"no checksum", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.lie == nil {
				defer func(real *crc32.Table) { castagnoli = real }(castagnoli)
				castagnoli = new(crc32.Table) // the sum of anything is the same
			}
			sum := new(tally)
			for seed := range uint64(2000) {
				if err := history(t, seed, c.lie, sum); err != nil {
					t.Logf("found by cut %d: %.200v", sum.cuts, err)
					return
				}
			}
			t.Errorf("%d power cuts do not find it", sum.cuts)
		})
	}
}

// A life is what one disk goes through, from one end to the next.
type life struct {
	t      testing.TB
	rng    *rand.Rand
	disk   *faultdisk.Disk
	script *storetest.Script
	opt    Options
	lie    func(faultdisk.Call) bool
	store  atomic.Pointer[Store] // nil while the log is read

	past []*store.Op // what is there for certain: a change without a kind ends a life
	now  []*store.Op // what may be
	safe int         // how much of now has to be
	seen int         // how much of now was there when it was looked at
}

// history opens, uses and ends a store several times on one disk. It returns
// what is wrong.
func history(t *testing.T, seed uint64, lie func(*life, faultdisk.Call) bool, sum *tally) (err error) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 3))
		l := &life{
			t: witness{t}, rng: rng, disk: faultdisk.New(seed), script: storetest.NewScript(seed, 1+rng.IntN(2000)),
			opt: quiet(Options{SegmentSize: int64(4096 << rng.IntN(3)), Retry: time.Millisecond, Interval: 10 * time.Millisecond}),
		}
		if rng.IntN(4) == 0 {
			l.opt.Durability = Interval + Durability(rng.IntN(2))
		}
		if lie != nil {
			l.lie = func(c faultdisk.Call) bool { return lie(l, c) }
		}
		for n := 2 + rng.IntN(6); n > 0 && err == nil; n-- {
			err = l.live(sum)
		}
	})
	return err
}

// A witness makes a failure something to be returned.
type witness struct{ testing.TB }

type failure string

func (w witness) Fatal(args ...any)            { panic(failure(fmt.Sprint(args...))) }
func (w witness) Fatalf(f string, args ...any) { panic(failure(fmt.Sprintf(f, args...))) }

func (l *life) live(sum *tally) (err error) {
	defer func() {
		if f, ok := recover().(failure); ok {
			err = errors.New(string(f))
		}
	}()
	phase := atReading
	l.store.Store(nil)
	budget := l.rng.IntN(120)
	if l.rng.IntN(5) == 0 {
		budget = l.rng.IntN(3)
	}
	l.disk.SetLie(l.lie)
	l.disk.SetBudget(budget, func() { phase = l.phase() })
	st, err := open(l.disk, "fault", l.opt)
	switch {
	case err != nil && !errors.Is(err, faultdisk.ErrPower):
		return err
	case err == nil:
		defer st.Close()
	}
	if err == nil && !l.disk.Down() {
		l.settled()
		l.store.Store(st)
		l.use(st)
	}
	if !l.disk.Down() {
		phase = atRest
	}
	if l.rng.IntN(4) == 0 && !l.disk.Forgot() { // nobody can know what a process that is killed then left
		sum.kills++
		l.disk = l.disk.Kill()
		return l.verify(false)
	}
	sum.cut(phase, l.disk.Met())
	l.disk = l.disk.PowerCut()
	return l.verify(true)
}

// use makes changes until the end, and notes which of them were answered.
func (l *life) use(st *Store) {
	if l.opt.Durability == Always && l.rng.IntN(4) == 0 {
		l.disk.SetFlaky(10)
	}
	var answered atomic.Int64
	var at []store.Position
	for range 50 + l.rng.IntN(300) {
		op := l.script.Next()
		l.now = append(l.now, op)
		at = append(at, st.Append(op))
		k := int64(len(l.now))
		st.After(at[k-1], func() {
			for n := answered.Load(); n < k && !answered.CompareAndSwap(n, k); n = answered.Load() {
			}
		})
		switch l.rng.IntN(24) {
		case 0, 1, 2, 3, 4, 5:
			synctest.Wait()
		case 6:
			pass(10 * time.Millisecond)
		}
		if l.disk.Down() {
			break
		}
	}
	synctest.Wait()
	if l.opt.Durability == Always {
		l.safe = int(answered.Load())
		return
	}
	st.mu.Lock() // an answer says nothing then; what it has synced, it has to have
	defer st.mu.Unlock()
	for l.safe < len(at) && at[l.safe] <= st.synced {
		l.safe++
	}
}

// settled notes that what was seen of now is not taken back any more, and that
// the rest will never be there.
func (l *life) settled() {
	l.past = append(append(l.past, l.now[:l.seen]...), new(store.Op))
	l.now, l.safe, l.seen = nil, 0, 0
}

// verify looks at what is there.
func (l *life) verify(certain bool) error {
	opt := l.opt
	opt.ReadOnly = true
	st, err := open(l.disk, "fault", opt)
	if err != nil {
		return err
	}
	defer st.Close()
	if st.found.Damaged() {
		return fmt.Errorf("taken for damaged: %+v", st.found)
	}
	got := storetest.Dump(l.t, st)
	var wants []string
	for _, k := range l.candidates(st) {
		want := storetest.Dump(l.t, l.model(k))
		if got == want {
			l.script.Restart(st)
			l.seen = k
			if certain {
				l.settled()
			}
			return nil
		}
		wants = append(wants, want)
	}
	closest := slices.MinFunc(wants, func(a, b string) int {
		return cmp.Compare(len(storetest.Diff(got, a)), len(storetest.Diff(got, b)))
	})
	return fmt.Errorf("%d changes were durable of %d; found %+v, which is no prefix; the closest differs in\n%s",
		l.safe, len(l.now), st.found, strings.Join(storetest.Diff(got, closest), "\n"))
}

// candidates are how much of now may be there: what the largest message number
// speaks for comes first.
func (l *life) candidates(st *Store) (likely []int) {
	var rest []int
	_, found := st.Last()
	for k := len(l.now); k >= l.safe; k-- {
		var last store.MessageID
		for i := k - 1; i >= 0 && last == 0; i-- {
			if l.now[i].Kind == store.PutMessage {
				last = l.now[i].Message
			}
		}
		if last == found {
			likely = append(likely, k)
		} else {
			rest = append(rest, k)
		}
	}
	return append(likely, rest...)
}

// model is what the past and k changes of now make.
func (l *life) model(k int) *memory.Store {
	m := memory.New()
	for _, op := range append(l.past[:len(l.past):len(l.past)], l.now[:k]...) {
		m.Append(op)
		if op.Kind == 0 {
			m.Close()
		}
	}
	m.Close()
	return m
}
