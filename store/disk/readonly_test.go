package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/midgemq/midge/internal/faultdisk"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/storetest"
)

// A store in use can be read at any moment, whatever its cleaner is at, and
// what is read was true once: the messages of one session are a range.
func TestReadOnlyInUse(t *testing.T) {
	dir := t.TempDir()
	st, err := Open(dir, quiet(Options{SegmentSize: 4096, Durability: None}))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := Open(dir, quiet(Options{})); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	st.Append(&store.Op{Kind: store.PutSession, Put: &store.Session{ID: 1, Client: "c"}})
	written, stop := make(chan bool), make(chan bool)
	go func() {
		defer close(written)
		for i := uint64(1); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			id := store.MessageID(i)
			st.Append(&store.Op{Kind: store.PutMessage, Message: id, Body: &store.Message{Topic: []byte("t"), Payload: make([]byte, 200)}})
			st.Append(&store.Op{Kind: store.Queue, Session: 1, Entry: &store.Entry{Seq: i, MessageID: id, QoS: 1}})
			st.Append(&store.Op{Kind: store.Commit, Message: id})
			if i > 20 {
				st.Append(&store.Op{Kind: store.Done, Session: 1, Seq: i - 20})
			}
			if i%10 == 0 {
				st.awaitSync()
			}
		}
	}()
	for range 100 {
		r, err := Open(dir, quiet(Options{ReadOnly: true}))
		if err != nil {
			t.Fatal(err)
		}
		found := r.Report()
		some, err := r.Load(1, 0, 1000, 1<<30)
		if err != nil || found.Damaged() || !found.InUse {
			t.Errorf("%+v, %v", found, err)
		}
		for i := range some {
			if some[i].Seq != some[0].Seq+uint64(i) {
				t.Fatalf("message %d follows %d", some[i].Seq, some[i-1].Seq)
			}
		}
		r.Append(&store.Op{Kind: store.EndSession, Session: 1}) // does nothing
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	<-written
	if st.Stats().Messages > 30 {
		t.Errorf("%+v", st.Stats())
	}
}

// What is not there is not made.
func TestReadOnlyMakesNothing(t *testing.T) {
	dir := t.TempDir()
	st, err := Open(dir, quiet(Options{ReadOnly: true}))
	if err != nil || st.Report().Segments != 0 || storetest.Dump(t, st) != "" {
		t.Fatal(err, st.Report())
	}
	st.Close()
	if names, _ := (directory{path: dir}).List(); len(names) > 0 {
		t.Errorf("it made %q", names)
	}
}

// A session of which only something is left is counted as lost.
func TestLostSession(t *testing.T) {
	disk := faultdisk.New(1)
	st, err := open(disk, "lost", quiet(Options{SegmentSize: 4096}))
	if err != nil {
		t.Fatal(err)
	}
	for id := range store.SessionID(100) {
		st.Append(&store.Op{Kind: store.PutSession, Put: &store.Session{ID: id + 1, Client: fmt.Sprint("client ", id)}})
	}
	for id := range store.SessionID(100) {
		st.Append(&store.Op{Kind: store.PutSubscription, Session: id + 1, Subscription: &store.Subscription{Filter: "a/filter/of/some/length"}})
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := disk.List()
	disk.Damage(names[0], func(b []byte) { clear(b[headerSize:200]) })
	st, err = open(disk, "lost", quiet(Options{ReadOnly: true}))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if r := st.Report(); r.Sessions == 0 || r.Sessions > 10 || !r.Damaged() {
		t.Errorf("%+v", r)
	}
}

// What a later version wrote is neither guessed at nor touched.
func TestLaterVersion(t *testing.T) {
	disk := faultdisk.New(1)
	st, err := open(disk, "later", quiet(Options{}))
	if err != nil {
		t.Fatal(err)
	}
	st.Append(&store.Op{Kind: store.PutSession, Put: &store.Session{ID: 1, Client: "c"}})
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := disk.List()
	disk.Damage(names[0], func(b []byte) {
		b[8]++
		binary.LittleEndian.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], castagnoli))
	})
	disk.SetDeny(errors.New("touched"))
	for _, readOnly := range []bool{true, false} {
		_, err := open(disk, "later", quiet(Options{ReadOnly: readOnly}))
		if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), names[0]) {
			t.Errorf("read-only %v: %v", readOnly, err)
		}
	}
	if after, _ := disk.List(); len(after) != len(names) {
		t.Errorf("there are %q now", after)
	}
}
