package midge

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/midgemq/midge/internal/readbuf"
	"github.com/midgemq/midge/transport"
)

// A loop serves all connections of one Poller in one goroutine, which never
// waits for any of them: a connection that has to wait, for a hook, the disk,
// another connection's end, takes the goroutine along, and the loop goes on in
// a new one.
type loop struct {
	// Immutable.
	b    *Broker
	p    *transport.Poller
	done *sync.WaitGroup

	// Owned by the goroutine that runs it.
	sc    *scratch // of the turns at hand
	todo  []*conn  // to be given a turn
	again []*conn  // have more to read than one turn takes
}

// loops are one loop a processor, where the system has Pollers.
type loops struct {
	all  []*loop
	next atomic.Uint32
	done sync.WaitGroup
}

// turnSize is how much one turn reads at most.
const turnSize = 64 << 10

// start makes the loops. They end with stop.
func (ls *loops) start(b *Broker) error {
	for range runtime.GOMAXPROCS(0) {
		p, err := transport.NewPoller()
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		} else if err != nil {
			ls.stop()
			return err
		}
		l := &loop{b: b, p: p, done: &ls.done}
		ls.all = append(ls.all, l)
		l.begin()
	}
	return nil
}

// poller chooses who watches the next connection.
func (ls *loops) poller() *transport.Poller {
	return ls.all[int(ls.next.Add(1))%len(ls.all)].p
}

// stop ends the loops; their connections have ended.
func (ls *loops) stop() {
	for _, l := range ls.all {
		l.p.Close()
	}
	ls.done.Wait()
}

// begin goes on with the loop in a new goroutine.
func (l *loop) begin() {
	l.sc = l.b.scratches.Get().(*scratch)
	l.sc.loop = l
	l.done.Go(l.run)
}

// run gives turns to those that have something to read until the Poller is
// closed, or until a turn keeps the goroutine.
func (l *loop) run() {
	sc := l.sc
	for {
		for len(l.todo) > 0 {
			last := len(l.todo) - 1
			c := l.todo[last]
			l.todo[last] = nil
			l.todo = l.todo[:last]
			if !c.turn(sc) {
				return
			}
		}
		sc.flush()
		sc.reset()
		ready, ok := l.p.Wait(len(l.again) == 0)
		if !ok {
			sc.loop = nil
			l.b.scratches.Put(sc)
			return
		}
		l.todo, l.again = l.again, l.todo
		for _, s := range ready {
			if c := s.Owner.(*conn); !c.again { // one turn a round, whatever it sends
				l.todo = append(l.todo, c)
			}
		}
	}
}

// leave lets c keep the goroutine and what it has at hand.
func (l *loop) leave(c *conn, sc *scratch) {
	c.sock().Leave()
	sc.loop = nil
	l.begin()
}

// attach gives a connection to its loop, which calls turn from then on.
func (c *conn) attach() {
	err := c.arm()
	if err == nil {
		err = c.sock().Attach(c)
	}
	if err != nil {
		c.fail(err)
		c.finishOff()
	}
}

// turn is a loop's: it reads what has come, once, and handles it. Where that
// has to wait, turn stays with the connection until there is nothing to read,
// and reports that the loop has gone on without this goroutine.
func (c *conn) turn(sc *scratch) (on bool) {
	if c.sock().Away() {
		return true
	}
	l := sc.loop
	c.again = false
	over, more := c.readOnce(sc)
	if sc.loop != nil {
		switch {
		case over:
			c.sock().Leave()
			go c.finishOff()
		case more:
			c.again = true
			l.again = append(l.again, c)
		}
		return true
	}
	for !over && !c.parked() {
		over, _ = c.readOnce(sc)
	}
	l.b.scratches.Put(sc.reset())
	if over {
		c.finishOff()
	}
	return false
}

// finishOff ends a connection that a loop has read.
func (c *conn) finishOff() {
	c.end()
	c.b.work.Done()
}

// readOnce reads and handles what there is. over is the end of the connection,
// c.fault says whose fault; more is that there may be more to read.
func (c *conn) readOnce(sc *scratch) (over, more bool) {
	if c.paused() {
		return c.resume(sc)
	}
	if err := c.arm(); err != nil {
		c.fail(err)
		return true, false
	}
	b, kept := c.space(sc)
	n, err := c.sock().TryRead(b[kept:])
	if n == 0 {
		if err == transport.ErrAgain {
			return false, false
		}
		if verdict := c.readFailed(err); verdict != errGoOn {
			c.fail(verdict)
			return true, false
		}
		return false, true
	}
	more = c.sock().More()
	sc.heard.bytes += uint64(n)
	over = c.chew(sc, b[:kept+n])
	return over, more && !c.paused()
}

// space is where to read to: behind what is left of a packet, kept bytes, in
// the scratch, or for a large packet in the connection's own buffer.
func (c *conn) space(sc *scratch) (b []byte, kept int) {
	if sc.in == nil {
		sc.in = make([]byte, turnSize)
	}
	in := sc.in
	if c.rest() == nil {
		return c.sip(sc, in, 0), 0
	}
	rest := c.rest().Unread()
	if b := c.rest().Large(); b != nil {
		return b, len(rest)
	}
	kept = copy(in, rest)
	return c.sip(sc, in, kept), kept
}

// keepRest keeps what has come of a packet of need bytes for the next turn.
func (c *conn) keepRest(b []byte, need int) {
	rest, before := c.rest(), 0
	switch {
	case rest != nil:
		before = rest.Size()
	case len(b) == 0:
		return
	}
	if len(b) == 0 {
		c.extra.rest = nil
		c.b.hold(-before)
		return
	}
	if rest == nil {
		rest = new(readbuf.Buffer)
		c.extras().rest = rest
	}
	rest.Keep(b, need)
	c.b.hold(rest.Size() - before)
}
