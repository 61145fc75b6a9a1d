package midge

import "time"

// A moment is a time since the broker's epoch in eighths of a second: 17 years
// in four bytes.
type moment uint32

const eighth = time.Second / 8

// before is the last moment that is not after d.
func before(d time.Duration) moment { return moment(max(0, d/eighth)) }

// after is the first moment that is not before d.
func after(d time.Duration) moment { return moment(max(1, (d+eighth-1)/eighth)) }

func (m moment) time() time.Duration { return time.Duration(m) * eighth }
