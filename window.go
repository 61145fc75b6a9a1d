package midge

import "github.com/midgemq/midge/flow"

// inbound is the window of messages from the client of c, which owns s.
func (s *session) inbound(c *conn) *flow.Inbound {
	if s.in == nil {
		s.in = new(flow.Inbound)
		s.in.Resume(c.in.Limits().ReceiveMaximum)
	}
	return s.in
}

// outLocked is the window of messages to the client.
func (s *session) outLocked() *flow.Outbound[delivery] {
	if s.out == nil {
		s.ownLocked() // for flying
		s.out = new(flow.Outbound[delivery])
		s.out.Init(s.b.set.MaxInflight, nil)
		if c := s.conn.Load(); c != nil {
			s.out.Resume(s.windowOf(c))
		}
	}
	return s.out
}

// windowOf is how many messages may be on their way to the client of c.
func (s *session) windowOf(c *conn) uint16 {
	return min(c.outbox.w.Peer().ReceiveMaximum, uint16(s.b.set.MaxInflight))
}

func (s *session) inflightLocked() int {
	if s.out == nil {
		return 0
	}
	return s.out.Len()
}

// slim gives back the windows of a client that has had nothing to say for as
// long as to have to ping. The connection in charge calls it.
func (s *session) slim() {
	if s.in != nil && s.in.Idle() {
		s.in = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inflightLocked() == 0 {
		s.out = nil
	}
	s.disownLocked()
}
