package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// rated bounds each client to 1,000 messages a second.
const rated = `
[limits]
client_message_rate = 1000
`

// heldFlood and refusedFlood publish at 100 times their rate.
var (
	heldFlood = attack{
		name:   "flood-held",
		about:  "100,000 messages a second at QoS 0 from a client that may publish 1,000: it is held back",
		config: rated,
		strike: func(ctx context.Context, f *field) error { return publishAll(ctx, f, mqtt.AtMostOnce) },
		judge: func(r *result) error {
			if r.heard("held back") == 0 {
				return errors.New("the attacker was not held back")
			}
			return nil
		},
	}
	refusedFlood = attack{
		name:   "flood-refused",
		about:  "the same at QoS 1, with over_rate = refuse",
		config: rated + "over_rate = \"refuse\"\n",
		strike: func(ctx context.Context, f *field) error { return publishAll(ctx, f, mqtt.AtLeastOnce) },
		judge: func(r *result) error {
			if r.heard("quota exceeded") == 0 || r.heard("success") == 0 {
				return errors.New("want some messages taken and the others refused")
			}
			return nil
		},
	}
)

// publishAll has one client publish 100,000 messages a second as far as it gets
// them out, a hundred at a time.
func publishAll(ctx context.Context, f *field, q mqtt.QoS) error {
	const rate, lot = 100_000, 100
	c, err := enter(ctx, f.addr, "flood")
	if err != nil {
		return err
	}
	defer c.Close()
	var reader sync.WaitGroup
	reader.Go(func() { c.codes(f, packet.PUBACK) })
	defer reader.Wait()
	defer c.Close()
	pace := newPace(f.scale(rate / lot))
	var b []byte
	for id := 0; pace.wait(ctx) == nil; {
		b = b[:0]
		for range lot {
			m := packet.Publish{Topic: fmt.Appendf(nil, "flood/%d", id%1000), QoS: q, Payload: make([]byte, 64)}
			if id++; q > 0 {
				m.ID = mqtt.PacketID(1 + id%60_000)
			}
			b = m.Append(b, mqtt.V5)
		}
		if err := c.push(ctx, f, b); err != nil {
			return nil // it was said
		}
		if q == mqtt.AtMostOnce {
			f.tells(lot, "taken by the socket")
		}
	}
	return nil
}

// stall is how long a write has to take until the broker is said to hold it back.
const stall = 100 * time.Millisecond

// push writes b, and notes each time that the broker does not read.
func (c *raw) push(ctx context.Context, f *field, b []byte) error {
	for len(b) > 0 && ctx.Err() == nil {
		c.SetWriteDeadline(time.Now().Add(stall))
		n, err := c.Write(b)
		b = b[n:]
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			f.tell("held back for 100 ms")
		case err != nil:
			f.tell("cut off")
			return err
		}
	}
	return ctx.Err()
}
