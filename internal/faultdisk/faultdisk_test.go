package faultdisk

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/midgemq/midge/internal/vfs"
)

// made is a disk with two files: one that is synced, with more behind that is
// not, and one whose name is not.
func made(t *testing.T, seed uint64) *Disk {
	d := New(seed)
	old, _ := d.Open("old", true)
	put(t, old, strings.Repeat("a", 2000), 0)
	if err := errors.Join(old.Sync(), d.Sync()); err != nil {
		t.Fatal(err)
	}
	put(t, old, strings.Repeat("b", 2000), 2000)
	for _, name := range []string{"new 1", "new 2"} {
		f, _ := d.Open(name, true)
		put(t, f, "c", 0)
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func put(t *testing.T, f vfs.File, s string, off int64) {
	t.Helper()
	if n, err := f.WriteAt([]byte(s), off); n != len(s) || err != nil {
		t.Fatal(n, err)
	}
}

func content(t *testing.T, d *Disk, name string) []byte {
	t.Helper()
	f, err := d.Open(name, false)
	if err != nil {
		t.Fatal(err)
	}
	size, _ := f.Size()
	b := make([]byte, size)
	f.ReadAt(b, 0)
	return b
}

// What was synced is there after a power cut; of the rest, anything is.
func TestPowerCut(t *testing.T) {
	met := map[string]bool{}
	for seed := range uint64(300) {
		d := made(t, seed)
		next := d.PowerCut()
		if _, err := d.Open("late", true); !errors.Is(err, ErrPower) {
			t.Fatalf("the old disk still works: %v", err)
		}
		b := content(t, next, "old")
		if len(b) < 2000 || string(b[:2000]) != strings.Repeat("a", 2000) {
			t.Fatalf("seed %d: %d bytes are left of what was synced", seed, len(b))
		}
		rest := b[2000:]
		met["nothing"] = met["nothing"] || len(rest) == 0
		met["all"] = met["all"] || string(rest) == strings.Repeat("b", 2000)
		met["its end alone"] = met["its end alone"] || len(rest) == 2000 && rest[0] != 'b' && rest[1999] == 'b'
		met["garbage"] = met["garbage"] || bytes.ContainsFunc(rest, func(r rune) bool { return r != 'b' && r != 0 })
		names, _ := next.List()
		for _, n := range names {
			if n != "old" && !bytes.HasPrefix(content(t, next, n), []byte("c")) {
				t.Fatalf("seed %d: %s was synced and is lost", seed, n)
			}
		}
		met[strings.Join(names, ",")] = true
	}
	for _, what := range []string{"nothing", "all", "its end alone", "garbage", "old", "new 1,old", "new 2,old", "new 1,new 2,old"} {
		if !met[what] {
			t.Errorf("300 power cuts never leave %s", what)
		}
	}
}

// A process that is killed leaves what it wrote, no more certain than before.
func TestKill(t *testing.T) {
	lost := false
	for seed := range uint64(50) {
		d := made(t, seed).Kill()
		if b := content(t, d, "old"); len(b) != 4000 || d.Forgot() {
			t.Fatalf("seed %d: %d bytes", seed, len(b))
		}
		names, _ := d.PowerCut().List()
		lost = lost || !slices.Contains(names, "new 1")
	}
	if !lost {
		t.Error("a name that was not synced is never lost")
	}
}

// A sync that fails forgets what it was to keep, and says so once.
func TestFlaky(t *testing.T) {
	forgot := false
	for seed := range uint64(20) {
		d := made(t, seed)
		d.SetFlaky(1)
		f, _ := d.Open("old", false)
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		d.SetFlaky(0)
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		forgot = forgot || d.Forgot()
		put(t, f, strings.Repeat("b", 2000), 2000)
		if err := f.Sync(); err != nil || d.Forgot() {
			t.Errorf("written again: %v, forgot: %v", err, d.Forgot())
		}
	}
	if !forgot {
		t.Error("nothing is ever forgotten")
	}
}

// The end is met at the operation that is asked for, and nothing comes after.
func TestBudget(t *testing.T) {
	d := New(1)
	ended := false
	d.SetBudget(2, func() { ended = true })
	f, _ := d.Open("f", true)
	put(t, f, "x", 0)
	if err := f.Sync(); !errors.Is(err, ErrPower) || !ended || d.Met() != Sync || !d.Down() {
		t.Errorf("%v, ended %v by %v", err, ended, d.Met())
	}
}
