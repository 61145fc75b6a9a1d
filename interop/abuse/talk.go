package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// enter logs mallory in, from an address of its own.
func enter(ctx context.Context, addr, id string) (*raw, error) {
	c, err := dialRaw(ctx, source(0), addr)
	if err != nil {
		return nil, err
	}
	c.Write(hello(id, "mallory", "mallory"))
	if said := c.answer(patience); said != "let in" {
		c.Close()
		return nil, errors.New("CONNECT: " + said)
	}
	c.SetReadDeadline(time.Time{})
	c.SetWriteBuffer(64 << 10) // what the broker does not read is soon noticed
	c.r = bufio.NewReaderSize(c.TCPConn, 64<<10)
	return c, nil
}

// next returns the next packet; its body is good until the next call.
func (c *raw) next() (h packet.Header, body []byte, err error) {
	var head []byte
	for n := 2; ; n++ {
		if head, err = c.r.Peek(n); err != nil {
			return h, nil, err
		}
		if h, err = packet.ReadHeader(head); err == nil {
			break
		} else if err != packet.ErrShort {
			return h, nil, err
		}
	}
	c.r.Discard(h.Size)
	if cap(c.body) < h.Len {
		c.body = make([]byte, h.Len)
	}
	_, err = io.ReadFull(c.r, c.body[:h.Len])
	return h, c.body[:h.Len], err
}

// codes notes what each acknowledgement says until the connection ends.
func (c *raw) codes(f *field, t packet.Type) {
	for {
		h, body, err := c.next()
		if err != nil {
			return
		}
		switch h.Type {
		case t:
			f.tell("%s", ack(t, body))
		case packet.DISCONNECT:
			code := mqtt.Success
			if len(body) > 0 {
				code = mqtt.ReasonCode(body[0])
			}
			f.tell("DISCONNECT 0x%02X %v", byte(code), code)
		}
	}
}

// ack is what an acknowledgement says, in words.
func ack(t packet.Type, body []byte) string {
	code := mqtt.Success
	if len(body) > 2 {
		code = mqtt.ReasonCode(body[2])
	}
	if code == mqtt.NoMatchingSubscribers {
		code = mqtt.Success
	}
	return fmt.Sprintf("%v 0x%02X %v", t, byte(code), code)
}
