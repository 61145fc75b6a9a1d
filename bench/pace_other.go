//go:build !linux

package bench

import (
	"os"
	"time"
)

// A pacer sleeps as well as the system can.
type pacer struct{ closed chan struct{} }

func newPacer() (*pacer, error) { return &pacer{make(chan struct{})}, nil }

// sleep returns an error once the pacer is closed.
func (p *pacer) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.closed:
		return os.ErrClosed
	}
}

func (p *pacer) close() { close(p.closed) }
