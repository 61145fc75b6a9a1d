//go:build unix

package auth

import (
	"fmt"
	"os"
	"syscall"
)

// keepOwner gives f the owner and group that old has: the broker that reads it
// need not be who writes it.
func keepOwner(f *os.File, old os.FileInfo) error {
	st, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil {
		return fmt.Errorf("it would not belong to user %d and group %d any more: %w", st.Uid, st.Gid, err)
	}
	return nil
}
