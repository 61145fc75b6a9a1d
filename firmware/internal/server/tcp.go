package server

import (
	"io"
	"net"

	"github.com/midgemq/midge/firmware/internal/plan"
	"github.com/soypat/lneto"
	"github.com/soypat/lneto/tcp"
)

// Server is the node of an lneto stack that takes TCP. lneto has a listener of
// its own; this one has a fixed table, gives every connection its turn, and
// lets a newcomer have the place of one that is only saying goodbye.
var _ lneto.StackNode = (*Server)(nil)

// LocalPort implements lneto.StackNode.
func (s *Server) LocalPort() uint16 { return plan.Port }

// Protocol implements lneto.StackNode.
func (s *Server) Protocol() uint64 { return uint64(lneto.IPProtoTCP) }

// ConnectionID implements lneto.StackNode.
func (s *Server) ConnectionID() *uint64 { return &s.id }

// Demux implements lneto.StackNode: it takes a segment, behind its IPv4 header.
func (s *Server) Demux(packet []byte, off int) error {
	f, err := tcp.NewFrame(packet[off:])
	if err != nil {
		return err
	}
	addr, port := [4]byte(packet[12:16]), f.SourcePort()
	c := s.find(addr, port)
	if c == nil {
		if c = s.open(f, addr); c == nil {
			return lneto.ErrPacketDrop
		}
	}
	err = c.h.Recv(packet[off:])
	if err == net.ErrClosed {
		s.drop(c)
		return nil // ErrClosed would take the server off the stack
	}
	if err == nil && c.probe(f) {
		c.probed, c.seq = true, f.Ack()
	}
	return err
}

// probe reports whether a segment wants nothing but an answer: TCP's keep-alive
// and its question for a window that was closed look the same. lneto takes such
// a segment and stays silent.
func (c *conn) probe(f tcp.Frame) bool {
	_, flags := f.OffsetAndFlags()
	return c.phase == open && flags == tcp.FlagACK && f.Seq() == c.acked-1 && len(f.Payload()) == 0
}

// answer writes the acknowledgement that a probe asks for.
func (c *conn) answer(f tcp.Frame) int {
	c.probed = false
	f.SetSourcePort(plan.Port)
	f.SetDestinationPort(c.h.RemotePort())
	f.SetSegment(tcp.Segment{SEQ: c.seq, ACK: c.acked, WND: tcp.Size(c.h.FreeInput()), Flags: tcp.FlagACK}, header/4)
	f.SetUrgentPtr(0)
	return header
}

const header = 20 // bytes of TCP's header, without options

// find returns the connection with the peer.
func (s *Server) find(addr [4]byte, port uint16) *conn {
	for i := range s.conns {
		if c := &s.conns[i]; c.phase != free && c.addr == addr && c.h.RemotePort() == port {
			return c
		}
	}
	return nil
}

// open answers a segment that belongs to no connection: with a new one, or with
// a reset.
func (s *Server) open(f tcp.Frame, addr [4]byte) *conn {
	_, flags := f.OffsetAndFlags()
	if !flags.HasAll(tcp.FlagSYN) || flags.HasAny(tcp.FlagACK) {
		if flags.HasAny(tcp.FlagACK) && !flags.HasAny(tcp.FlagRST) {
			s.rst.Queue(addr[:], f.SourcePort(), plan.Port, f.Ack(), 0, tcp.FlagRST)
		}
		return nil
	}
	c := s.vacant()
	if c == nil {
		s.rst.Queue(addr[:], f.SourcePort(), plan.Port, 0, f.Seq()+1, tcp.FlagRST|tcp.FlagACK)
		return nil
	}
	s.iss += 64123 + tcp.Value(s.now)
	if err := c.h.OpenListen(plan.Port, s.iss); err != nil {
		return nil
	}
	c.addr, c.start, c.again = addr, 0, s.now+resend
	c.enter(opening, s.now)
	return c
}

// vacant finds a place for a newcomer: a free one, else that of the connection
// which has been on its way in or out for the longest.
func (s *Server) vacant() *conn {
	var oldest *conn
	for i := range s.conns {
		c := &s.conns[i]
		switch c.phase {
		case free:
			return c
		case opening, closing:
			if oldest == nil || c.since < oldest.since {
				oldest = c
			}
		case open:
		}
	}
	if oldest != nil {
		s.drop(oldest)
	}
	return oldest
}

// Encapsulate implements lneto.StackNode: it writes the next segment that is to
// go out, if any, and whom it is for into the IPv4 header before it.
func (s *Server) Encapsulate(packet []byte, ip, off int) (int, error) {
	for range s.conns {
		c := &s.conns[s.turn]
		if s.turn++; s.turn == len(s.conns) {
			s.turn = 0
		}
		if c.phase == free {
			continue
		}
		f, _ := tcp.NewFrame(packet[off:]) // there is room for a whole segment
		n, err := c.h.Send(packet[off:])
		if n > 0 {
			c.acked, c.probed = f.Ack(), false
		} else if c.probed {
			n, err = c.answer(f), nil
		}
		if err == net.ErrClosed || err == io.EOF {
			s.drop(c)
			continue
		}
		if n > 0 && err == nil {
			copy(packet[ip+16:ip+20], c.addr[:])
			return n, nil
		}
	}
	return s.rst.Drain(packet, ip, off)
}
