//go:build !unix

package disk

import (
	"os"
	"path/filepath"
)

// lock only marks dir as in use: there is no flock here.
func lock(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
}

// tryLock knows nothing.
func tryLock(string) error { return nil }
