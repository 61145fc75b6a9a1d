package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A client is a peer under load: it publishes, subscribes, or both. Its
// goroutine, receive, owns everything but the counters.
type client struct {
	*peer
	id  string
	pub *publisher // nil: none

	// As a subscriber.
	first   int      // publisher streams[0] is of
	streams []stream // none: no subscriber
	touched []uint32
	senders []*publisher // of all streams
	epoch   time.Time
	latency *Histogram // nil: not measured
	record  *atomic.Bool

	out      []byte // acknowledgements for what this batch brought
	answers  uint32 // exchanges of pub this batch ended
	expected uint32 // number whose PUBACK or PUBREC comes next
	batch    uint64 // new messages in this batch
	faults   Faults

	received atomic.Uint64 // messages, each once
}

// Faults are what the sequence numbers brought to light.
type Faults struct {
	Lost       uint64 `json:"lost"`
	Doubled    uint64 `json:"doubled"`
	Disordered uint64 `json:"disordered"` // behind one of the same publisher with a higher number
	Foreign    uint64 `json:"foreign"`    // no message of this run
	Refused    uint64 `json:"refused"`    // acknowledged with a failure
	BadAcks    uint64 `json:"bad_acks"`   // acknowledgements out of order
}

// Any reports whether there is a fault.
func (f Faults) Any() bool { return f != Faults{} }

func (f *Faults) add(g Faults) {
	f.Lost += g.Lost
	f.Doubled += g.Doubled
	f.Disordered += g.Disordered
	f.Foreign += g.Foreign
	f.Refused += g.Refused
	f.BadAcks += g.BadAcks
}

// receive reads until the connection ends, and says why it did.
func (c *client) receive() error {
	for {
		n, err := c.nc.Read(c.buf[c.w:])
		if c.w += n; n == 0 && err != nil {
			return err
		}
		if err := c.consume(); err != nil {
			return err
		}
		if err := c.settle(); err != nil {
			return err
		}
	}
}

// consume takes apart the whole packets of what was read.
func (c *client) consume() error {
	now := int64(0)
	if c.latency != nil && c.record.Load() {
		now = int64(time.Since(c.epoch))
	}
	need := 0
	for {
		b := c.buf[c.r:c.w]
		h, err := packet.ReadHeader(b)
		if err != nil {
			if !errors.Is(err, packet.ErrShort) {
				return err
			}
			break
		}
		size := h.Size + h.Len
		if len(b) < size {
			need = size
			break
		}
		body := b[h.Size:size]
		if h.Type == packet.PUBLISH {
			err = c.deliver(h.Flags, body, now)
		} else {
			err = c.answer(h.Type, body)
		}
		if err != nil {
			return err
		}
		c.r += size
	}
	if c.r == c.w {
		c.r, c.w = 0, 0
	} else if c.w == len(c.buf) || need > len(c.buf)-c.r {
		c.room(need)
	}
	return nil
}

var errShort = errors.New("PUBLISH too short")

// deliver takes note of one message.
func (c *client) deliver(flags byte, body []byte, now int64) error {
	if len(body) < 2 {
		return errShort
	}
	at := 2 + int(binary.BigEndian.Uint16(body))
	if qos := mqtt.QoS(flags >> 1 & 3); qos > 0 {
		if len(body) < at+2 {
			return errShort
		}
		kind := byte(packet.PUBACK) << 4
		if qos == mqtt.ExactlyOnce {
			kind = byte(packet.PUBREC) << 4
		}
		c.out = append(c.out, kind, 2, body[at], body[at+1])
		at += 2
	}
	if c.version == mqtt.V5 {
		n, size, err := varint(body, at)
		if err != nil {
			return err
		}
		at += size + n
	}
	if len(body) < at+stampSize {
		c.faults.Foreign++
		return nil
	}
	s := readStamp(body[at:])
	i := int(s.publisher) - c.first
	if i < 0 || i >= len(c.streams) {
		c.faults.Foreign++
		return nil
	}
	st := &c.streams[i]
	if !st.touched {
		st.touched, st.from = true, st.next
		c.touched = append(c.touched, uint32(i))
	}
	switch st.got(s.number) {
	case doubled:
		c.faults.Doubled++
		return nil
	case late:
		c.faults.Disordered++
	}
	c.batch++
	if now > 0 {
		c.latency.Record(time.Duration(now - s.due))
	}
	return nil
}

// varint reads a length at b[at:].
func varint(b []byte, at int) (v, size int, err error) {
	for shift := 0; shift < 28; shift += 7 {
		if at+size >= len(b) {
			return 0, 0, errShort
		}
		c := b[at+size]
		size++
		v |= int(c&0x7f) << shift
		if c < 0x80 {
			return v, size, nil
		}
	}
	return 0, 0, errShort
}

// answer handles whatever is no PUBLISH.
func (c *client) answer(t packet.Type, body []byte) error {
	switch t {
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
	case packet.DISCONNECT:
		return farewell(body)
	default:
		return nil
	}
	if len(body) < 2 {
		return fmt.Errorf("%v too short", t)
	}
	refused := len(body) > 2 && body[2] >= 0x80
	if refused {
		c.faults.Refused++
	}
	switch t {
	case packet.PUBREL:
		c.out = append(c.out, byte(packet.PUBCOMP)<<4, 2, body[0], body[1])
		return nil
	case packet.PUBCOMP:
		c.answers++
		return nil
	}
	if id := binary.BigEndian.Uint16(body); id != idOf(c.expected) {
		c.faults.BadAcks++
		c.expected += uint32(id) - uint32(idOf(c.expected)) // go on from here
	}
	c.expected++
	if t == packet.PUBACK || refused {
		c.answers++
		return nil
	}
	c.out = append(c.out, byte(packet.PUBREL)<<4|2, 2, body[0], body[1])
	return nil
}

// settle does what a batch leaves to do: acknowledge, and credit publishers.
func (c *client) settle() error {
	var err error
	if len(c.out) > 0 {
		_, err = c.nc.Write(c.out)
		c.out = c.out[:0]
	}
	for _, i := range c.touched {
		st := &c.streams[i]
		st.touched = false
		c.senders[c.first+int(i)].passed(st.from, st.next)
	}
	c.touched = c.touched[:0]
	if c.answers > 0 {
		c.pub.answered(c.answers)
		c.answers = 0
	}
	c.received.Add(c.batch)
	c.batch = 0
	return err
}

// lost counts what has not come, now that nothing will.
func (c *client) lost() (n uint64) {
	for i := range c.streams {
		st := &c.streams[i]
		n += uint64(c.senders[c.first+i].sent - min(st.next, c.senders[c.first+i].sent))
		for _, h := range st.holes {
			n += uint64(h.hi - h.lo)
		}
	}
	return n
}
