package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/midgemq/midge/internal/vfs"
)

// file and folder are what the store needs of a file system.
type (
	file   = vfs.File
	folder = vfs.Folder
)

// A directory is a folder of the operating system's.
type directory struct {
	path     string
	readOnly bool
}

type osFile struct{ *os.File }

// Size is how long the file is.
func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Sync makes what was written durable; times and the like need not be.
func (f osFile) Sync() error { return datasync(f.File) }

// Open opens a file for reading and writing, or for reading if it cannot be written.
func (d directory) Open(name string, create bool) (file, error) {
	flag := os.O_RDWR
	switch {
	case d.readOnly:
		flag = os.O_RDONLY
	case create:
		flag |= os.O_CREATE
	}
	f, err := os.OpenFile(filepath.Join(d.path, name), flag, 0o600)
	if err != nil && !create && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		f, err = os.Open(filepath.Join(d.path, name))
	}
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Remove deletes a file.
func (d directory) Remove(name string) error { return os.Remove(filepath.Join(d.path, name)) }

// Rename moves a file.
func (d directory) Rename(from, to string) error {
	target := filepath.Join(d.path, to)
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	return os.Rename(filepath.Join(d.path, from), target)
}

// List names what lies in the directory.
func (d directory) List() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, err
}

// Sync makes the directory's entries durable.
func (d directory) Sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
