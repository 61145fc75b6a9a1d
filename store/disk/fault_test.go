package disk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge/internal/faultdisk"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/memory"
	"github.com/midgemq/midge/store/storetest"
)

// What is damaged after it was durable is named, the rest is there, and the
// damaged files are kept.
func TestDamage(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 4))
			disk := faultdisk.New(seed)
			opt := quiet(Options{SegmentSize: 8192})
			st, err := open(disk, "damage", opt)
			if err != nil {
				t.Fatal(err)
			}
			const n = 100
			st.Append(&store.Op{Kind: store.PutSession, Put: &store.Session{ID: 1, Client: "c", Expiry: 1}})
			for i := range n {
				id := store.MessageID(i + 1)
				body := &store.Message{Topic: []byte("t"), Payload: []byte(strings.Repeat(fmt.Sprint(i, ","), 100))}
				st.Append(&store.Op{Kind: store.PutMessage, Message: id, Body: body})
				st.Append(&store.Op{Kind: store.Queue, Session: 1, Entry: &store.Entry{Seq: uint64(i + 1), MessageID: id, QoS: 1}})
				st.Append(&store.Op{Kind: store.Commit, Message: id})
			}
			st.Append(&store.Op{Kind: store.PutSession, Put: &store.Session{ID: 1, Client: "c", Expiry: 2}})
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			names, _ := disk.List()
			victim := names[rng.IntN(len(names)-1)]
			disk.Damage(victim, func(b []byte) { b[rng.IntN(len(b))] ^= 0x10 })

			st, err = open(disk, "damage", opt)
			if err != nil {
				t.Fatal(err)
			}
			found := st.Report()
			if len(found.Damage) == 0 || found.Damage[0].File != victim || found.Aside == "" {
				t.Fatalf("%s is damaged; found %+v", victim, found)
			}
			some, err := st.Load(1, 0, n, 1<<30)
			if err != nil || len(some) == n && found.Damage[0].From != 0 && found.Lost > 0 || len(some) < n-20 {
				t.Fatalf("%d of %d messages are left: %v; %+v", len(some), n, err, found)
			}
			st.Append(&store.Op{Kind: store.Done, Session: 1, Seq: 1})
			for !disk.Has(found.Aside + "/" + victim) {
				if !st.awaitSync() {
					t.Fatal("closed")
				}
			}
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			if st, err = open(disk, "damage", opt); err != nil || st.found.Damaged() {
				t.Fatalf("opened once more: %v %+v", err, st.found)
			}
			st.Close()
		})
	}
}

// A disk that takes nothing makes nothing durable, is named, and is tried
// until it works; nothing is lost then.
func TestDiskFails(t *testing.T) {
	for _, c := range []struct {
		name       string
		fail, mend func(*faultdisk.Disk)
	}{
		{"full", func(d *faultdisk.Disk) { d.SetRoom(100) }, func(d *faultdisk.Disk) { d.SetRoom(-1) }},
		{"failing to sync", func(d *faultdisk.Disk) { d.SetSync(0, syscall.EIO) }, func(d *faultdisk.Disk) { d.SetSync(0, nil) }},
		{"read-only", func(d *faultdisk.Disk) { d.SetDeny(syscall.EROFS) }, func(d *faultdisk.Disk) { d.SetDeny(nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := faultdisk.New(1)
				script, model := storetest.NewScript(1, 1000), memory.New()
				st, err := open(disk, "fails", quiet(Options{SegmentSize: 4096}))
				if err != nil {
					t.Fatal(err)
				}
				step := func() (pos store.Position) {
					for range 50 {
						op := script.Next()
						model.Append(op)
						pos = st.Append(op)
					}
					return pos
				}
				step()
				synctest.Wait()
				c.fail(disk)
				pos := step()
				pass(time.Minute)
				if st.Err() == nil || st.Durable() >= pos {
					t.Errorf("durable up to %d of %d, error %v", st.Durable(), pos, st.Err())
				}
				if got, want := storetest.Dump(t, st), storetest.Dump(t, model); got != want {
					t.Errorf("meanwhile it holds\n%s\nwant\n%s", got, want)
				}
				c.mend(disk)
				pass(time.Minute)
				if st.Err() != nil || st.Durable() < pos {
					t.Errorf("mended, but durable up to %d of %d, error %v", st.Durable(), pos, st.Err())
				}
				step()
				if err := st.Close(); err != nil {
					t.Fatal(err)
				}
				model.Close()
				if st, err = open(disk, "fails", quiet(Options{})); err != nil || st.found.Damaged() || st.found.Torn > 0 {
					t.Fatalf("%v %+v", err, st.found)
				}
				if got, want := storetest.Dump(t, st), storetest.Dump(t, model); got != want {
					t.Errorf("it holds\n%s\nwant\n%s", got, want)
				}
				st.Close()
			})
		})
	}
}

// pass lets fake time pass.
func pass(d time.Duration) { <-time.After(d); synctest.Wait() }

// Close comes back from a disk that takes nothing, and says so.
func TestCloseGivesUp(t *testing.T) {
	for d := Always; d <= None; d++ {
		synctest.Test(t, func(t *testing.T) {
			disk := faultdisk.New(1)
			st, err := open(disk, "fails", quiet(Options{Durability: d}))
			if err != nil {
				t.Fatal(err)
			}
			st.Append(&store.Op{Kind: store.PutSession, Put: &store.Session{ID: 1}})
			synctest.Wait() // it is written now, and perhaps not synced
			disk.SetDeny(syscall.EIO)
			if d == Always {
				st.Append(&store.Op{Kind: store.EndSession, Session: 1})
			}
			if err := st.Close(); !errors.Is(err, syscall.EIO) {
				t.Errorf("%v: %v", d, err)
			}
		})
	}
}
