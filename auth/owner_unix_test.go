package auth

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A file that root changes can still be read by the broker.
func TestPasswordFileKeepsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it takes root to give a file away")
	}
	path := filepath.Join(t.TempDir(), "passwords")
	passwordFile(t, path, "alice=sha512")
	if err := os.Chown(path, 1234, 4321); err != nil {
		t.Fatal(err)
	}
	passwordFile(t, path, "bob=sha512")
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := st.Sys().(*syscall.Stat_t); owner.Uid != 1234 || owner.Gid != 4321 || st.Mode().Perm() != 0o600 {
		t.Errorf("it belongs to %d:%d, mode %v", owner.Uid, owner.Gid, st.Mode())
	}
}
