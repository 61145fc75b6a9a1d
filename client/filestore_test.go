package client_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/midgemq/midge/client"
)

func openStore(t *testing.T, path string) *client.FileStore {
	t.Helper()
	st, err := client.OpenFile(path, client.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func contents(t *testing.T, st client.Store) map[uint64]string {
	t.Helper()
	all := map[uint64]string{}
	last := uint64(0)
	if err := st.Load(func(k uint64, v []byte) error {
		if k < last {
			t.Errorf("key %d behind %d", k, last)
		}
		last = k
		all[k] = string(v)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// Both stores do the same with the same changes, through any number of
// restarts.
func TestStores(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	file, memory := openStore(t, path), &client.MemoryStore{}
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 30 {
		for range 100 {
			var ops []client.Op
			for range 1 + r.IntN(3) {
				ops = append(ops, client.Op{
					Key: r.Uint64N(50), Value: bytes.Repeat([]byte{byte(round)}, r.IntN(2000)), Delete: r.IntN(3) == 0,
				})
			}
			for _, st := range []client.Store{file, memory} {
				if err := st.Apply(ops); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got, want := fmt.Sprint(contents(t, file)), fmt.Sprint(contents(t, memory)); got != want {
			t.Fatalf("round %d: the stores differ", round)
		}
		if round%3 == 0 {
			file.Close()
			file = openStore(t, path)
			if file.Damaged() != 0 {
				t.Fatal("damaged")
			}
		}
	}
	if info, _ := os.Stat(path); info.Size() > 2<<20 {
		t.Errorf("the file has %d bytes and does not compact itself", info.Size())
	}
	file.Close()
	if err := file.Apply([]client.Op{{Key: 1}}); err == nil {
		t.Error("a closed store takes changes")
	}
	if err := file.Load(nil); err == nil {
		t.Error("a closed store is read")
	}
}

// A file cut at any byte holds a prefix of the changes, each batch whole.
func TestFileStoreTornAnywhere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "store")
	st := openStore(t, path)
	for i := range 5 {
		st.Apply([]client.Op{{Key: uint64(2 * i), Value: []byte("first")}, {Key: uint64(2*i + 1), Value: []byte("second")}})
	}
	st.Close()
	whole, _ := os.ReadFile(path)
	for cut := range len(whole) {
		torn := filepath.Join(dir, "torn")
		os.WriteFile(torn, whole[:cut], 0o600)
		st := openStore(t, torn)
		all := contents(t, st)
		for i := range uint64(5) {
			_, a := all[2*i]
			_, b := all[2*i+1]
			if a != b || a && i > 0 && all[2*i-2] == "" {
				t.Fatalf("cut at %d: %v", cut, all)
			}
		}
		if err := st.Apply([]client.Op{{Key: 99, Value: []byte("new")}}); err != nil {
			t.Fatal(err)
		}
		st.Close()
		again := openStore(t, torn)
		if contents(t, again)[99] != "new" || again.Damaged() != 0 {
			t.Fatalf("cut at %d: what was written after it is lost", cut)
		}
		again.Close()
		os.Remove(torn)
	}
}

// Damage in the middle is put aside, not overwritten.
func TestFileStoreDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	st := openStore(t, path)
	for i := range 5 {
		st.Apply([]client.Op{{Key: uint64(i), Value: []byte("value")}})
	}
	st.Close()
	b, _ := os.ReadFile(path)
	b[len(b)/2] ^= 1
	os.WriteFile(path, b, 0o600)
	st = openStore(t, path)
	if n := len(contents(t, st)); n == 0 || n == 5 || st.Damaged() == 0 {
		t.Errorf("%d records, %d bytes damaged", n, st.Damaged())
	}
	if aside, _ := os.ReadFile(path + ".damaged"); !bytes.Equal(aside, b) {
		t.Error("the damaged file is not kept")
	}
	st.Close()
	os.WriteFile(path, []byte("something else entirely"), 0o600)
	if _, err := client.OpenFile(path, client.FileOptions{}); err == nil {
		t.Error("a file that is no store is taken for one")
	}
	if b, _ := os.ReadFile(path); string(b) != "something else entirely" {
		t.Error("and overwritten")
	}
}

func TestFileStoreIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	st, err := client.OpenFile(path, client.FileOptions{Sync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Apply([]client.Op{{Key: 1, Value: []byte("x")}}); err != nil {
		t.Error(err)
	}
	if second, err := client.OpenFile(path, client.FileOptions{}); err == nil {
		second.Close()
		t.Error("two programs use one file")
	}
	st.Close()
	openStore(t, path)
	if _, err := client.OpenFile(filepath.Join(path, "x"), client.FileOptions{}); err == nil {
		t.Error("no folder")
	}
}

// A change is made once it is in the file: that the file cannot be rewritten
// is no reason to deny it.
func TestFileStoreCannotCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	st := openStore(t, path)
	if err := os.Mkdir(path+".new", 0o700); err != nil { // in the way of the rewriting
		t.Fatal(err)
	}
	value := make([]byte, 100<<10)
	for i := range 50 {
		value[0] = byte(i)
		if err := st.Apply([]client.Op{{Key: 1, Value: value}}); err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	st.Close()
	os.Remove(path + ".new")
	if got := contents(t, openStore(t, path))[1]; got[0] != 49 {
		t.Errorf("change %d is the last", got[0])
	}
}

// The largest message MQTT has is read back, and what follows it.
func TestFileStoreLargeMessages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	st := openStore(t, path)
	large := make([]byte, 65<<20)
	for _, op := range []client.Op{{Key: 1, Value: large}, {Key: 2, Value: []byte("behind")}} {
		if err := st.Apply([]client.Op{op}); err != nil {
			t.Fatal(err)
		}
	}
	st.Close()
	st = openStore(t, path)
	if all := contents(t, st); len(all[1]) != len(large) || all[2] != "behind" || st.Damaged() != 0 {
		t.Errorf("%d bytes, %q, %d damaged", len(all[1]), all[2], st.Damaged())
	}
}

// A torn tail full of what could be lengths is not read over and over: every
// byte of this one begins a batch of a megabyte, by its length.
func TestFileStoreTornTailIsQuick(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	st := openStore(t, path)
	tail := bytes.Repeat([]byte{0, 16}, 24<<20)
	if err := st.Apply([]client.Op{{Key: 1, Value: []byte("kept")}, {Key: 2, Value: []byte("kept")}}); err != nil {
		t.Fatal(err)
	}
	if err := st.Apply([]client.Op{{Key: 3, Value: tail}}); err != nil {
		t.Fatal(err)
	}
	st.Close()
	info, _ := os.Stat(path)
	os.Truncate(path, info.Size()-1)
	st = openStore(t, path)
	if n := len(contents(t, st)); n != 2 || st.Damaged() == 0 {
		t.Errorf("%d records, %d bytes damaged", n, st.Damaged())
	}
	if _, err := os.Stat(path + ".damaged"); err == nil {
		t.Error("a torn tail is taken for damage")
	}
}
