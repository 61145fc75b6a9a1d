package tiny

import (
	"errors"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// Flash is where retained messages outlive a restart: sectors that are erased
// whole and then written once, front to back. Its methods may take their time;
// the broker calls them from Step, a few times a minute at most.
type Flash interface {
	// Sectors returns how many there are, at least 2, and the bytes of each, a
	// multiple of 4.
	Sectors() (count, size int)

	Read(sector, at int, p []byte) error

	// Write is handed multiples of 4 bytes at multiples of 4, each place once
	// after an Erase. p is not kept.
	Write(sector, at int, p []byte) error

	// Erase makes every byte of a sector 0xFF.
	Erase(sector int) error
}

// The log in flash. The newest sector that was begun properly holds it all:
// a head (magic, sequence, and, written last, a mark that what was carried over
// is complete), then records (length, checksum, message), each at a multiple
// of 4. A message with no payload says that its topic has none any more. The
// moment a message expires is kept as the time that is left.
const (
	sectorMagic  = 0x3147444D // "MDG1"
	sectorBegun  = 0x6E756762
	sectorHead   = 12
	recordHead   = 8
	erasedWord   = 0xFFFFFFFF
	erasedLength = 0xFFFF
)

// ErrFlash says that flash is too small for what Limits let be retained, or
// has fewer than two sectors.
var ErrFlash = errors.New("tiny: flash is too small for Limits.RetainedBytes and Retained in one sector of two")

// A keeper writes retained messages to flash: what changed, a while after it
// did, so that what changes often is written seldom.
type keeper struct {
	sector, at int    // where the next record goes
	sequence   uint32 // of the sector
	since      time.Duration
	dirty      int  // retained messages flash does not know
	outdated   bool // flash holds some there are none of any more

	// What is being written.
	buf    [64]byte
	filled int
	err    error
}

// Restore reads the retained messages flash holds and keeps it up to date from
// then on. Call it before the first Accept. What a power cut left half-written
// is passed over. It returns how many messages there were.
func (b *Broker) Restore(f Flash) (n int, err error) {
	count, size := f.Sectors()
	if count < 2 || size < sectorHead+b.limits.RetainedBytes+orNone(b.limits.Retained)*(recordHead+4) {
		return 0, ErrFlash
	}
	k := &b.keeper
	k.sector, k.at = -1, size // whatever is there, the first change begins a new sector
	for i := range count {
		magic, seq, begun := word(f, i, 0), word(f, i, 4), word(f, i, 8)
		if magic == sectorMagic && begun == sectorBegun && (k.sector < 0 || int32(seq-k.sequence) > 0) {
			k.sector, k.sequence = i, seq
		}
	}
	if k.sector >= 0 {
		k.at = b.replayLog(f, k.sector, size)
	}
	b.flash = f
	for i := range b.retained {
		if b.retained[i].msg != 0 {
			n++
		}
	}
	return n, nil
}

func word(f Flash, sector, at int) uint32 {
	var p [4]byte
	if f.Read(sector, at, p[:]) != nil {
		return erasedWord
	}
	return uint32(get16(p[:])) | uint32(get16(p[2:]))<<16
}

// replayLog reads a sector and returns where the next record goes: behind the
// last, or nowhere if the last was torn.
func (b *Broker) replayLog(f Flash, sector, size int) int {
	for at := sectorHead; at+recordHead <= size; {
		n, sum := int(word(f, sector, at)&0xFFFF), word(f, sector, at+4)
		if n == erasedLength {
			return at
		}
		end := at + recordHead + (n+3)&^3
		if n < fixedPart || end > size {
			return size
		}
		if n > b.limits.MaxPacket { // written under other limits
			at = end
			continue
		}
		h, o := b.slab.alloc(n)
		if h == 0 {
			return size
		}
		ok := f.Read(sector, at+recordHead, o) == nil && checksum(o) == sum && wellFormed(o)
		if ok {
			if v := viewOf(o); v.expires {
				putEnd(o, b.now+v.end)
			}
			b.retain(h)
		}
		b.slab.drop(h)
		if !ok {
			return size
		}
		at = end
	}
	return size
}

// wellFormed reports whether a message's lengths fit into it.
func wellFormed(o []byte) bool {
	n := fixedPart + int(get16(o[1:])) + int(get16(o[3:]))
	if o[0]&flagExpires != 0 {
		n += expiryPart
	}
	return n+behind(o) <= len(o) && get16(o[1:]) > 0 && mqtt.QoS(o[0]&flagQoS).Valid()
}

// checksum is FNV-1a.
func checksum(p []byte) uint32 { return sumOn(2166136261, p) }

func sumOn(sum uint32, p []byte) uint32 {
	for _, c := range p {
		sum = (sum ^ uint32(c)) * 16777619
	}
	return sum
}

// changed notes that flash is behind.
func (b *Broker) changed(r *retained) {
	if b.flash == nil || r.dirty {
		return
	}
	b.schedule()
	r.dirty = true
	b.keeper.dirty++
}

// outdated notes that flash holds a message whose place was needed for another:
// the next time all that is left is written anew.
func (b *Broker) outdated() {
	if b.flash != nil {
		b.schedule()
		b.keeper.outdated = true
	}
}

// schedule sees to it that flash is written, KeepDelay from the first change.
func (b *Broker) schedule() {
	if k := &b.keeper; k.dirty == 0 && !k.outdated {
		k.since = b.now
	}
	b.wake(b.keeper.since + b.keepDelay())
}

func (b *Broker) keepDelay() time.Duration { return time.Duration(b.limits.KeepDelay) * time.Second }

func (b *Broker) stepKeeper() {
	if k := &b.keeper; k.dirty > 0 || k.outdated {
		if b.now >= k.since+b.keepDelay() {
			b.keep()
		}
		if k.dirty > 0 || k.outdated {
			b.wake(k.since + b.keepDelay())
		}
	}
}

// Keep writes what flash does not know yet, as before a restart.
func (b *Broker) Keep() { b.keep() }

func (b *Broker) keep() {
	k := &b.keeper
	if b.flash == nil || k.dirty == 0 && !k.outdated {
		return
	}
	k.since = b.now
	_, size := b.flash.Sectors()
	need := 0
	for i := range b.retained {
		if r := &b.retained[i]; r.dirty {
			need += b.recordSize(r)
		}
	}
	if k.outdated || k.at+need > size {
		b.rotate()
		return
	}
	for i := range b.retained {
		if r := &b.retained[i]; r.dirty && !b.record(r) {
			k.at = size // never write behind what may be torn
			return
		}
	}
}

// rotate carries everything over into the next sector.
func (b *Broker) rotate() {
	k := &b.keeper
	count, size := b.flash.Sectors()
	old := *k
	k.sector = (k.sector + 1) % count
	k.sequence++
	k.at, k.err = 0, b.flash.Erase(k.sector)
	b.stats.FlashErase++
	b.putWord(sectorMagic)
	b.putWord(k.sequence)
	b.flushBuf()
	k.at = sectorHead
	for i := range b.retained {
		if r := &b.retained[i]; r.msg != 0 && !r.gone {
			b.write(r)
		}
	}
	end := k.at
	k.at = sectorHead - 4
	b.putWord(sectorBegun)
	b.flushBuf()
	k.at = end
	if k.err != nil {
		b.stats.FlashError++
		k.sector, k.at = old.sector, size
		return
	}
	k.outdated = false
	for i := range b.retained {
		b.known(&b.retained[i])
	}
}

// record appends what flash should know of one retained message.
func (b *Broker) record(r *retained) bool {
	b.keeper.err = nil
	b.write(r)
	if b.keeper.err != nil {
		b.stats.FlashError++
		return false
	}
	b.known(r)
	return true
}

// known notes that flash is up to date about r.
func (b *Broker) known(r *retained) {
	if r.dirty {
		r.dirty = false
		b.keeper.dirty--
	}
	if r.gone {
		b.release(r)
	}
}

func (b *Broker) recordSize(r *retained) int {
	n := len(b.slab.bytes(r.msg))
	if r.gone {
		n = fixedPart + int(get16(b.slab.bytes(r.msg)[1:]))
	}
	return recordHead + (n+3)&^3
}

// write puts one record down: twice through its bytes, for the checksum and
// for flash.
func (b *Broker) write(r *retained) {
	var head [fixedPart + expiryPart]byte
	o := b.slab.bytes(r.msg)
	v := viewOf(o)
	begin := head[:fixedPart]
	copy(begin, o)
	rest := o[fixedPart:]
	switch {
	case r.gone:
		begin[0] = 0
		put16(begin[3:], 0)
		rest = v.topic
	case v.expires:
		begin = head[:]
		putEnd(begin, max(v.end-b.now, 0))
		rest = rest[expiryPart:]
	}
	n := len(begin) + len(rest)
	b.putWord(uint32(n))
	b.putWord(sumOn(checksum(begin), rest))
	b.put(begin)
	b.put(rest)
	var pad [4]byte
	b.put(pad[:-n&3])
	b.flushBuf()
}

func (b *Broker) putWord(v uint32) {
	b.put([]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)})
}

// put collects what goes to flash in pieces that flash can take.
func (b *Broker) put(p []byte) {
	k := &b.keeper
	for len(p) > 0 {
		n := copy(k.buf[k.filled:], p)
		k.filled += n
		p = p[n:]
		if k.filled == len(k.buf) {
			b.flushBuf()
		}
	}
}

func (b *Broker) flushBuf() {
	k := &b.keeper
	if k.err == nil && k.filled > 0 {
		k.err = b.flash.Write(k.sector, k.at, k.buf[:k.filled])
		b.stats.FlashBytes += uint32(k.filled)
	}
	k.at += k.filled
	k.filled = 0
}
