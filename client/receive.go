package client

import (
	"github.com/midgemq/midge/flow"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// arrives takes the identifier of a QoS 1 or 2 message. deliver is false for
// one that is here already.
func (s *session) arrives(c *Conn, p *packet.Publish) (deliver bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.receiving.Publish(p.QoS, p.ID) {
	case flow.Excess:
		return false, &packet.Error{Code: mqtt.ReceiveMaximumExceeded, Text: "more messages at once than the Receive Maximum"}
	case flow.Clash:
		return false, &packet.Error{Code: mqtt.ProtocolError, Text: "QoS 1 message under the identifier of an open QoS 2 exchange"}
	case flow.Duplicate:
		if _, still := s.handling[p.ID]; !still {
			s.receiving.Ack(p.ID, mqtt.Success)
			s.receiptsLocked(c)
		}
		return false, nil
	}
	if p.QoS == mqtt.ExactlyOnce {
		s.handling[p.ID] = struct{}{}
	}
	return true, nil
}

// acknowledge marks a message as dealt with. A QoS 1 message belongs to its
// connection; one of QoS 2 to the session, whatever connection it is on now.
func (s *session) acknowledge(m *Message, code mqtt.ReasonCode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.QoS == mqtt.ExactlyOnce {
		return s.acknowledgeOnceLocked(m, code)
	}
	if s.closed != nil || m.from != s.conn {
		return ErrStaleAck
	}
	s.receiving.Ack(m.id, code)
	s.receiptsLocked(s.conn)
	return nil
}

func (s *session) acknowledgeOnceLocked(m *Message, code mqtt.ReasonCode) error {
	if m.era != s.era {
		return ErrStaleAck
	}
	if _, open := s.handling[m.id]; !open {
		return nil
	}
	if s.closed != nil {
		return s.holdLocked(m.id, code)
	}
	delete(s.handling, m.id)
	if !code.Failed() && !s.persistLocked(Op{Key: heldKey(m.id)}) {
		return s.closed
	}
	s.receiving.Ack(m.id, code)
	if s.conn != nil {
		s.receiptsLocked(s.conn)
	}
	if code.Failed() {
		// Sent again, it is a new message: it is not to be taken for one
		// that was accepted.
		s.receiving.Pubrel(m.id)
	}
	return nil
}

// holdLocked notes in the store a message dealt with while the client was
// being closed, so that the next program does not do it again.
func (s *session) holdLocked(id mqtt.PacketID, code mqtt.ReasonCode) error {
	if s.store == nil || s.shut || s.closed != ErrClosed || code.Failed() {
		return ErrStaleAck
	}
	delete(s.handling, id)
	if s.store.Apply([]Op{{Key: heldKey(id)}}) != nil {
		return ErrStaleAck
	}
	return nil
}

// receiptsLocked sends the acknowledgements that are due, in order of arrival
// [MQTT-4.6.0-2] [MQTT-4.6.0-3].
func (s *session) receiptsLocked(c *Conn) {
	for {
		r, ok := s.receiving.Next()
		if !ok {
			break
		}
		t := packet.PUBACK
		if r.QoS == mqtt.ExactlyOnce {
			t = packet.PUBREC
		}
		c.ackLocked(t, r.ID, r.Code)
	}
	c.wakeWriter()
}

// pubrel ends a QoS 2 exchange the server began.
func (s *session) pubrel(c *Conn, id mqtt.PacketID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := mqtt.PacketIdentifierNotFound
	if s.receiving.Pubrel(id) {
		code = mqtt.Success
		delete(s.handling, id)
		if s.store != nil && !s.persistLocked(Op{Key: heldKey(id), Delete: true}) {
			return
		}
	}
	c.ackLocked(packet.PUBCOMP, id, code)
	c.wakeWriter()
}

// unhold forgets a QoS 2 message that was never complete.
func (s *session) unhold(id mqtt.PacketID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.handling, id)
	s.receiving.Pubrel(id)
}
