package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// A Report is what Open found.
type Report struct {
	Segments int
	Bytes    int64
	Took     time.Duration
	Torn     int64    // bytes at the end that a crash left unfinished; nothing durable was among them
	Damage   []Damage // what could not be read although it had been durable
	Lost     int      // queued and retained messages whose content was there
	Sessions int      // sessions that something is left of, but not the session itself
	Aside    string   // the folder, below the store's, that damaged files are moved to
	InUse    bool     // by another process; only with Options.ReadOnly
}

// Damaged reports whether something durable could not be read.
func (r *Report) Damaged() bool { return len(r.Damage) > 0 || r.Lost > 0 }

// A Damage is a part of a file that could not be read.
type Damage struct {
	File     string
	From, To int64
	Why      string
}

// String names the file, the bytes and the reason.
func (d Damage) String() string {
	return fmt.Sprintf("%s, bytes %d to %d: %s", d.File, d.From, d.To, d.Why)
}

// Report returns what Open found.
func (st *Store) Report() Report { return st.found }

// recover reads the log.
func (st *Store) recover() error {
	start := time.Now()
	if err := st.findAll(); err != nil {
		return err
	}
	st.index.replay = true
	var d decoder
	p := progress{st: st, start: start, said: start, of: st.found.Bytes}
	for i, s := range st.segments {
		var next *segment
		if i+1 < len(st.segments) {
			next = st.segments[i+1]
		}
		st.readSegment(s, next, &d, &p)
	}
	lost, gone, tombs := st.index.settle()
	st.found.Lost = lost
	if len(st.found.Damage) > 0 {
		st.found.Sessions = gone
	}
	st.found.Segments = len(st.segments)
	st.beginAppending()
	st.tombs = tombs
	st.found.Took = time.Since(start)
	st.sayFound()
	return nil
}

// findAll is findSegments for a store that may be in use: a file that has been
// removed since it was listed is no reason to give up.
func (st *Store) findAll() error {
	for tries := 1; ; tries++ {
		err := st.findSegments()
		if err == nil || !st.opt.ReadOnly || !errors.Is(err, fs.ErrNotExist) || len(st.segments) == 0 || tries == 10 {
			return err
		}
		st.closeFiles()
		st.segments, st.total, st.found.Damage = nil, 0, nil
	}
}

// findSegments opens every segment's file.
func (st *Store) findSegments() error {
	names, err := st.dir.List()
	if err != nil {
		return err
	}
	for _, name := range names {
		var n uint32
		if _, err := fmt.Sscanf(name, "%08d.log", &n); err != nil || segmentName(n) != name {
			continue
		}
		s := &segment{number: n, name: name}
		st.segments = append(st.segments, s)
		if s.f, err = st.dir.Open(name, false); err != nil {
			return err
		}
		if s.size, err = s.f.Size(); err != nil {
			return err
		}
		st.total += s.size
		if err = s.readHeader(); errors.Is(err, ErrVersion) {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.unreadable = err
		if k := len(st.segments); k > 1 && st.segments[k-2].number != n-1 {
			st.damage(segmentName(n-1), 0, 0, errors.New("missing"))
		}
	}
	st.found.Bytes = st.total
	st.dropUnborn()
	return nil
}

// dropUnborn leaves out a last segment whose creation was cut short. The next
// one has its number and its file.
func (st *Store) dropUnborn() {
	n := len(st.segments)
	if n == 0 {
		return
	}
	if s := st.segments[n-1]; errors.Is(s.unreadable, errHeader) && s.size <= headerSize {
		st.found.Torn += s.size
		st.total -= s.size
		s.f.Close()
		st.segments = st.segments[:n-1]
	}
}

func (st *Store) damage(name string, from, to int64, why error) {
	st.found.Damage = append(st.found.Damage, Damage{name, from, to, why.Error()})
}

// readSegment applies what s holds. next is the segment behind it, nil for the
// last: that one alone may end in the middle of a write.
func (st *Store) readSegment(s, next *segment, d *decoder, p *progress) {
	limit := s.size
	if next != nil && next.unreadable == nil {
		limit = next.before
	}
	if s.unreadable != nil {
		st.damage(s.name, 0, limit, s.unreadable)
		return
	}
	w := s.window(min(s.size, limit))
	s.size = w.size
	for {
		payload, at, ok, err := w.next()
		if ok {
			st.applyFrame(s, d, payload, at, w.off)
			p.saw(w.off - at)
			continue
		}
		if err == nil && w.off == limit {
			break
		}
		gap := w.off
		if err == nil && next == nil && !s.durableBeyond(gap) {
			st.found.Torn += limit - gap
			s.size = gap
			return
		}
		more := false
		if err == nil {
			err = errFrame
			more, _ = w.resync()
		}
		if !more {
			st.damage(s.name, gap, limit, err)
			break
		}
		st.damage(s.name, gap, w.off, err)
	}
}

var errFrame = errors.New("not what was written")

func (st *Store) applyFrame(s *segment, d *decoder, payload []byte, at, end int64) {
	op, err := d.decode(payload)
	if err != nil {
		st.damage(s.name, at, end, err)
		return
	}
	st.index.apply(op, place{s.number, uint32(at), uint32(end - at)})
}

// durableBeyond reports whether anything behind gap says that the log had been
// synced to beyond gap: then what is missing there was durable once.
func (s *segment) durableBeyond(gap int64) bool {
	w := s.window(s.size)
	w.off = gap
	for {
		if more, err := w.seek(); err != nil || !more {
			return err != nil
		}
		payload, _, ok, err := w.next()
		if err != nil || !ok {
			return err != nil
		}
		op, err := decodeOp(payload)
		if err == nil && op.Kind == kindMark && uint32(op.Message) == s.number && int64(op.Seq) > gap {
			return true
		}
	}
}

// beginAppending begins a segment behind what there is. It goes on with none:
// the blocks behind a file's end may still hold what never counted, under the
// salt that would make frames of it.
func (st *Store) beginAppending() {
	if st.opt.ReadOnly {
		return
	}
	n := len(st.segments)
	if n == 0 {
		st.segments = []*segment{newSegment(1, 0)}
		st.total = headerSize
		return
	}
	last := st.segments[n-1]
	if st.found.Damaged() {
		st.cleanTo = last.number + 1
		st.found.Aside = "damaged-" + time.Now().UTC().Format("20060102-150405")
	}
	// What a killed process had written is to count from now on, and what it had
	// removed is not to come back after what is removed next.
	if err := errors.Join(last.f.Sync(), st.dir.Sync()); err != nil {
		st.log.Warn("store: cannot sync what was found", "file", last.name, "error", err)
	}
	st.extend(last)
	st.total = 0
	for _, s := range st.segments {
		st.total += s.size
	}
}

// extend begins a new segment behind last.
func (st *Store) extend(last *segment) {
	st.segments = append(st.segments, newSegment(last.number+1, last.size))
}

func (st *Store) sayFound() {
	r := &st.found
	var torn strings.Builder
	if r.Torn > 0 {
		fmt.Fprintf(&torn, "%d bytes of an unfinished write dropped", r.Torn)
	}
	st.log.Info("store: read", "dir", st.path, "files", r.Segments, "bytes", r.Bytes, "took", r.Took.Round(time.Millisecond),
		"sessions", len(st.index.sessions), "messages", len(st.index.messages), "retained", len(st.index.retained), "note", torn.String())
	for _, d := range r.Damage {
		st.log.Error("store: damaged", "dir", st.path, "what", d.String(), "kept in", r.Aside)
	}
	if r.Lost+r.Sessions > 0 {
		st.log.Error("store: lost to the damage", "dir", st.path, "messages", r.Lost, "sessions", r.Sessions)
	}
}

// progress tells how far the reading is: Options.Progress often, or the log
// once a second.
type progress struct {
	st          *Store
	start, said time.Time
	seen, of    int64
	frames      int
}

func (p *progress) saw(n int64) {
	p.seen += n
	if p.frames++; p.frames%4096 != 0 {
		return
	}
	show, every := p.st.opt.Progress, time.Second
	if show != nil {
		every = time.Second / 10
	}
	now := time.Now()
	if now.Sub(p.said) < every {
		return
	}
	p.said = now
	if show != nil {
		show(p.seen, p.of)
		return
	}
	p.st.log.Info("store: reading", "dir", p.st.path, "percent", 100*p.seen/max(p.of, 1), "after", now.Sub(p.start).Round(time.Second))
}
