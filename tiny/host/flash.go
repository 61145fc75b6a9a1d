package host

import (
	"fmt"
	"os"
)

// A Flash is a file that behaves as a chip's flash does, for tiny.Restore.
// Writes and erases are on the disk when they return.
type Flash struct {
	f           *os.File
	count, size int
}

// OpenFlash opens or creates a file of count sectors of size bytes each. An
// existing one has to have that size.
func OpenFlash(path string, count, size int) (*Flash, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	flash := &Flash{f, count, size}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.Size() == 0:
		for i := 0; i < count && err == nil; i++ {
			err = flash.Erase(i)
		}
	case info.Size() != int64(count*size):
		err = fmt.Errorf("%s is %d bytes long, and not %d: made for other limits?", path, info.Size(), count*size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return flash, nil
}

// Close closes the file.
func (f *Flash) Close() error { return f.f.Close() }

// Sectors returns what OpenFlash was given.
func (f *Flash) Sectors() (count, size int) { return f.count, f.size }

// Read and Write do what tiny.Flash wants of them.
func (f *Flash) Read(sector, at int, p []byte) error {
	_, err := f.f.ReadAt(p, int64(sector*f.size+at))
	return err
}

// Write returns when the disk has it.
func (f *Flash) Write(sector, at int, p []byte) error {
	if _, err := f.f.WriteAt(p, int64(sector*f.size+at)); err != nil {
		return err
	}
	return f.f.Sync()
}

// Erase makes every byte of a sector 0xFF.
func (f *Flash) Erase(sector int) error {
	blank := make([]byte, f.size)
	for i := range blank {
		blank[i] = 0xFF
	}
	return f.Write(sector, 0, blank)
}
