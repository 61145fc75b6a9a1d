package server

import (
	"time"

	"github.com/midgemq/midge/firmware/internal/plan"
	"github.com/midgemq/midge/tiny"
	"github.com/soypat/lneto/tcp"
)

// phase is where a connection is in its life.
type phase uint8

const (
	free    phase = iota
	opening       // TCP's handshake
	open          // has a slot of the broker
	closing       // the broker has forgotten it; TCP says goodbye
)

const (
	handshake = 5 * time.Second // longest life in phase opening
	goodbye   = 5 * time.Second // and in phase closing
	resend    = time.Second     // between two SYN-ACKs
)

// conn is a TCP connection with its buffers.
type conn struct {
	h     tcp.Handler
	loss  tcp.RTO
	addr  [4]byte
	phase phase
	slot  tiny.Slot
	since time.Duration // in this phase
	again time.Duration // when the SYN-ACK is due again
	start int           // of the unread bytes in in

	acked  tcp.Value // what we acknowledged last
	probed bool      // the peer asks whether we are there, or have room again
	seq    tcp.Value // to answer it with

	in  [plan.In]byte
	out [plan.Out]byte
}

func (c *conn) enter(p phase, now time.Duration) { c.phase, c.since = p, now }

// unread returns the received bytes that lie in one piece, and whether there
// are more behind them, at the front of the ring. It must know where lneto's
// ring begins, which lneto does not tell; read keeps count.
func (c *conn) unread() (p []byte, wraps bool) {
	n := c.h.BufferedInput()
	end := c.start + n
	return c.in[c.start:min(end, len(c.in))], end > len(c.in)
}

// gather copies the unread bytes, which wrap, into one piece.
func (c *conn) gather(dst []byte) []byte {
	p, _ := c.unread()
	n := copy(dst, p)
	n += copy(dst[n:], c.in[:c.h.BufferedInput()-n])
	return dst[:n]
}

// read takes n bytes off the ring, which copies them: dst is good for nothing
// afterwards. A ring that is emptied begins at its front again.
func (c *conn) read(dst []byte, n int) {
	rest := c.h.BufferedInput() - n
	if got, err := c.h.Read(dst[:n]); got != n || err != nil {
		panic("server: the ring lost count")
	}
	c.start += n
	if c.start >= len(c.in) {
		c.start -= len(c.in)
	}
	if rest == 0 {
		c.start = 0
	}
}
