package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// A FileStore is a Store in one file: a log of changes, each batch of them
// under a checksum. It is read at the start; a tail torn by a crash does not
// count, and what is damaged in the middle is put aside and reported by
// Damaged. It rewrites itself when most of it is out of date.
type FileStore struct {
	path  string
	sync  bool
	prior int64 // bytes that were of no use at the start

	mu    sync.Mutex
	f     *os.File
	live  map[uint64][]byte
	size  int64 // of the file
	bytes int64 // a file of nothing but what is live would have
	buf   []byte
	retry int64 // not to be rewritten below this size, since that failed
}

// FileOptions shape a FileStore.
type FileOptions struct {
	// Sync true waits for the disk at every change: nothing is lost when the
	// power goes. False leaves that to the operating system: nothing is lost
	// when the program dies.
	Sync bool
}

const (
	fileMagic  = "midge1\r\n"
	batchHead  = 8       // length and checksum
	opHead     = 13      // kind, key, length
	compactMin = 1 << 20 // a smaller file is left alone
	maxBatch   = 1 << 30 // a larger one is damage of the length
)

var errBatch = errors.New("client: changes above a gigabyte at once")

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// OpenFile opens the store at path, or makes it. Only one program may use it
// at a time, and is held to that where the system has locks.
func OpenFile(path string, o FileOptions) (*FileStore, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("client: store: %w", err)
	}
	s := &FileStore{path: path, sync: o.Sync, f: f, live: map[uint64][]byte{}}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("client: store: %s is in use: %w", path, err)
	}
	if err := s.read(); err != nil {
		f.Close()
		return nil, fmt.Errorf("client: store %s: %w", path, err)
	}
	return s, nil
}

// read replays the log.
func (s *FileStore) read() error {
	all, err := io.ReadAll(s.f)
	if err != nil {
		return err
	}
	if len(all) < len(fileMagic) && fileMagic[:len(all)] == string(all) {
		return s.compact() // new, or made and never written
	}
	if string(all[:min(len(all), len(fileMagic))]) != fileMagic {
		return errors.New("it is no store of messages")
	}
	at := len(fileMagic)
	for {
		n := s.replay(all[at:])
		if n == 0 {
			break
		}
		at += n
	}
	s.size = int64(at)
	if at == len(all) {
		return nil
	}
	s.prior = int64(len(all) - at)
	if whole(all[at:]) {
		if err := os.WriteFile(s.path+".damaged", all, 0o600); err != nil {
			return err
		}
	}
	return s.compact()
}

// whole reports whether a good batch follows the bad one: damage, and not
// just the tail a crash tore.
func whole(b []byte) bool {
	for i := 1; i+batchHead <= len(b); i++ {
		if batch(b[i:]) != nil {
			return true
		}
	}
	return false
}

// batch returns the body of the batch at the front of b, nil if there is none.
// It looks at the form first: a checksum for whatever might be a length would
// read a torn tail over and over.
func batch(b []byte) []byte {
	if len(b) < batchHead {
		return nil
	}
	n := int(binary.BigEndian.Uint32(b))
	if n == 0 || n > maxBatch || len(b) < batchHead+n {
		return nil
	}
	body := b[batchHead : batchHead+n]
	if !formed(body) || crc32.Checksum(body, crcTable) != binary.BigEndian.Uint32(b[4:]) {
		return nil
	}
	return body
}

// formed reports whether changes and nothing else fill a body.
func formed(body []byte) bool {
	for len(body) >= opHead && body[0] <= 1 {
		n := int(binary.BigEndian.Uint32(body[9:]))
		if n > len(body)-opHead {
			return false
		}
		body = body[opHead+n:]
	}
	return len(body) == 0
}

// replay applies the batch at the front of b and returns what it took.
func (s *FileStore) replay(b []byte) int {
	body := batch(b)
	if body == nil {
		return 0
	}
	for rest := body; len(rest) > 0; {
		key, n := binary.BigEndian.Uint64(rest[1:]), int(binary.BigEndian.Uint32(rest[9:]))
		s.keep(Op{Key: key, Value: rest[opHead : opHead+n], Delete: rest[0] == 1})
		rest = rest[opHead+n:]
	}
	return batchHead + len(body)
}

// keep is one change to what is live.
func (s *FileStore) keep(op Op) {
	if old, ok := s.live[op.Key]; ok {
		s.bytes -= int64(len(old)) + opHead
		delete(s.live, op.Key)
	}
	if !op.Delete {
		s.live[op.Key] = append([]byte(nil), op.Value...)
		s.bytes += int64(len(op.Value)) + opHead
	}
}

func appendOp(b []byte, op Op) []byte {
	kind := byte(0)
	if op.Delete {
		kind = 1
	}
	b = binary.BigEndian.AppendUint64(append(b, kind), op.Key)
	b = binary.BigEndian.AppendUint32(b, uint32(len(op.Value)))
	return append(b, op.Value...)
}

// seal fills the head of a batch in.
func seal(b []byte) {
	binary.BigEndian.PutUint32(b, uint32(len(b)-batchHead))
	binary.BigEndian.PutUint32(b[4:], crc32.Checksum(b[batchHead:], crcTable))
}

// Apply writes the changes as one batch.
func (s *FileStore) Apply(ops []Op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return errStoreClosed
	}
	s.buf = append(s.buf[:0], make([]byte, batchHead)...)
	for _, op := range ops {
		s.buf = appendOp(s.buf, op)
	}
	if len(s.buf) == batchHead {
		return nil
	}
	if len(s.buf) > maxBatch {
		return errBatch
	}
	seal(s.buf)
	if _, err := s.f.WriteAt(s.buf, s.size); err != nil {
		return err
	}
	if s.sync {
		if err := s.f.Sync(); err != nil {
			return err
		}
	}
	s.size += int64(len(s.buf))
	for _, op := range ops {
		s.keep(op)
	}
	if cap(s.buf) > 1<<20 {
		s.buf = nil
	}
	if s.size > max(compactMin, 4*s.bytes, s.retry) && s.compact() != nil {
		s.retry = 2 * s.size // the changes are in the old file, which stays
	}
	return nil
}

// compact writes what is live to a new file and puts it in place of the old.
func (s *FileStore) compact() error {
	tmp := s.path + ".new"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	b := []byte(fileMagic)
	err = loadSorted(s.live, func(key uint64, v []byte) error {
		at := len(b)
		b = appendOp(append(b, make([]byte, batchHead)...), Op{Key: key, Value: v})
		seal(b[at:])
		return nil
	})
	if err == nil {
		err = lockFile(f)
	}
	if err == nil {
		_, err = f.Write(b)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, s.path)
	}
	if err != nil {
		f.Close()
		os.Remove(tmp)
		return err
	}
	s.f.Close()
	s.f, s.size, s.retry = f, int64(len(b)), 0
	return syncDir(filepath.Dir(s.path))
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	d.Sync() // not every system can
	return nil
}

// Load yields the records by ascending key.
func (s *FileStore) Load(yield func(uint64, []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return errStoreClosed
	}
	return loadSorted(s.live, yield)
}

// Damaged returns how many bytes at the end of the file were of no use when
// it was opened: a batch torn by a crash, or, if there is a file of the same
// name with ".damaged" behind it, damage.
func (s *FileStore) Damaged() int64 { return s.prior }

// Close releases the file.
func (s *FileStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return nil
	}
	err := s.f.Close()
	s.f = nil
	return err
}
