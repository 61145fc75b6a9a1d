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
	mu       sync.Mutex
	w        link.Writer
	sent     toll
	received toll
	out      []byte  // waiting
	seldom   *seldom // nil: nothing of that
	marked   *batch  // that has this connection to write, last we know
	leaving  int     // bytes being written
	answered int32   // those of them that are answers
	messages int32   // PUBLISH packets in out
	answers  int32   // bytes in out that are none: see awaitAnswers
	taken    uint32  // when the bytes being written were taken, seconds since the broker's epoch
	weight   int32   // KiB of it that are in the budget, see weighLocked
	readBy   moment  // the read deadline in force, or soon after; 0 is none
	writeBy  moment  // the write deadline in force, or soon before
	usual    int8    // how large a buffer it took last time
	stage    stage   // see there
	writing  bool    // somebody has the right to write
	settled  bool    // the session has been let go
}

// A seldom is what most outboxes never need.
type seldom struct {
	kept    *withheld  // nil: nothing
	will    *will      // whoever takes it out says it
	moved   *sync.Cond // made by whoever waits for the writer
	life    *life      // made by whoever waits for the end
	dropped uint64     // messages the client did not get
	sent    tally      // what its toll has no room for
	heard   tally
}

func (c *conn) seldomLocked() *seldom {
	if c.seldom == nil {
		c.seldom = new(seldom)
	}
	return c.seldom
}

const (
	flushAt     = 64 << 10 // bytes from the queue that may wait in out: the socket's share, not the queue's
	confirmSize = 4        // bytes of an acknowledgement that is not more than that

	keepSize  = 64 << 10  // larger buffers of withheld packets are not kept once empty
	answersAt = 256 << 10 // bytes of answers that may wait while the client is read on
)

// roomLocked reports whether the outbox takes n QoS 0 messages of size bytes in
// all. What is over the bound is dropped: a slow consumer hurts only itself.
func (c *conn) roomLocked(n, size int) bool {
	if c.lagsLocked() && c.b.shortage() >= tight {
		return false
	}
	set := c.b.bounds.Load()
	return c.leaving+len(c.out)+size <= set.MaxQueuedBytes && int(c.messages)+n <= set.MaxQueuedMessages
}

// markLocked has by write the connection at its end.
func (c *conn) markLocked(by *batch) {
	if c.marked != by {
		c.marked = by
		by.dirty = append(by.dirty, c)
	}
}

// touch is for the reader: what its batch confirms, and has appended here, is to
// be written, and what it heard is counted. True is a client that asks for more
// than it takes.
func (c *conn) touch(sc *scratch) (flood bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	heard := &sc.heard
	c.received.packets += uint32(heard.packets)
	c.received.messages += uint32(heard.messages)
	c.passedLocked(&c.received, int(heard.bytes))
	*heard = tally{}
	if n := len(sc.confirms); n > 0 && c.stage == flowing {
		c.out = append(c.roomFor(n), sc.confirms...)
		c.answers += int32(n)
		c.sent.packets += uint32(n / confirmSize)
	}
	sc.confirms = sc.confirms[:0]
	if len(c.out) > 0 {
		c.markLocked(&sc.batch)
	}
	return c.floodsLocked()
}

func (c *conn) floodsLocked() bool {
	return c.stage == flowing && (c.writing && c.answered+c.answers > answersAt || len(c.keptLocked().b) > answersAt)
}

// flushAside writes what waits without waiting for it.
func (c *conn) flushAside() {
	if !c.startWriting() {
		return
	}
	if c.sock() != nil {
		for range 8 {
			s, more := c.tryPass()
			if !more {
				return
			}
			if s != nil && s.backlog.Load() {
				break // there is more than this goroutine, which others wait for, has time for
			}
		}
	}
	go c.drain()
}

// awaitAnswers keeps a client that does not take its answers from asking for
// more: what it is owed for what it sent has no bound but this. What others
// send it does not count here, so a slow reader is read as long as it can be.
func (c *conn) awaitAnswers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.floodsLocked() {
		c.awaitLocked()
	}
}

// startWriting claims the right to write, if there is anything to write.
func (c *conn) startWriting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marked = nil
	if c.writing || len(c.out) == 0 || !c.writableLocked() {
		return false
	}
	c.writing = true
	return true
}

func (c *conn) drain() {
	for c.pass() {
		runtime.Gosched() // others have little to do for one client each, this may have much
	}
}

// pass writes what waits now and reports whether more came meanwhile. When it
// reports false the right to write is given back.
func (c *conn) pass() bool {
	buf, s := c.takeOut()
	n, err := c.write(buf)
	return c.wrote(s, buf, n, err)
}

// write writes buf for as long as the client takes any of it within
// WriteTimeout, however slowly.
func (c *conn) write(buf []byte) (n int, err error) {
	for {
		k, err := c.nc.Write(buf[n:])
		n += k
		if k == 0 || !isTimeout(err) || !c.goesOn() {
			return n, err
		}
	}
}

// goesOn gives a write that has run out of time, but not stalled, more of it:
// half, since when the client took its last byte is not known.
func (c *conn) goesOn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != flowing {
		return false
	}
	by := c.b.since(time.Now()) + c.b.bounds.Load().WriteTimeout/2
	c.writeBy = before(by)
	c.nc.SetWriteDeadline(c.b.epoch.Add(by))
	return true
}

// tryPass is pass for whoever may not wait: what the socket has no room for is
// left to a writer aside, and with it the right to write. s is the session, nil
// before there is one.
func (c *conn) tryPass() (s *session, more bool) {
	buf, s := c.takeOut()
	n, err := c.sock().TryWrite(buf)
	if err != transport.ErrAgain {
		return s, c.wrote(s, buf, n, err)
	}
	c.mu.Lock()
	c.weighLocked(true)
	c.mu.Unlock()
	go func() {
		m, err := c.write(buf[n:])
		if c.wrote(s, buf, n+m, err) {
			c.drain()
		}
	}()
	return s, false
}

// take is the beginning of a pass: what waits is the writer's. What comes with a
// session that begins later is for the next.
func (c *conn) takeOut() ([]byte, *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	buf := c.out
	c.out = nil
	if ws := c.b.watches.Load(); ws != nil {
		c.leaves(ws, buf)
	}
	c.messages, c.answers, c.answered, c.leaving = 0, 0, c.answers, len(buf)
	if deadline, arm := c.writeDeadlineLocked(); arm {
		c.nc.SetWriteDeadline(deadline)
	}
	c.weighLocked(c.weight > 0)
	c.movedLocked()
	return buf, c.session
}

// wrote is the end of a pass.
func (c *conn) wrote(s *session, buf []byte, n int, err error) bool {
	if err != nil {
		c.writeFailed(err)
	} else if s != nil {
		s.pump(c, nil) // what the queue held back while out was full
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving, c.answered = 0, 0
	c.passedLocked(&c.sent, n)
	c.usual = giveBuffer(buf)
	c.weighLocked(false)
	if len(c.out) > 0 && c.writableLocked() {
		return true
	}
	if !c.writableLocked() {
		c.out = nil
	}
	c.writing = false
	c.movedLocked()
	return false
}

func (c *conn) writableLocked() bool { return c.stage == flowing || c.stage == ending }

// movedLocked wakes whoever waits for the writer.
func (c *conn) movedLocked() {
	if c.seldom != nil && c.seldom.moved != nil {
		c.seldom.moved.Broadcast()
	}
}

// awaitLocked waits for the writer to have got on, or for the last word.
func (c *conn) awaitLocked() {
	x := c.seldomLocked()
	if x.moved == nil {
		x.moved = sync.NewCond(&c.mu)
	}
	x.moved.Wait()
}

// writeDeadlineLocked notes the time of a write. It gives each write at least half of WriteTimeout and moves
// the deadline only when it must.
func (c *conn) writeDeadlineLocked() (time.Time, bool) {
	now, patience := c.b.since(time.Now()), c.b.bounds.Load().WriteTimeout
	c.taken = uint32(now / time.Second)
	if c.stage == ending {
		patience = linger
	} else if c.writeBy.time()-now >= patience/2 {
		return time.Time{}, false
	}
	c.writeBy = before(now + patience)
	return c.b.epoch.Add(now + patience), true
}

// writeFailed gives up on writing. A client that took nothing for the whole of
// WriteTimeout is a stalled one, and is counted and cut off. One that has gone
// may have left something to be read, a DISCONNECT above all: the reader has a
// moment to come to the end of it.
func (c *conn) writeFailed(err error) {
	c.mu.Lock()
	stalled := c.stage == flowing && isTimeout(err)
	switch {
	case stalled:
		c.stage = mute
		c.endLocked(mqtt.UnspecifiedError)
	case c.stage == flowing:
		c.stage = mute
		c.readLocked(c.b.since(time.Now()) + linger)
	case c.stage == ending:
		c.stage = over
	}
	s := c.session
	c.mu.Unlock()
	if !stalled {
		return
	}
	c.cancel()
	if s != nil {
		c.b.count.stalled.Add(1)
		c.b.log.Warn("client takes no data and is cut off", "client", s.id,
			"remote", c.nc.RemoteAddr(), "after", c.b.bounds.Load().WriteTimeout)
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// kill says the last word from outside: code, as far as the client's version
// and the handshake let it be said. It reports whether it was the first to.
func (c *conn) kill(code mqtt.ReasonCode, reason string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage >= ending {
		return false
	}
	c.out = c.w.Refuse(c.out, code, reason)
	c.endLocked(code)
	return true
}

// conclude is how the connection's own goroutine ends it: with code as the
// last word if told is set, without one otherwise. in tells the version its
// CONNECT named, if it got that far. It returns the code that counts, and
// false if somebody had said the last word before.
func (c *conn) conclude(in *link.Reader, code mqtt.ReasonCode, text string, told bool) (mqtt.ReasonCode, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage >= ending {
		return c.lastWord, false
	}
	if told {
		c.w.Answer(in.Version(), in.PeerMax())
		c.out = c.w.Refuse(c.out, code, text)
	}
	c.endLocked(code)
	return code, true
}

// endLocked ends what may be appended and read. A blocked reader and a blocked
// writer are woken.
func (c *conn) endLocked(code mqtt.ReasonCode) {
	c.lastWord = code
	if c.stage == flowing {
		c.stage = ending
	} else {
		c.stage, c.out = over, nil
	}
	c.readLocked(-time.Hour) // long past, whatever the clock says
	if c.writing {
		c.nc.SetWriteDeadline(time.Now().Add(linger))
	}
	c.movedLocked()
}

// finish writes what waits, within linger, and reports whether the last of it
// was a last word the client should have a moment to hear. The last word has
// been said.
func (c *conn) finish() (heard bool) {
	c.mu.Lock()
	for c.writing {
		c.awaitLocked()
	}
	last := len(c.out) > 0 && c.stage == ending
	c.writing = last
	c.mu.Unlock()
	if last {
		c.drain()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	heard = c.w.Closed() && c.stage == ending
	c.stage, c.out = over, nil
	c.withholdNothingLocked()
	c.weighLocked(false)
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

func (c *conn) at() stage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stage
}

// setReadDeadline makes the next read end at at, or never; a deadline in
// force that is earlier than needed stays, since running into it only means
// looking again.
func (c *conn) setReadDeadline(at time.Duration, ok bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != flowing {
		return nil // what ended it has set it
	}
	switch {
	case !ok && c.readBy == 0, ok && c.readBy > 0 && c.readBy.time() <= at+eighth: // it has been rounded up
		return nil
	case !ok:
		at = 0
	}
	return c.readLocked(at)
}

// readLocked makes a read end at a time since the broker's epoch; 0 is never.
func (c *conn) readLocked(by time.Duration) error {
	if c.readBy = 0; by == 0 {
		return c.nc.SetReadDeadline(time.Time{})
	}
	c.readBy = after(by)
	return c.nc.SetReadDeadline(c.b.epoch.Add(by))
}

// forgetDeadline notes that the read deadline has passed.
func (c *conn) forgetDeadline() {
	c.mu.Lock()
	if c.stage == flowing {
		c.readLocked(0)
	}
	c.mu.Unlock()
}
