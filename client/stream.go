package client

import (
	"github.com/midgemq/midge/internal/readbuf"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A partial is a PUBLISH above StreamAbove on its way in. Owned by the reader.
type partial struct {
	m     Message
	left  int // bytes of payload to come; 0: there is no partial
	quiet bool
}

// partMax is how much of a payload one part holds.
const partMax = 64 << 10

// beginPart looks whether the packet at the front is a message to be handed
// over in parts. Its front without payload is then made a packet of its own
// for the link to judge, and what follows is taken by takePart.
func (c *Conn) beginPart(need int) bool {
	b := c.buf.Unread()
	if c.s.set.StreamAbove <= 0 || need <= c.s.set.StreamAbove {
		return false
	}
	h, err := packet.ReadHeader(b)
	if err != nil || h.Type != packet.PUBLISH || need != h.Size+h.Len {
		return false
	}
	front, ok := c.front(b[h.Size:], h)
	payload := h.Len - front
	if !ok || payload <= c.s.set.StreamAbove {
		return false
	}
	head := packet.AppendHeader(nil, packet.PUBLISH, h.Flags, front)
	head = append(head, b[h.Size:h.Size+front]...)
	_, n, _, err := c.in.Next(head, &c.packets)
	if err != nil || n == 0 {
		return false // the whole packet will be refused for it
	}
	p := &c.packets.Publish
	c.part = partial{m: c.message(p), left: payload}
	c.part.m.Total = payload
	if p.QoS > mqtt.AtMostOnce {
		deliver, err := c.s.arrives(c, p)
		if err != nil {
			return false
		}
		c.part.quiet = !deliver
	}
	c.s.count.received.Add(1)
	c.buf.Took(h.Size + front)
	return true
}

// front returns the length of what stands before a PUBLISH's payload, if all
// of it has been read.
func (c *Conn) front(b []byte, h packet.Header) (int, bool) {
	if len(b) < 2 {
		return 0, false
	}
	n := 2 + int(b[0])<<8 + int(b[1])
	if h.Flags>>1&3 > 0 {
		n += 2
	}
	if c.version == mqtt.V5 {
		size, width := 0, 0
		for shift := 0; ; shift += 7 {
			if len(b) < n+width+1 || width == 4 {
				return 0, false
			}
			v := b[n+width]
			size |= int(v&0x7F) << shift
			width++
			if v < 0x80 {
				break
			}
		}
		n += width + size
	}
	return n, len(b) >= n && n <= h.Len
}

// takePart hands over what has been read of the partial message. With wait
// there is more to be read first.
func (c *Conn) takePart() (took, wait bool) {
	if c.part.left == 0 {
		return false, false
	}
	b := c.buf.Unread()
	n := min(len(b), c.part.left, partMax)
	if n < min(c.part.left, readbuf.Min/2) {
		c.buf.Want(min(c.part.left, partMax))
		return false, true
	}
	m := c.part.m
	m.Payload = append(make([]byte, 0, n), b[:n]...)
	c.part.m.Offset += n
	c.part.left -= n
	c.buf.Took(n)
	if !c.part.quiet {
		c.push(m, true)
	}
	return true, false
}

// abandonPart says that no more parts come. The server sends the whole
// message again, if it owes it.
func (c *Conn) abandonPart() {
	if c.part.left == 0 || c.part.quiet {
		return
	}
	m := c.part.m
	if m.QoS == mqtt.ExactlyOnce {
		c.s.unhold(m.id)
	}
	if m.Offset > 0 {
		m.Total = -1
		c.push(m, true)
	}
}
