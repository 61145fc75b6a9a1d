package disk

import (
	"context"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge/internal/faultdisk"
	"github.com/midgemq/midge/store"
)

// A file that cannot be removed is tried again when the log has grown, not with
// every change; and when it can, it goes.
func TestCleanerDoesNotInsist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, said := faultdisk.New(1), new(errorCount)
		disk.SetDeny(syscall.EACCES, faultdisk.Remove)
		st, err := open(disk, "clean", Options{SegmentSize: 4096, Logger: slog.New(said)})
		if err != nil {
			t.Fatal(err)
		}
		churn := func(n int) {
			for i := range n {
				st.Append(&store.Op{Kind: store.PutSession, Put: &store.Session{ID: 1, Client: "c", Expiry: uint32(i)}})
				synctest.Wait()
			}
		}
		churn(1000)
		grown := st.Stats().Bytes
		if n := int64(said.n.Load()); n == 0 || n > grown/4096 {
			t.Errorf("%d errors in a log of %d bytes", n, grown)
		}
		disk.SetDeny(nil)
		churn(200)
		if now := st.Stats().Bytes; now > 4*4096 {
			t.Errorf("%d bytes are left of %d", now, grown)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// errorCount counts what is logged as an error.
type errorCount struct{ n atomic.Int32 }

func (*errorCount) Enabled(context.Context, slog.Level) bool { return true }
func (c *errorCount) WithAttrs([]slog.Attr) slog.Handler     { return c }
func (c *errorCount) WithGroup(string) slog.Handler          { return c }
func (c *errorCount) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		c.n.Add(1)
	}
	return nil
}

// Every start begins a file; they do not pile up.
func TestManyStarts(t *testing.T) {
	disk := faultdisk.New(1)
	for i := range 50 {
		st, err := open(disk, "starts", quiet(Options{}))
		if err != nil {
			t.Fatal(err)
		}
		id := store.SessionID(i + 1)
		st.Append(&store.Op{Kind: store.PutSession, Put: &store.Session{ID: id, Client: "c", Expiry: 1}})
		n := 0
		st.Sessions(func(*store.Snapshot) bool { n++; return true })
		if n != i+1 {
			t.Fatalf("start %d finds %d sessions", i+1, n-1)
		}
		for st.isCleaning() {
			st.awaitSync()
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := disk.List(); len(names) > fewSegments+1 {
		t.Errorf("there are %d files: %v", len(names), names)
	}
}

func (st *Store) isCleaning() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.cleaning
}
