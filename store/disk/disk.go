package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/midgemq/midge/internal/vfs"
	"github.com/midgemq/midge/store"
)

// A Durability says when a change counts as durable.
type Durability byte

const (
	// Always is when it has been synced to the disk: it outlives power cuts.
	Always Durability = iota
	// Interval is at once; the disk is synced every Options.Interval. A power
	// cut takes back what is younger. What a process that is killed had
	// written stays, all but the last moment of it.
	Interval
	// None is at once, and when the disk is synced is up to the system.
	None
)

// String returns always, interval or none.
func (d Durability) String() string {
	switch d {
	case Always:
		return "always"
	case Interval:
		return "interval"
	}
	return "none"
}

// ParseDurability is the reverse of String.
func ParseDurability(s string) (Durability, error) {
	for d := Always; d <= None; d++ {
		if d.String() == s {
			return d, nil
		}
	}
	return Always, fmt.Errorf("durability %q: want always, interval or none", s)
}

// Options say how a store keeps its promise. The zero value is the safest.
type Options struct {
	Durability Durability
	Interval   time.Duration // of Interval; 0: 1 s

	// Logger is told about recovery, damage and a disk that fails; nil: slog.Default.
	Logger *slog.Logger

	// Progress, if not nil, is called by Open every tenth of a second while it
	// reads: how many bytes of how many. The log is not told then.
	Progress func(read, of int64)

	// ReadOnly opens what is there as it is, and changes nothing: not even what
	// a power cut left behind. It goes with a store that is in use, which it
	// shows as it was at that moment.
	ReadOnly bool

	// SegmentSize is how large a file of the log gets, bytes, [4096, 1<<30]; 0: 32 MiB.
	SegmentSize int64

	// Retry is how long to wait with a disk that failed; 0: 1 s.
	Retry time.Duration
}

// A Store is a store on disk. It implements [store.Store].
type Store struct {
	// Immutable.
	opt   Options
	log   *slog.Logger
	dir   folder
	path  string
	lock  *os.File
	ended chan struct{} // closed when writer and cleaner are through

	found Report     // what Open found
	tombs []store.Op // what Open has to append

	// files is held by who reads files, and wholly by the cleaner when one goes.
	// It comes before mu.
	files sync.RWMutex

	mu       sync.Mutex
	work     *sync.Cond // something for the writer
	index    *index     // guarded by mu
	segments []*segment // guarded by mu, oldest first; the last one grows
	total    int64      // guarded by mu: bytes of all segments
	pending  []chunk    // guarded by mu: not yet with the writer
	flushing []chunk    // guarded by mu: with the writer
	spare    []byte     // guarded by mu: a chunk's bytes, for the next one
	appended store.Position
	durable  store.Position // guarded by mu; Settled unless Always
	safe     place          // guarded by mu: up to where the log is synced
	waiters  []waiter       // guarded by mu
	err      error          // guarded by mu: why the writer is stuck
	synced   store.Position // guarded by mu: up to where all is synced, whatever the Durability
	wantSync store.Position // guarded by mu: the cleaner needs as much synced
	tick     bool           // guarded by mu: Interval is over
	cleaning bool           // guarded by mu
	cleanAt  uint32         // guarded by mu: after a failure, not before this segment is begun
	cleanTo  uint32         // guarded by mu: segments below go, whatever they hold
	closed   bool           // guarded by mu
	syncs    uint64         // guarded by mu
}

// A chunk is bytes on their way to a segment.
type chunk struct {
	s   *segment
	off int64
	b   []byte
}

type waiter struct {
	pos store.Position
	fn  func()
}

var _ store.Store = (*Store)(nil)

// inUse reports whether a store has dir open. It changes nothing.
func inUse(dir string) bool { return errors.Is(tryLock(dir), ErrInUse) }

// ErrInUse is in the error of Open for a directory that another process has open.
var ErrInUse = errors.New("in use by another process")

// Open opens the store in dir, which is made if it is missing, and reads what
// it keeps, in one pass over its files. Damage does not keep it from opening:
// the files concerned are set aside, and Report and the log say what could not
// be read. An error is a directory that cannot be read or written at all, that
// another process uses, or that a later version of midge wrote (ErrVersion).
func Open(dir string, opt Options) (*Store, error) {
	var held *os.File
	if !opt.ReadOnly {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		var err error
		if held, err = lock(dir); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	st, err := open(directory{dir, opt.ReadOnly}, dir, opt)
	if err != nil {
		if held != nil {
			held.Close()
		}
		return nil, fmt.Errorf("store: %w", err)
	}
	st.lock = held
	st.found.InUse = opt.ReadOnly && inUse(dir)
	return st, nil
}

// OpenIn is Open for a folder of the caller's own making, such as one that
// fails. It is for one store at a time.
func OpenIn(dir vfs.Folder, opt Options) (*Store, error) {
	st, err := open(dir, "folder", opt)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return st, nil
}

func open(dir folder, path string, opt Options) (*Store, error) {
	if opt.SegmentSize == 0 {
		opt.SegmentSize = 32 << 20
	}
	if opt.SegmentSize < 4096 || opt.SegmentSize > 1<<30 {
		return nil, fmt.Errorf("SegmentSize is %d, want 4096 to %d", opt.SegmentSize, 1<<30)
	}
	if opt.Interval <= 0 {
		opt.Interval = time.Second
	}
	if opt.Retry <= 0 {
		opt.Retry = time.Second
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	st := &Store{
		opt: opt, log: opt.Logger, dir: dir, path: path, index: newIndex(), ended: make(chan struct{}),
		durable: store.Settled,
	}
	st.work = sync.NewCond(&st.mu)
	if err := st.recover(); err != nil {
		st.closeFiles()
		return nil, err
	}
	if opt.ReadOnly {
		close(st.ended)
		st.err = errReadOnly
		return st, nil
	}
	if opt.Durability == Always {
		st.durable = 0
	}
	go st.write()
	for i := range st.tombs {
		st.Append(&st.tombs[i])
	}
	st.tombs = nil
	st.mu.Lock()
	st.cleanLocked()
	st.mu.Unlock()
	return st, nil
}

var errReadOnly = errors.New("store: opened for reading only")

// Append takes a change; see [store.Store].
func (st *Store) Append(op *store.Op) store.Position {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.appendLocked(op)
}

func (st *Store) appendLocked(op *store.Op) store.Position {
	if st.opt.ReadOnly || st.closed {
		return st.appended
	}
	if len(st.pending) == 0 {
		st.work.Broadcast()
		st.frameLocked(&store.Op{Kind: kindMark, Message: store.MessageID(st.safe.segment), Seq: uint64(st.safe.off)})
	}
	st.index.apply(op, st.frameLocked(op))
	st.cleanLocked()
	return st.appended
}

// frameLocked puts op at the end of the log.
func (st *Store) frameLocked(op *store.Op) place {
	s := st.segments[len(st.segments)-1]
	if s.size >= st.opt.SegmentSize {
		s = newSegment(s.number+1, s.size)
		st.segments = append(st.segments, s)
		st.total += s.size
	}
	if n := len(st.pending); n == 0 || st.pending[n-1].s != s {
		st.pending = append(st.pending, chunk{s: s, off: s.size, b: st.spare})
		st.spare = nil
	}
	c := &st.pending[len(st.pending)-1]
	at := len(c.b)
	c.b = append(c.b, make([]byte, frameSize)...)
	c.b = appendOp(c.b, op)
	s.seal(c.b, at)
	n := len(c.b) - at
	p := place{s.number, uint32(s.size), uint32(n)}
	s.size += int64(n)
	st.total += int64(n)
	st.appended += store.Position(n)
	return p
}

// Durable is up to where changes are as safe as was asked for.
func (st *Store) Durable() store.Position {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.durable
}

// After calls fn once everything up to pos is durable.
func (st *Store) After(pos store.Position, fn func()) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if pos <= st.durable {
		go fn()
		return
	}
	st.waiters = append(st.waiters, waiter{pos, fn})
}

// Err is why nothing becomes durable at present.
func (st *Store) Err() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.err
}

// Last returns the largest numbers seen.
func (st *Store) Last() (store.SessionID, store.MessageID) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.index.session, st.index.message
}

// Stats say how the store is.
type Stats struct {
	Bytes, Live int64  // of the log, and of what of it counts
	Messages    int    // queued and retained, each once
	Syncs       uint64 // since Open
	Pending     int64  // bytes appended and not durable
}

// Stats returns how the store is.
func (st *Store) Stats() Stats {
	st.mu.Lock()
	defer st.mu.Unlock()
	return Stats{
		Bytes: st.total, Live: st.index.live, Messages: len(st.index.messages),
		Syncs: st.syncs, Pending: int64(st.appended - st.synced),
	}
}

// Close makes everything appended durable, once more, and closes the files. It
// returns the error that kept it from doing so.
func (st *Store) Close() error {
	st.mu.Lock()
	if st.closed {
		st.mu.Unlock()
		<-st.ended
		return nil
	}
	st.closed = true
	st.waiters = nil
	st.mu.Unlock()
	st.work.Broadcast()
	<-st.ended
	st.files.Lock()
	defer st.files.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	err := st.err
	if st.opt.ReadOnly {
		err = nil
	}
	err = errors.Join(err, st.closeFiles())
	if st.lock != nil {
		err = errors.Join(err, st.lock.Close())
	}
	return err
}

func (st *Store) closeFiles() (err error) {
	for _, s := range st.segments {
		if s.f != nil {
			err = errors.Join(err, s.f.Close())
			s.f = nil
		}
	}
	return err
}
