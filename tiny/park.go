package tiny

import "github.com/midgemq/midge/mqtt"

// A message that finds no room is parked: it lies in the slab, unacknowledged,
// until everybody who is to have it has room. Its publisher is read on, for its
// acknowledgements may be what makes the room. Parked messages of one client
// stand in line, so that they are taken and acknowledged as they came.
// They belong to the connection: the client sends again what was never
// acknowledged.
//
// Behind a parked message in the slab stand the next one, its packet
// identifier, and the reason code if it is to be refused when its turn comes.
const parkedPart = 5

// park puts a message at the end of its publisher's line.
func (b *Broker) park(s *session, h handle, id mqtt.PacketID, code mqtt.ReasonCode) {
	o := b.parkedOf(h)
	put16(o, 0)
	put16(o[2:], uint16(id))
	o[4] = byte(code)
	if s.npark == 0 {
		s.parkA = h
	} else {
		put16(b.parkedOf(s.parkZ), uint16(h))
	}
	s.parkZ = h
	s.npark++
	b.parked++
	b.stats.Held++
}

// parkedOf is the part of a parked message that says so.
func (b *Broker) parkedOf(h handle) []byte {
	o := b.slab.bytes(h)
	return o[len(o)-parkedPart:]
}

// unpark takes what has found room meanwhile.
func (b *Broker) unpark() {
	if b.parked == 0 || b.tried == b.freed {
		return
	}
	b.tried = b.freed
	for misses := 0; misses < len(b.sessions); misses++ {
		// In turn, from behind the last one served, so that nobody is passed by.
		if b.turn++; int(b.turn) >= len(b.sessions) {
			b.turn = 0
		}
		if s := &b.sessions[b.turn]; s.npark > 0 && b.unparkOne(s) {
			misses = -1
		}
	}
}

// unparkOne takes the message at the head of a line, if it can be.
func (b *Broker) unparkOne(s *session) bool {
	c := &b.conns[s.conn-1]
	if c.n == maxReplies {
		return false
	}
	h := s.parkA
	v, o := b.view(h), b.parkedOf(h)
	id, code := mqtt.PacketID(get16(o[2:])), mqtt.ReasonCode(o[4])
	if !code.Failed() {
		if code = b.verdict(c, v.topic, s.at, v.qos); code == wait {
			return false
		}
	}
	s.parkA = handle(get16(o))
	s.npark--
	b.parked--
	if s.in.Holds(id) { // 3.1 may send again on a live connection
		b.slab.drop(h)
		s.in.Publish(v.qos, id)
		s.in.Ack(id, mqtt.Success)
		b.acknowledge(c)
		return true
	}
	b.accept(c, h, v.qos, v.retain, id, code)
	return true
}

// dropParked forgets a line, as when its connection ends.
func (b *Broker) dropParked(s *session) {
	for ; s.npark > 0; s.npark-- {
		next := handle(get16(b.parkedOf(s.parkA)))
		b.slab.drop(s.parkA)
		s.parkA = next
		b.parked--
	}
}
