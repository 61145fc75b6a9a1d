package transport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// listenUnix binds the socket file. A file left behind by a process that
// died is replaced; one that answers, or is no socket, is not touched.
func listenUnix(ctx context.Context, file string, opts Options) (net.Listener, error) {
	if err := removeStale(ctx, file); err != nil {
		return nil, err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "unix", file)
	if err != nil {
		return nil, err
	}
	if opts.UnixMode != 0 {
		if err := os.Chmod(file, opts.UnixMode.Perm()); err != nil {
			ln.Close()
			return nil, err
		}
	}
	return ln, nil
}

func removeStale(ctx context.Context, file string) error {
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is no socket", file)
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", file)
	if err == nil {
		c.Close()
		return fmt.Errorf("%s: %w: somebody answers there", file, syscall.EADDRINUSE)
	}
	// Only a refusal proves that nobody listens: a full backlog or missing
	// permission does not.
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s exists and its owner cannot be asked: %w", file, err)
	}
	return os.Remove(file)
}
