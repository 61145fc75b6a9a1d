package sim

import (
	"bytes"
	"sync"
	"time"

	"github.com/midgemq/midge/internal/faultdisk"
)

// A flash is what the fixed-memory broker keeps retained messages in: sectors
// that outlive its crashes.
type flash struct {
	mu      sync.Mutex
	sectors [][]byte  // guarded by mu
	last    []byte    // guarded by mu: what was written last, in place
	at      time.Time // guarded by mu: when
	dead    bool      // guarded by mu
	torn    bool      // guarded by mu: it died while it was being written
}

const (
	flashSectors = 3
	flashSize    = 72 << 10
	flashDelay   = 5 * time.Second // that it is behind, at most
)

func newFlash() *flash {
	f := new(flash)
	for range flashSectors {
		f.sectors = append(f.sectors, bytes.Repeat([]byte{0xFF}, flashSize))
	}
	return f
}

// stop ends the flash for who uses it.
func (f *flash) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.dead {
		f.dead, f.torn = true, f.at.Equal(time.Now())
	}
}

// crash returns what the next one finds, after stop. What was being written as the power
// went is there in part.
func (f *flash) crash(power bool) *flash {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := newFlash()
	if power && f.torn {
		half := f.last[len(f.last)/2:]
		copy(half, bytes.Repeat([]byte{0xFF}, len(half)))
	}
	for i, s := range f.sectors {
		copy(next.sectors[i], s)
	}
	return next
}

// Sectors, Read, Write and Erase are what tiny.Flash wants.
func (f *flash) Sectors() (count, size int) { return flashSectors, flashSize }

func (f *flash) Read(sector, at int, p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	copy(p, f.sectors[sector][at:])
	return nil
}

func (f *flash) Write(sector, at int, p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return faultdisk.ErrPower
	}
	f.last, f.at = f.sectors[sector][at:at+len(p)], time.Now()
	for i, b := range p {
		f.last[i] &= b // as flash does
	}
	return nil
}

func (f *flash) Erase(sector int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return faultdisk.ErrPower
	}
	s := f.sectors[sector]
	copy(s, bytes.Repeat([]byte{0xFF}, len(s)))
	f.at = time.Time{}
	return nil
}
