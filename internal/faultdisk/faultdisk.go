// Package faultdisk is a folder in memory that behaves as a disk does when
// power, room or the hardware fails.
package faultdisk

import (
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/midgemq/midge/internal/vfs"
)

var _ vfs.Folder = (*Disk)(nil)

// A Disk is a folder in memory that loses what was not synced when its power
// is cut: any part of it, in pieces, and names as well as bytes. It can be full,
// read-only, slow, or fail to sync. Its methods may be called from any
// goroutine.
type Disk struct {
	mu     sync.Mutex
	rng    *rand.Rand       // guarded by mu
	names  map[string]*blob // guarded by mu: as a program sees them
	synced map[string]*blob // guarded by mu: as they are after a power cut, for certain
	room   int              // guarded by mu: bytes that may be written yet; negative: any number
	deny   error            // guarded by mu: what writing and creating gives
	nosync error            // guarded by mu: what syncing gives
	lag    time.Duration    // guarded by mu: how long a sync takes
	budget int              // guarded by mu: writes and syncs until the disk is gone; negative: never
	onDown func()           // guarded by mu: called once when it is, with mu held
	down   bool             // guarded by mu
	syncs  int              // guarded by mu
}

// A blob is a file's content: seen, and certain.
type blob struct {
	seen, certain []byte
	loose         []write // since the last sync
}

type write struct {
	off  int64
	b    []byte
	size int64 // of a Truncate; -1: a write
}

// ErrPower is what a disk without power says.
var ErrPower = errors.New("the power is cut")

// New returns an empty disk; the seed decides what power cuts take.
func New(seed uint64) *Disk {
	return &Disk{
		rng: rand.New(rand.NewPCG(seed, 2)), names: map[string]*blob{}, synced: map[string]*blob{}, room: -1, budget: -1,
	}
}

// SetBudget has the disk go after n more writes and syncs; negative: never.
// onDown, which may be nil, is called at that moment, before anybody is told;
// it must not use the disk.
func (d *Disk) SetBudget(n int, onDown func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.budget, d.onDown = n, onDown
}

// SetRoom lets n more bytes be written; negative: any number.
func (d *Disk) SetRoom(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = n
}

// SetDeny has every change fail with err; nil: none.
func (d *Disk) SetDeny(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deny = err
}

// SetSync has every sync take lag and then fail with err, unless that is nil.
func (d *Disk) SetSync(lag time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lag, d.nosync = lag, err
}

// Syncs counts the syncs that went well.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// Stop ends the disk for who uses it: every change fails from now on.
func (d *Disk) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = true
}

// Down reports whether it is stopped, or out of budget.
func (d *Disk) Down() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.down
}

// Has reports whether there is a file of that name.
func (d *Disk) Has(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names[name] != nil
}

// Damage hands a file's content to f, which may change it.
func (d *Disk) Damage(name string, f func(content []byte)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d.names[name].seen)
}

// spendLocked counts one operation that changes the disk.
func (d *Disk) spendLocked() error {
	if d.budget == 0 && !d.down {
		d.down = true
		if d.onDown != nil {
			d.onDown()
		}
	}
	if d.down {
		return ErrPower
	}
	d.budget--
	return d.deny
}

// Kill stops the disk and returns it as the next process finds it when the one
// before was killed: all it has written is there.
func (d *Disk) Kill() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = true
	next := New(d.rng.Uint64())
	blobs := map[*blob]*blob{}
	copied := func(b *blob) *blob {
		k := blobs[b]
		if k == nil {
			k = &blob{seen: slices.Clone(b.seen), certain: slices.Clone(b.certain), loose: slices.Clone(b.loose)}
			blobs[b] = k
		}
		return k
	}
	for name, b := range d.names {
		next.names[name] = copied(b)
	}
	for name, b := range d.synced {
		next.synced[name] = copied(b)
	}
	return next
}

// PowerCut stops the disk and returns it as the next boot finds it.
func (d *Disk) PowerCut() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = true
	next := New(d.rng.Uint64())
	names := d.synced
	if d.rng.IntN(2) == 0 {
		names = d.names // the directory got to the disk by itself
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		b := names[name]
		content := slices.Clone(b.certain)
		for _, w := range b.loose {
			if d.rng.IntN(3) == 0 {
				continue
			}
			content = apply(content, d.tearLocked(w))
		}
		k := &blob{seen: content, certain: slices.Clone(content)}
		next.names[name], next.synced[name] = k, k
	}
	return next
}

// tearLocked keeps some part of a write: its front, its back, or a hole in it.
func (d *Disk) tearLocked(w write) write {
	if w.size >= 0 || len(w.b) == 0 || d.rng.IntN(2) == 0 {
		return w
	}
	cut := d.rng.IntN(len(w.b))
	switch d.rng.IntN(3) {
	case 0:
		w.b = w.b[:cut]
	case 1:
		w.off, w.b = w.off+int64(cut), w.b[cut:]
	default:
		w.b = slices.Clone(w.b)
		clear(w.b[cut:min(len(w.b), cut+1+d.rng.IntN(64))])
	}
	return w
}

func apply(b []byte, w write) []byte {
	if w.size >= 0 {
		if int(w.size) > len(b) {
			b = append(b, make([]byte, int(w.size)-len(b))...)
		}
		return b[:w.size]
	}
	if end := int(w.off) + len(w.b); end > len(b) {
		b = append(b, make([]byte, end-len(b))...)
	}
	copy(b[w.off:], w.b)
	return b
}

// Open opens a file, or makes it.
func (d *Disk) Open(name string, create bool) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.names[name]
	if b == nil {
		if !create {
			return nil, os.ErrNotExist
		}
		if err := d.spendLocked(); err != nil {
			return nil, err
		}
		b = new(blob)
		d.names[name] = b
	}
	return &faultFile{d, b}, nil
}

// Remove deletes one.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.spendLocked(); err != nil {
		return err
	}
	d.names = cloneNames(d.names)
	delete(d.names, name)
	return nil
}

// Rename moves one.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.spendLocked(); err != nil {
		return err
	}
	d.names = cloneNames(d.names)
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func cloneNames(m map[string]*blob) map[string]*blob {
	k := make(map[string]*blob, len(m))
	for name, b := range m {
		k[name] = b
	}
	return k
}

// List names the files at the top.
func (d *Disk) List() (names []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.names {
		if path.Dir(name) == "." {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Sync makes the names durable.
func (d *Disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.spendLocked(); err != nil {
		return err
	}
	d.synced = cloneNames(d.names)
	return nil
}

type faultFile struct {
	d *Disk
	b *blob
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if off >= int64(len(f.b.seen)) {
		return 0, io.EOF
	}
	n := copy(p, f.b.seen[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.spendLocked(); err != nil {
		return 0, err
	}
	short := f.d.room >= 0 && len(p) > f.d.room
	if short {
		p = p[:f.d.room]
	}
	w := write{off: off, b: slices.Clone(p), size: -1}
	f.b.seen = apply(f.b.seen, w)
	f.b.loose = append(f.b.loose, w)
	if f.d.room >= 0 {
		f.d.room -= len(p)
	}
	if short {
		return len(p), syscall.ENOSPC
	}
	return len(p), nil
}

func (f *faultFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.spendLocked(); err != nil {
		return err
	}
	w := write{size: size}
	f.b.seen = apply(f.b.seen, w)
	f.b.loose = append(f.b.loose, w)
	return nil
}

func (f *faultFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.lag > 0 {
		t := time.NewTimer(f.d.lag)
		f.d.mu.Unlock()
		<-t.C
		f.d.mu.Lock()
	}
	if err := f.d.spendLocked(); err != nil {
		return err
	}
	if f.d.nosync != nil {
		return f.d.nosync
	}
	f.d.syncs++
	f.b.certain, f.b.loose = slices.Clone(f.b.seen), nil
	return nil
}

func (f *faultFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.b.seen)), nil
}

func (f *faultFile) Close() error { return nil }
