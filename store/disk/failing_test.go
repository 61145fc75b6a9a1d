package disk

import (
	"sync"
	"time"
)

// A Failing is a folder of the operating system's that fails or lags when it is
// told to. It is for tests from outside.
type Failing struct {
	folder
	mu   sync.Mutex
	err  error         // guarded by mu: what changes to the folder give
	slow time.Duration // guarded by mu: what each takes
}

// OpenFailing opens a store in dir that fails as f is told.
func OpenFailing(dir string, opt Options) (*Store, *Failing, error) {
	f := &Failing{folder: directory{path: dir}}
	st, err := open(f, dir, opt)
	return st, f, err
}

// Set has every change fail with err from now on, and take slow.
func (f *Failing) Set(err error, slow time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.slow = err, slow
}

func (f *Failing) change() error {
	f.mu.Lock()
	err, slow := f.err, f.slow
	f.mu.Unlock()
	if slow > 0 {
		<-time.After(slow)
	}
	return err
}

func (f *Failing) Open(name string, create bool) (file, error) {
	if create {
		if err := f.change(); err != nil {
			return nil, err
		}
	}
	k, err := f.folder.Open(name, create)
	if err != nil {
		return nil, err
	}
	return &failingFile{k, f}, nil
}

func (f *Failing) Remove(name string) error {
	if err := f.change(); err != nil {
		return err
	}
	return f.folder.Remove(name)
}

func (f *Failing) Sync() error {
	if err := f.change(); err != nil {
		return err
	}
	return f.folder.Sync()
}

type failingFile struct {
	file
	f *Failing
}

func (k *failingFile) WriteAt(b []byte, off int64) (int, error) {
	if err := k.f.change(); err != nil {
		n, _ := k.file.WriteAt(b[:len(b)/2], off) // as a disk does that runs full
		return n, err
	}
	return k.file.WriteAt(b, off)
}

func (k *failingFile) Sync() error {
	if err := k.f.change(); err != nil {
		return err
	}
	return k.file.Sync()
}
