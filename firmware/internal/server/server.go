// Package server joins the fixed-memory broker to TCP, on lneto: connections
// in static memory, received bytes handed to the broker where TCP put them.
package server

import (
	"time"

	"github.com/midgemq/midge/firmware/internal/plan"
	"github.com/midgemq/midge/tiny"
	"github.com/soypat/lneto/tcp"
)

// Server listens on one port and serves plan.Conns connections. The zero value
// is not ready: Configure it. It is large and belongs in static memory.
type Server struct {
	broker *tiny.Broker
	now    time.Duration
	iss    tcp.Value
	turn   int // the connection that may send first
	id     uint64
	rst    tcp.RSTQueue
	conns  [plan.Conns]conn
	// scratch is for what wraps round the end of a ring, and for what goes out.
	scratch [plan.Out]byte
}

// Configure readies every connection. The seed makes sequence numbers differ
// from boot to boot.
func (s *Server) Configure(b *tiny.Broker, seed uint32) error {
	const segments = 4 // under way at once
	s.broker, s.iss = b, tcp.Value(seed)
	nanotime := func() int64 { return int64(s.now) }
	for i := range s.conns {
		c := &s.conns[i]
		if err := c.h.SetBuffers(c.out[:], c.in[:], segments); err != nil {
			return err
		}
		c.h.SetLossRecovery(&c.loss, nanotime)
	}
	return nil
}

// Step moves the clock and lets bytes flow between TCP and the broker. It
// returns when the broker has something due next.
func (s *Server) Step(now time.Duration) (next time.Duration) {
	s.now = now
	next = s.broker.Step(now)
	for i := range s.conns {
		switch c := &s.conns[i]; c.phase {
		case opening:
			s.accept(c)
		case open:
			s.receive(c)
		case closing:
			if now-c.since > goodbye {
				s.drop(c)
			}
		case free:
		}
	}
	s.pass()
	for i := range s.conns {
		if c := &s.conns[i]; c.phase == open {
			s.end(c)
		}
	}
	return next
}

// accept gives a connection whose handshake is over to the broker.
func (s *Server) accept(c *conn) {
	switch st := c.h.State(); {
	case st == tcp.StateSynRcvd:
		if s.now-c.since > handshake {
			s.drop(c)
		} else if s.now >= c.again {
			c.again = s.now + resend
			c.h.RequeueControl()
		}
	case st == tcp.StateEstablished || st == tcp.StateCloseWait:
		slot, ok := s.broker.Accept()
		if !ok {
			s.bye(c)
			return
		}
		c.slot = slot
		c.enter(open, s.now)
		s.receive(c)
	default: // the peer took it back
		s.drop(c)
	}
}

// sip is how many bytes the broker is offered first: a message or a few.
const sip = 64

// receive hands the broker what has come, as long as it takes it. What that
// brings for others goes into their buffers at once: a burst is to meet those
// who read, not the end of a queue.
func (s *Server) receive(c *conn) {
	for {
		p, wraps := c.unread()
		n := s.offer(c, p)
		if n == 0 && wraps {
			n = s.offer(c, c.gather(s.scratch[:]))
		}
		if n == 0 {
			return
		}
		c.read(s.scratch[:], n)
		s.pass()
	}
}

// offer hands the broker the front of p, and more if a packet is larger.
func (s *Server) offer(c *conn, p []byte) int {
	for size := sip; ; size *= 2 {
		n := s.broker.Receive(c.slot, p[:min(size, len(p))])
		if n > 0 || size >= len(p) {
			return n
		}
	}
}

// pass moves what the broker has for its clients into TCP's buffers.
func (s *Server) pass() {
	for i := range s.conns {
		c := &s.conns[i]
		for c.phase == open && c.h.State().TxDataOpen() {
			room := min(c.h.FreeOutput(), len(s.scratch))
			n := s.broker.Outgoing(c.slot, s.scratch[:room])
			if n == 0 {
				break
			}
			if _, err := c.h.Write(s.scratch[:n]); err != nil {
				break // the state has just allowed it
			}
		}
	}
}

// end closes a connection when the broker or the peer has.
func (s *Server) end(c *conn) {
	if !c.h.State().RxDataOpen() || s.broker.Over(c.slot) {
		s.broker.Closed(c.slot)
		s.bye(c)
	}
}

// bye closes the connection after what has been written to it.
func (s *Server) bye(c *conn) {
	c.h.ShutdownRead()
	_ = c.h.Close() // already closing is as good
	c.enter(closing, s.now)
}

// drop frees the connection at once.
func (s *Server) drop(c *conn) {
	if c.phase == open {
		s.broker.Closed(c.slot)
	}
	c.h.Abort()
	c.enter(free, s.now)
	c.start = 0
}
