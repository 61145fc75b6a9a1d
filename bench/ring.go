package bench

import (
	"encoding/binary"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A message's payload begins with this; what follows it is filling.
//
//	0  publisher  uint32
//	4  number     uint32
//	8  due        int64, ns since the load's start; 0 where no rate is fixed
const stampSize = 16

// A stamp is what a payload begins with.
type stamp struct {
	publisher, number uint32
	due               int64
}

func (s stamp) put(b []byte) {
	binary.BigEndian.PutUint32(b, s.publisher)
	binary.BigEndian.PutUint32(b[4:], s.number)
	binary.BigEndian.PutUint64(b[8:], uint64(s.due))
}

func readStamp(b []byte) stamp {
	return stamp{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), int64(binary.BigEndian.Uint64(b[8:]))}
}

// A ring is a publisher's packets, encoded once and all of the same size, one
// behind the other, so that a run of them goes out in one write.
type ring struct {
	b      []byte
	size   int // of a packet
	n      int // packets
	id     int // where in a packet its identifier is; 0: QoS 0
	stamp  int // where its payload is
	sender uint32
}

// newRing encodes n packets; topics have to be of one length.
func newRing(sender uint32, v mqtt.Version, q mqtt.QoS, retain bool, payload, n int, topic func(i int) string) ring {
	p := packet.Publish{QoS: q, Retain: retain, Payload: make([]byte, payload)}
	if q > 0 {
		p.ID = 1
	}
	for i := range p.Payload {
		p.Payload[i] = 'a' + byte(i%26)
	}
	r := ring{n: n, sender: sender}
	for i := range n {
		p.Topic = []byte(topic(i))
		if i == 0 {
			r.size = p.Size(v)
			r.b = make([]byte, 0, n*r.size)
			r.stamp = r.size - payload
			if q > 0 {
				h, _ := packet.ReadHeader(p.Append(nil, v)) // just encoded
				r.id = h.Size + 2 + len(p.Topic)
			}
		}
		r.b = p.Append(r.b, v)
	}
	if len(r.b) != n*r.size {
		panic("bench: topics of different lengths in a ring")
	}
	return r
}

// cut patches the packets for the numbers from first on, at most count of
// them, and returns those that stand in one piece.
func (r *ring) cut(first uint32, count int, at schedule) ([]byte, int) {
	slot := int(first) % r.n
	count = min(count, r.n-slot)
	b := r.b[slot*r.size : (slot+count)*r.size]
	for i := range count {
		number := first + uint32(i)
		p := b[i*r.size:]
		if r.id > 0 {
			binary.BigEndian.PutUint16(p[r.id:], idOf(number))
		}
		stamp{r.sender, number, at.due(number)}.put(p[r.stamp:])
	}
	return b, count
}

// idOf is the packet identifier of a number: 1 to 65535, and again.
func idOf(number uint32) uint16 { return uint16(number%65535) + 1 }
