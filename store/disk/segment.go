package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
)

// A segment is one file of the log: a header, then frames.
//
//	header: "midgelog", version, number, size of the segment before (8 bytes),
//	        salt (8 bytes), crc of these
//	frame:  c5 4d, length, crc of salt, length and payload; payload
//
// All numbers are little-endian, 4 bytes where nothing else is said. The salt
// keeps anything that merely looks like a frame from being taken for one: what
// a message carries, and what an earlier file left in a block of the disk.
type segment struct {
	number uint32
	name   string
	salt   uint64
	salted uint32 // crc of salt
	before int64  // size of the segment before, 0 for the first
	size   int64  // with what is not written yet; guarded by Store.mu
	f      file   // nil until the writer has made it; guarded by Store.mu

	unreadable error // why its header was not; set by Open
}

const (
	version    = 1
	headerSize = 36
	frameSize  = 10
	magic      = "midgelog"
	maxFrame   = 1 << 29 // larger than any packet with all that goes with it
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func segmentName(n uint32) string { return fmt.Sprintf("%08d.log", n) }

func newSegment(n uint32, before int64) *segment {
	s := &segment{number: n, name: segmentName(n), before: before, size: headerSize}
	s.setSalt(rand.Uint64())
	return s
}

func (s *segment) header() []byte {
	b := append(make([]byte, 0, headerSize), magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, s.number)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.before))
	b = binary.LittleEndian.AppendUint64(b, s.salt)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// errHeader is a file that does not begin as a segment does.
var errHeader = errors.New("no header")

// ErrVersion is in the error of Open for a directory from a later time.
var ErrVersion = errors.New("written by a later version of midge")

// readHeader reads what s.f begins with.
func (s *segment) readHeader() error {
	var b [headerSize]byte
	if _, err := s.f.ReadAt(b[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			return errHeader
		}
		return err
	}
	n := headerSize - 4
	if string(b[:8]) != magic || binary.LittleEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return errHeader
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return fmt.Errorf("%w: format %d, this is %d", ErrVersion, v, version)
	}
	if binary.LittleEndian.Uint32(b[12:]) != s.number {
		return errHeader
	}
	s.before = int64(binary.LittleEndian.Uint64(b[16:]))
	s.setSalt(binary.LittleEndian.Uint64(b[24:]))
	return nil
}

// seal puts the head of a frame, for which b[at:at+frameSize] has been left
// free, in front of its payload, which is the rest of b.
func (s *segment) seal(b []byte, at int) {
	b[at], b[at+1] = 0xc5, 0x4d
	binary.LittleEndian.PutUint32(b[at+2:], uint32(len(b)-at-frameSize))
	binary.LittleEndian.PutUint32(b[at+6:], s.sum(b[at+2:at+6], b[at+frameSize:]))
}

func (s *segment) setSalt(salt uint64) {
	s.salt = salt
	s.salted = crc32.Checksum(binary.LittleEndian.AppendUint64(nil, salt), castagnoli)
}

func (s *segment) sum(length, payload []byte) uint32 {
	return crc32.Update(crc32.Update(s.salted, castagnoli, length), castagnoli, payload)
}

// open checks the frame at the front of b and returns its payload. more is how
// many bytes it would take to tell, if b is too short; nil and 0 is no frame.
func (s *segment) open(b []byte) (payload []byte, more int) {
	if len(b) < frameSize {
		return nil, frameSize
	}
	n := int(binary.LittleEndian.Uint32(b[2:]))
	switch {
	case b[0] != 0xc5 || b[1] != 0x4d || n == 0 || n > maxFrame:
		return nil, 0
	case len(b) < frameSize+n:
		return nil, frameSize + n
	case s.sum(b[2:6], b[frameSize:frameSize+n]) != binary.LittleEndian.Uint32(b[6:]):
		return nil, 0
	}
	return b[frameSize : frameSize+n], 0
}

// A window looks at a segment's file from front to back.
type window struct {
	s    *segment
	size int64 // of the file
	off  int64 // of b
	b    []byte
	buf  []byte
}

const windowSize = 1 << 20

func (s *segment) window(size int64) *window {
	return &window{s: s, size: size, off: headerSize, buf: make([]byte, min(windowSize, max(size, frameSize)))}
}

// fill makes at least need bytes visible, as far as the file has them.
func (w *window) fill(need int) error {
	if need > len(w.buf) {
		w.buf = append(make([]byte, 0, need), w.buf...)[:need]
	}
	kept := copy(w.buf, w.b)
	want := int(min(int64(len(w.buf)), w.size-w.off))
	if want > kept {
		n, err := w.s.f.ReadAt(w.buf[kept:want], w.off+int64(kept))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		want = kept + n
	}
	w.b = w.buf[:want]
	return nil
}

// next returns the payload of the frame at the window's front, and steps over
// it. ok is false where there is no frame: at the end, or where it is damaged.
func (w *window) next() (payload []byte, at int64, ok bool, err error) {
	payload, more := w.s.open(w.b)
	if payload == nil && more > len(w.b) && int64(more) <= w.size-w.off {
		if err := w.fill(more); err != nil {
			return nil, 0, false, err
		}
		payload, _ = w.s.open(w.b)
	}
	if payload == nil {
		return nil, w.off, false, nil
	}
	at = w.off
	w.skip(frameSize + len(payload))
	return payload, at, true, nil
}

func (w *window) skip(n int) {
	w.off += int64(n)
	w.b = w.b[n:]
}

// resync goes on to the next place behind this one where there is a frame.
// False is the end.
func (w *window) resync() (bool, error) {
	w.step()
	return w.seek()
}

// step goes on by one byte.
func (w *window) step() {
	if len(w.b) > 0 {
		w.skip(1)
	} else {
		w.off++
	}
}

// seek is resync that begins right here.
func (w *window) seek() (bool, error) {
	for ; ; w.step() {
		if len(w.b) < frameSize {
			if w.size-w.off < frameSize {
				return false, nil
			}
			if err := w.fill(frameSize); err != nil {
				return false, err
			}
			if len(w.b) < frameSize {
				return false, nil
			}
		}
		payload, more := w.s.open(w.b)
		if payload == nil && more > 0 && int64(more) <= w.size-w.off {
			if err := w.fill(more); err != nil {
				return false, err
			}
			payload, _ = w.s.open(w.b)
		}
		if payload != nil {
			return true, nil
		}
	}
}
