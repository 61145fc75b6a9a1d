package faultdisk

import (
	"io"
	"slices"
	"syscall"
	"time"
)

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
	op := Write
	if off == 0 {
		op = Header
	}
	does, err := f.d.begin(op, f.b)
	n := len(p)
	switch {
	case does && err != nil:
		n = f.d.rng.IntN(n + 1) // the end met it half way
	case err != nil:
		return 0, err
	case f.d.room >= 0 && n > f.d.room:
		n, err = f.d.room, syscall.ENOSPC
	}
	if f.d.room >= 0 {
		f.d.room -= n
	}
	if does && n > 0 {
		w := write{off, slices.Clone(p[:n])}
		f.b.seen, f.b.loose = apply(f.b.seen, w), append(f.b.loose, w)
		f.b.ours = true
	}
	return n, err
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
	does, err := f.d.begin(Sync, f.b)
	switch {
	case err == nil && f.d.nosync != nil:
		return f.d.nosync
	case does && f.d.fails(): // what was to be written is forgotten, and seen until the next boot
		f.b.certain, f.b.loose = f.d.remains(f.b), nil
		return syscall.EIO
	case does:
		for _, w := range f.b.loose {
			f.b.certain = apply(f.b.certain, w)
		}
		f.b.grown = f.b.ours
		f.b.loose = nil
		f.d.syncs++
	}
	return err
}

func (f *faultFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.b.seen)), nil
}

func (f *faultFile) Close() error { return nil }
