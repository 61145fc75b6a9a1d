// Package vfs says what a store needs of a file system, so that one that fails
// can stand in for the real one.
package vfs

import "io"

// A File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Size() (int64, error)
}

// A Folder is one directory. Creating, removing and renaming are durable after
// Sync.
type Folder interface {
	Open(name string, create bool) (File, error)
	Remove(name string) error
	Rename(from, to string) error // to may lie in a folder below, which is made
	List() ([]string, error)      // sorted
	Sync() error
}
