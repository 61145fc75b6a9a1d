package midge

import (
	"runtime"
	"sync"
	"time"

	"github.com/midgemq/midge/link"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// A stage is how near a connection is to its end. It only moves down this
// table; outbox.mu guards it, and nothing but it says what is still done.
//
//	          is appended   is written            is read
//	flowing   anything      what waits            on
//	mute      nothing       nothing any more      what the client left, within linger
//	ending    nothing       what waits, within linger
//	over      nothing       nothing
//
// A failed write makes a connection mute. The last word, whoever says it
// (kill, conclude, a client that stalls, an answer too large for the client),
// makes it ending, or over if nothing can be written.
type stage uint8

const (
	flowing stage = iota
	mute
	ending
	over
)

// A tally counts what passed one way.
type tally struct{ bytes, packets, messages uint64 }

// An outbox is what waits to be written to one connection, and the right to
// write it. Anyone may append; one goroutine at a time writes: whoever is
// through with a batch, as far as a plain socket has room, or one started for
// the purpose, which alone ever waits for the socket.
type outbox struct {
	c *conn // immutable

	mu       sync.Mutex
	w        link.Writer
	sent     toll
	received toll
	out      []byte // waiting
	kept     *withheld
	seldom   *seldom         // nil: nothing of that
	leaving  int             // bytes being written
	answered int32           // those of them that are answers
	messages int32           // PUBLISH packets in out
	answers  int32           // bytes in out that are none: see awaitAnswers
	usual    int8            // how large a buffer it took last time
	stage    stage           // see there
	code     mqtt.ReasonCode // of the last word
	writing  bool            // somebody has the right to write
	settled  bool            // the session has been let go
	taken    uint32          // when the bytes being written were taken, seconds since the broker's epoch
	weight   int32           // KiB of it that are in the budget, see weighLocked
	marked   *batch          // that has this connection to write, last we know
	readBy   moment          // the read deadline in force, or soon after; 0 is none
	writeBy  moment          // the write deadline in force, or soon before
}

// A seldom is what most outboxes never need.
type seldom struct {
	moved   *sync.Cond // made by whoever waits for the writer
	life    *life      // made by whoever waits for the end
	dropped uint64     // messages the client did not get
	sent    tally      // what its toll has no room for
	heard   tally
}

func (o *outbox) seldomLocked() *seldom {
	if o.seldom == nil {
		o.seldom = new(seldom)
	}
	return o.seldom
}

func (o *outbox) init(c *conn) {
	o.c, o.kept = c, &nothingWithheld
	o.w.Init(link.Server, 0)
}

const (
	flushAt     = 64 << 10 // bytes from the queue that may wait in out: the socket's share, not the queue's
	confirmSize = 4        // bytes of an acknowledgement that is not more than that

	keepSize  = 64 << 10  // larger buffers of withheld packets are not kept once empty
	answersAt = 256 << 10 // bytes of answers that may wait while the client is read on
)

// roomLocked reports whether the outbox takes n QoS 0 messages of size bytes in
// all. What is over the bound is dropped: a slow consumer hurts only itself.
func (o *outbox) roomLocked(n, size int) bool {
	if o.lagsLocked() && o.c.b.shortage() >= tight {
		return false
	}
	set := o.c.b.bounds.Load()
	return o.leaving+len(o.out)+size <= set.MaxQueuedBytes && int(o.messages)+n <= set.MaxQueuedMessages
}

// markLocked has by write the connection at its end.
func (o *outbox) markLocked(by *batch) {
	if o.marked != by {
		o.marked = by
		by.dirty = append(by.dirty, o.c)
	}
}

// touch is for the reader: what its batch confirms, and has appended here, is to
// be written, and what it heard is counted. True is a client that asks for more
// than it takes.
func (o *outbox) touch(sc *scratch) (flood bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	heard := &sc.heard
	o.received.packets += uint32(heard.packets)
	o.received.messages += uint32(heard.messages)
	o.passedLocked(&o.received, int(heard.bytes))
	*heard = tally{}
	if n := len(sc.confirms); n > 0 && o.stage == flowing {
		o.out = append(o.roomFor(n), sc.confirms...)
		o.answers += int32(n)
		o.sent.packets += uint32(n / confirmSize)
	}
	sc.confirms = sc.confirms[:0]
	if len(o.out) > 0 {
		o.markLocked(&sc.batch)
	}
	return o.floodsLocked()
}

func (o *outbox) floodsLocked() bool {
	return o.stage == flowing && (o.writing && o.answered+o.answers > answersAt || len(o.kept.b) > answersAt)
}

// flushAside writes what waits without waiting for it.
func (c *conn) flushAside() {
	o := &c.outbox
	if !o.startWriting() {
		return
	}
	if c.sock() != nil {
		for range 8 {
			s, more := o.tryPass()
			if !more {
				return
			}
			if s != nil && s.backlog.Load() {
				break // there is more than this goroutine, which others wait for, has time for
			}
		}
	}
	go o.drain()
}

// awaitAnswers keeps a client that does not take its answers from asking for
// more: what it is owed for what it sent has no bound but this. What others
// send it does not count here, so a slow reader is read as long as it can be.
func (o *outbox) awaitAnswers() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.floodsLocked() {
		o.awaitLocked()
	}
}

// startWriting claims the right to write, if there is anything to write.
func (o *outbox) startWriting() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.marked = nil
	if o.writing || len(o.out) == 0 || !o.writableLocked() {
		return false
	}
	o.writing = true
	return true
}

func (o *outbox) drain() {
	for o.pass() {
		runtime.Gosched() // others have little to do for one client each, this may have much
	}
}

// pass writes what waits now and reports whether more came meanwhile. When it
// reports false the right to write is given back.
func (o *outbox) pass() bool {
	buf, s := o.take()
	n, err := o.write(buf)
	return o.wrote(s, buf, n, err)
}

// write writes buf for as long as the client takes any of it within
// WriteTimeout, however slowly.
func (o *outbox) write(buf []byte) (n int, err error) {
	for {
		k, err := o.c.nc.Write(buf[n:])
		n += k
		if k == 0 || !isTimeout(err) || !o.goesOn() {
			return n, err
		}
	}
}

// goesOn gives a write that has run out of time, but not stalled, more of it:
// half, since when the client took its last byte is not known.
func (o *outbox) goesOn() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stage != flowing {
		return false
	}
	by := o.c.b.since(time.Now()) + o.c.b.bounds.Load().WriteTimeout/2
	o.writeBy = before(by)
	o.c.nc.SetWriteDeadline(o.c.b.epoch.Add(by))
	return true
}

// tryPass is pass for whoever may not wait: what the socket has no room for is
// left to a writer aside, and with it the right to write. s is the session, nil
// before there is one.
func (o *outbox) tryPass() (s *session, more bool) {
	buf, s := o.take()
	n, err := o.c.sock().TryWrite(buf)
	if err != transport.ErrAgain {
		return s, o.wrote(s, buf, n, err)
	}
	o.mu.Lock()
	o.weighLocked(true)
	o.mu.Unlock()
	go func() {
		m, err := o.write(buf[n:])
		if o.wrote(s, buf, n+m, err) {
			o.drain()
		}
	}()
	return s, false
}

// take is the beginning of a pass: what waits is the writer's. What comes with a
// session that begins later is for the next.
func (o *outbox) take() ([]byte, *session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf := o.out
	o.out = nil
	if ws := o.c.b.watches.Load(); ws != nil {
		o.leaves(ws, buf)
	}
	o.messages, o.answers, o.answered, o.leaving = 0, 0, o.answers, len(buf)
	if deadline, arm := o.writeDeadlineLocked(); arm {
		o.c.nc.SetWriteDeadline(deadline)
	}
	o.weighLocked(o.weight > 0)
	o.movedLocked()
	return buf, o.c.session
}

// wrote is the end of a pass.
func (o *outbox) wrote(s *session, buf []byte, n int, err error) bool {
	if err != nil {
		o.writeFailed(err)
	} else if s != nil {
		s.pump(o.c, nil) // what the queue held back while out was full
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leaving, o.answered = 0, 0
	o.passedLocked(&o.sent, n)
	o.usual = giveBuffer(buf)
	o.weighLocked(false)
	if len(o.out) > 0 && o.writableLocked() {
		return true
	}
	if !o.writableLocked() {
		o.out = nil
	}
	o.writing = false
	o.movedLocked()
	return false
}

func (o *outbox) writableLocked() bool { return o.stage == flowing || o.stage == ending }

// movedLocked wakes whoever waits for the writer.
func (o *outbox) movedLocked() {
	if o.seldom != nil && o.seldom.moved != nil {
		o.seldom.moved.Broadcast()
	}
}

// awaitLocked waits for the writer to have got on, or for the last word.
func (o *outbox) awaitLocked() {
	x := o.seldomLocked()
	if x.moved == nil {
		x.moved = sync.NewCond(&o.mu)
	}
	x.moved.Wait()
}

// writeDeadlineLocked notes the time of a write. It gives each write at least half of WriteTimeout and moves
// the deadline only when it must.
func (o *outbox) writeDeadlineLocked() (time.Time, bool) {
	now, patience := o.c.b.since(time.Now()), o.c.b.bounds.Load().WriteTimeout
	o.taken = uint32(now / time.Second)
	if o.stage == ending {
		patience = linger
	} else if o.writeBy.time()-now >= patience/2 {
		return time.Time{}, false
	}
	o.writeBy = before(now + patience)
	return o.c.b.epoch.Add(now + patience), true
}

// writeFailed gives up on writing. A client that took nothing for the whole of
// WriteTimeout is a stalled one, and is counted and cut off. One that has gone
// may have left something to be read, a DISCONNECT above all: the reader has a
// moment to come to the end of it.
func (o *outbox) writeFailed(err error) {
	o.mu.Lock()
	stalled := o.stage == flowing && isTimeout(err)
	switch {
	case stalled:
		o.stage = mute
		o.endLocked(mqtt.UnspecifiedError)
	case o.stage == flowing:
		o.stage = mute
		o.readLocked(o.c.b.since(time.Now()) + linger)
	case o.stage == ending:
		o.stage = over
	}
	s := o.c.session
	o.mu.Unlock()
	if !stalled {
		return
	}
	o.c.cancel()
	if s != nil {
		o.c.b.count.stalled.Add(1)
		o.c.b.log.Warn("client takes no data and is cut off", "client", s.id,
			"remote", o.c.nc.RemoteAddr(), "after", o.c.b.bounds.Load().WriteTimeout)
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// kill says the last word from outside: code, as far as the client's version
// and the handshake let it be said. It reports whether it was the first to.
func (o *outbox) kill(code mqtt.ReasonCode, reason string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stage >= ending {
		return false
	}
	o.out = o.w.Refuse(o.out, code, reason)
	o.endLocked(code)
	return true
}

// conclude is how the connection's own goroutine ends it: with code as the
// last word if told is set, without one otherwise. in tells the version its
// CONNECT named, if it got that far. It returns the code that counts, and
// false if somebody had said the last word before.
func (o *outbox) conclude(in *link.Reader, code mqtt.ReasonCode, text string, told bool) (mqtt.ReasonCode, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stage >= ending {
		return o.code, false
	}
	if told {
		o.w.Answer(in.Version(), in.PeerMax())
		o.out = o.w.Refuse(o.out, code, text)
	}
	o.endLocked(code)
	return code, true
}

// endLocked ends what may be appended and read. A blocked reader and a blocked
// writer are woken.
func (o *outbox) endLocked(code mqtt.ReasonCode) {
	o.code = code
	if o.stage == flowing {
		o.stage = ending
	} else {
		o.stage, o.out = over, nil
	}
	o.readLocked(-time.Hour) // long past, whatever the clock says
	if o.writing {
		o.c.nc.SetWriteDeadline(time.Now().Add(linger))
	}
	o.movedLocked()
}

// finish writes what waits, within linger, and reports whether the last of it
// was a last word the client should have a moment to hear. The last word has
// been said.
func (o *outbox) finish() (heard bool) {
	o.mu.Lock()
	for o.writing {
		o.awaitLocked()
	}
	last := len(o.out) > 0 && o.stage == ending
	o.writing = last
	o.mu.Unlock()
	if last {
		o.drain()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	heard = o.w.Closed() && o.stage == ending
	o.stage, o.out, o.kept = over, nil, &nothingWithheld
	o.weighLocked(false)
	return heard
}

// hangUp waits, for a moment and within a bound, for the client to close: a
// socket closed with bytes unread would take the last word back.
func (c *conn) hangUp() {
	if c.nc.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(linger))
	sink := make([]byte, 4<<10)
	for range 64 {
		if _, err := c.nc.Read(sink); err != nil {
			return
		}
	}
}

func (o *outbox) at() stage {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stage
}

// setReadDeadline makes the next read end at at, or never; a deadline in
// force that is earlier than needed stays, since running into it only means
// looking again.
func (o *outbox) setReadDeadline(at time.Duration, ok bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stage != flowing {
		return nil // what ended it has set it
	}
	switch {
	case !ok && o.readBy == 0, ok && o.readBy > 0 && o.readBy.time() <= at+eighth: // it has been rounded up
		return nil
	case !ok:
		at = 0
	}
	return o.readLocked(at)
}

// readLocked makes a read end at a time since the broker's epoch; 0 is never.
func (o *outbox) readLocked(by time.Duration) error {
	if o.readBy = 0; by == 0 {
		return o.c.nc.SetReadDeadline(time.Time{})
	}
	o.readBy = after(by)
	return o.c.nc.SetReadDeadline(o.c.b.epoch.Add(by))
}

// forgetDeadline notes that the read deadline has passed.
func (o *outbox) forgetDeadline() {
	o.mu.Lock()
	if o.stage == flowing {
		o.readLocked(0)
	}
	o.mu.Unlock()
}
