package disk

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
)

// A faultDisk is a folder in memory that loses what was not synced when its
// power is cut: any part of it, in pieces, and names as well as bytes. It can
// be full, read-only, or fail to sync.
type faultDisk struct {
	mu     sync.Mutex
	rng    *rand.Rand
	names  map[string]*blob // as a program sees them
	synced map[string]*blob // as they are after a power cut, for certain
	room   int              // bytes that may be written yet; negative: any number
	deny   error            // what writing and creating gives
	budget int              // writes and syncs until the power is cut; negative: never
	down   bool
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

var errPower = errors.New("the power is cut")

func newFaultDisk(seed uint64) *faultDisk {
	return &faultDisk{
		rng: rand.New(rand.NewPCG(seed, 2)), names: map[string]*blob{}, synced: map[string]*blob{}, room: -1, budget: -1,
	}
}

// spend counts one operation that changes the disk.
func (d *faultDisk) spend() error {
	if d.budget == 0 {
		d.down = true
	}
	if d.down {
		return errPower
	}
	d.budget--
	return d.deny
}

// powerCut returns the disk as the next boot finds it.
func (d *faultDisk) powerCut() *faultDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = true
	next := newFaultDisk(d.rng.Uint64())
	names := d.synced
	if d.rng.IntN(2) == 0 {
		names = d.names // the directory got to the disk by itself
	}
	for name, b := range names {
		content := slices.Clone(b.certain)
		for _, w := range b.loose {
			if d.rng.IntN(3) == 0 {
				continue
			}
			content = apply(content, d.tear(w))
		}
		k := &blob{seen: content, certain: slices.Clone(content)}
		next.names[name], next.synced[name] = k, k
	}
	return next
}

// tear keeps some part of a write: its front, its back, or a hole in it.
func (d *faultDisk) tear(w write) write {
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

func (d *faultDisk) Open(name string, create bool) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.names[name]
	if b == nil {
		if !create {
			return nil, os.ErrNotExist
		}
		if err := d.spend(); err != nil {
			return nil, err
		}
		b = new(blob)
		d.names[name] = b
	}
	return &faultFile{d, b}, nil
}

func (d *faultDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.spend(); err != nil {
		return err
	}
	d.names = cloneNames(d.names)
	delete(d.names, name)
	return nil
}

func (d *faultDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.spend(); err != nil {
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

func (d *faultDisk) List() (names []string, err error) {
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

func (d *faultDisk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.spend(); err != nil {
		return err
	}
	d.synced = cloneNames(d.names)
	return nil
}

type faultFile struct {
	d *faultDisk
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
	if err := f.d.spend(); err != nil {
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
	if err := f.d.spend(); err != nil {
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
	if err := f.d.spend(); err != nil {
		return err
	}
	f.b.certain, f.b.loose = slices.Clone(f.b.seen), nil
	return nil
}

func (f *faultFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.b.seen)), nil
}

func (f *faultFile) Close() error { return nil }
