package main

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleDB has a prefix for messages and one for queues. A commit is one write
// to its log and a sync; tables are written behind it.
type pebbleDB struct {
	*committer
	db    *pebble.DB
	syncs *atomic.Uint64
}

func openPebble(dir string) (engine, error) {
	syncs := new(atomic.Uint64)
	db, err := pebble.Open(dir, &pebble.Options{Logger: silent{}, FS: countingFS{vfs.Default, syncs}})
	if err != nil {
		return nil, err
	}
	e := &pebbleDB{db: db, syncs: syncs}
	e.committer = newCommitter(e.write)
	return e, nil
}

func (e *pebbleDB) write(batch []change) error {
	b := e.db.NewBatch()
	for i := range batch {
		c := &batch[i]
		queue, message := append([]byte{'q'}, c.queue...), append([]byte{'m'}, c.message...)
		if c.payload == nil {
			b.Delete(queue, nil)
			b.Delete(message, nil)
			continue
		}
		b.Set(queue, c.message, nil)
		b.Set(message, c.payload, nil)
	}
	return b.Commit(pebble.Sync)
}

func (e *pebbleDB) Queued() (sessions, messages int, err error) {
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{'q'}, UpperBound: []byte{'q' + 1}})
	if err != nil {
		return 0, 0, err
	}
	last := uint64(0)
	for ok := it.First(); ok; ok = it.Next() {
		if s := binary.BigEndian.Uint64(it.Key()[1:]); s != last {
			sessions++
			last = s
		}
		messages++
	}
	return sessions, messages, it.Close()
}

func (e *pebbleDB) counts() counts { return counts{e.commits(), e.syncs.Load()} }

func (e *pebbleDB) Close() error {
	if err := e.end(); err != nil {
		return err
	}
	return e.db.Close()
}

// countingFS counts how often a file is synced.
type countingFS struct {
	vfs.FS
	n *atomic.Uint64
}

func (c countingFS) Create(name string, k vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.Create(name, k)
	if err != nil {
		return nil, err
	}
	return &countingFile{f, c.n}, nil
}

func (c countingFS) ReuseForWrite(from, to string, k vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.ReuseForWrite(from, to, k)
	if err != nil {
		return nil, err
	}
	return &countingFile{f, c.n}, nil
}

type countingFile struct {
	vfs.File
	n *atomic.Uint64
}

func (f *countingFile) Sync() error     { f.n.Add(1); return f.File.Sync() }
func (f *countingFile) SyncData() error { f.n.Add(1); return f.File.SyncData() }

// silent is a logger that says nothing.
type silent struct{}

func (silent) Infof(string, ...any)           {}
func (silent) Errorf(string, ...any)          {}
func (silent) Fatalf(format string, a ...any) { panic(format) }
