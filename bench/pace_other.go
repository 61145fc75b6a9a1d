//go:build !linux

package bench

import "time"

// A pacer wakes its caller at a steady interval, as well as the system can.
type pacer struct{ t *time.Ticker }

func newPacer(interval time.Duration) (*pacer, error) { return &pacer{time.NewTicker(interval)}, nil }

func (p *pacer) wait() error { <-p.t.C; return nil }
func (p *pacer) close()      { p.t.Stop() }
