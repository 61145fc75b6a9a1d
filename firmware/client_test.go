package firmware

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// A client speaks just enough MQTT to count messages. It shares no code with
// the broker, so that the two cannot be wrong in the same way.
type client struct {
	net.Conn
	r       *bufio.Reader
	w       *bufio.Writer
	version byte // 4 or 5
}

// Packet types, as they stand in the first byte.
const (
	connect   = 0x10
	connack   = 0x20
	publish   = 0x30
	puback    = 0x40
	pubrec    = 0x50
	pubrel    = 0x62
	pubcomp   = 0x70
	subscribe = 0x82
	suback    = 0x90
)

// deadline is how long any conversation may take.
const deadline = 4 * time.Minute

func field(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// dial connects and returns the CONNACK's code.
func dial(t *testing.T, addr, id string, version byte, keepAlive uint16, will string) (*client, byte) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(deadline))
	c := &client{conn, bufio.NewReader(conn), bufio.NewWriter(conn), version}
	flags := byte(2) // clean start
	if will != "" {
		flags |= 4
	}
	body := append(field("MQTT"), version, flags, byte(keepAlive>>8), byte(keepAlive))
	body = c.properties(body)
	body = append(body, field(id)...)
	if will != "" {
		body = c.properties(body)
		body = append(body, field(will)...)
		body = append(body, field("gone")...)
	}
	c.send(connect, body)
	head, ack, err := c.next()
	if err != nil || head != connack || len(ack) < 2 {
		t.Fatalf("%s: %x %x %v, want CONNACK", id, head, ack, err)
	}
	return c, ack[1]
}

// join is dial for a client that must be let in.
func join(t *testing.T, addr, id string, version byte) *client {
	t.Helper()
	c, code := dial(t, addr, id, version, 0, "")
	if code != 0 {
		t.Fatalf("%s: CONNACK %#x", id, code)
	}
	return c
}

// properties appends none, where the version has them.
func (c *client) properties(b []byte) []byte {
	if c.version == 5 {
		return append(b, 0)
	}
	return b
}

// send writes a packet; a fault of the connection shows when reading.
func (c *client) send(head byte, body []byte) {
	c.queue(head, body)
	_ = c.w.Flush()
}

func (c *client) queue(head byte, body []byte) {
	_ = c.w.WriteByte(head)
	n := len(body)
	for ; n > 127; n >>= 7 {
		_ = c.w.WriteByte(byte(n) | 128)
	}
	_ = c.w.WriteByte(byte(n))
	_, _ = c.w.Write(body)
}

// next reads a packet.
func (c *client) next() (head byte, body []byte, err error) {
	if head, err = c.r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(c.r) // the same code, as long as it is short
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(c.r, body)
	return head, body, err
}

func (c *client) subscribe(t *testing.T, filter string, qos byte) {
	t.Helper()
	c.send(subscribe, append(append(c.properties([]byte{0, 1}), field(filter)...), qos))
	if head, body, err := c.next(); err != nil || head != suback || body[len(body)-1] != qos {
		t.Fatalf("SUBSCRIBE %s: %x %x %v", filter, head, body, err)
	}
}

// publishAll publishes the messages 0 to n-1, no more than window of them
// unacknowledged. At QoS 0 one more follows at QoS 1: the end.
func (c *client) publishAll(topic string, qos byte, n, window int) error {
	if qos == 0 {
		for seq := range n {
			c.message(topic, 0, seq, 0)
		}
		c.message(topic, 1, n, 1)
		return c.acknowledged(1)
	}
	acked := 0
	for sent := 0; acked < n; {
		for ; sent < n && sent-acked < window; sent++ {
			c.message(topic, qos, sent, uint16(sent%window+1))
		}
		if err := c.acknowledged(1); err != nil {
			return fmt.Errorf("%s: message %d: %w", topic, acked, err)
		}
		acked++
	}
	return nil
}

// message queues a message of 64 bytes that begins with its number.
func (c *client) message(topic string, qos byte, seq int, id uint16) {
	body := field(topic)
	if qos > 0 {
		body = binary.BigEndian.AppendUint16(body, id)
	}
	body = binary.BigEndian.AppendUint32(c.properties(body), uint32(seq))
	c.queue(publish|qos<<1, append(body, make([]byte, 60)...))
}

// acknowledged waits for n PUBACK or PUBCOMP.
func (c *client) acknowledged(n int) error {
	if err := c.w.Flush(); err != nil {
		return err
	}
	for n > 0 {
		head, body, err := c.next()
		if err != nil {
			return err
		}
		if len(body) > 2 && body[2] >= 0x80 {
			return fmt.Errorf("refused with %#x", body[2])
		}
		switch head {
		case puback, pubcomp:
			n--
		case pubrec:
			c.send(pubrel, body[:2])
		default:
			return fmt.Errorf("packet %#x", head)
		}
	}
	return nil
}

// collect expects what publishAll publishes, each message once and in order,
// acknowledges it, and returns how many were missing, which only QoS 0 may be.
// The subscription is of QoS 1 at least.
func (c *client) collect(qos byte, n int) (missing int, err error) {
	end := n
	if qos == 0 {
		end++
	}
	for expected := 0; expected < end; {
		head, body, err := c.next()
		if err != nil {
			return missing, fmt.Errorf("after %d: %w", expected, err)
		}
		if head == pubrel {
			c.queue(pubcomp, body[:2])
		} else {
			got, err := c.number(head, body)
			if err != nil || got < expected || (qos > 0 && got > expected) {
				return missing, fmt.Errorf("message %d in place of %d (%v)", got, expected, err)
			}
			missing += got - expected
			expected = got + 1
		}
		if c.r.Buffered() == 0 {
			if err := c.w.Flush(); err != nil {
				return missing, err
			}
		}
	}
	return missing, c.w.Flush()
}

// number takes a message's number out of it, and acknowledges it.
func (c *client) number(head byte, body []byte) (int, error) {
	if head&^0x06 != publish || len(body) < 66 {
		return -1, fmt.Errorf("packet %#x of %d bytes", head, len(body))
	}
	at := 2 + int(binary.BigEndian.Uint16(body))
	switch head & 0x06 {
	case 1 << 1:
		c.queue(puback, body[at:at+2])
	case 2 << 1:
		c.queue(pubrec, body[at:at+2])
	}
	return int(binary.BigEndian.Uint32(body[len(body)-64:])), nil
}

// closed waits until the other end has closed the connection.
func (c *client) closed(t *testing.T) {
	t.Helper()
	for {
		_, _, err := c.next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
