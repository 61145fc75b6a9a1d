package midge

import (
	"math"
	"time"
)

// A moment is a time since the broker's epoch in eighths of a second: 17 years
// in four bytes.
type moment uint32

const eighth = time.Second / 8

// before is the last moment that is not after d.
func before(d time.Duration) moment { return moment(min(max(0, d/eighth), math.MaxUint32)) }

// after is the first moment that is not before d.
func after(d time.Duration) moment { return moment(min(max(1, (d+eighth-1)/eighth), math.MaxUint32)) }

func (m moment) time() time.Duration { return time.Duration(m) * eighth }
