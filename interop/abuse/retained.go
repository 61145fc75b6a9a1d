package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// manyRetained is how much there is to replay.
const manyRetained = 1_000_000

// replay and refusedReplay subscribe to all of it.
var (
	replay = attack{
		name:    "replay",
		about:   "4 subscribers to # on 1,000,000 retained messages, over and over, 500,000 a second in all",
		config:  "\n[limits]\nreplay_rate = 500000\n",
		prepare: retainMany,
		strike: func(ctx context.Context, f *field) error {
			return each(ctx, 4, func(i int) error { return replayAll(ctx, f, i) })
		},
		judge: func(r *result) error {
			if r.heard("a thousand retained messages") == 0 {
				return errors.New("nothing was replayed")
			}
			return nil
		},
	}
	refusedReplay = attack{
		name:    "replay-refused",
		about:   "the same, with max_replay = 1000",
		config:  "\n[limits]\nmax_replay = 1000\n",
		prepare: retainMany,
		strike: func(ctx context.Context, f *field) error {
			return each(ctx, 4, func(i int) error { return replayAll(ctx, f, i) })
		},
		judge: func(r *result) error {
			if f := min(r.heard("quota exceeded"), r.Done); f == 0 {
				return errors.New("the attacker was not told 0x97")
			}
			return nil
		},
	}
)

// each runs n attackers at once.
func each(ctx context.Context, n int, run func(i int) error) error {
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() { errs[i] = run(i) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errs...)
}

// retainMany sets the scene: messages of 64 bytes.
func retainMany(ctx context.Context, f *field) error {
	c, err := enter(ctx, f.addr, "gardener")
	if err != nil {
		return err
	}
	defer c.Close()
	n := f.scale(manyRetained)
	payload := make([]byte, 64)
	var b []byte
	for i := range n {
		m := packet.Publish{Topic: fmt.Appendf(nil, "plant/%d/leaf/%d", i%1000, i), Payload: payload, Retain: true}
		if b = m.Append(b, mqtt.V5); len(b) > 60_000 || i == n-1 {
			c.SetWriteDeadline(time.Now().Add(patience))
			if _, err := c.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	if _, err := c.Write([]byte{0xC0, 0}); err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(patience))
	_, err = io.ReadFull(c, b[:2]) // PINGRESP: all has been taken
	return err
}

// replayAll subscribes to everything, reads all of what that brings, and does it
// again.
func replayAll(ctx context.Context, f *field, i int) error {
	c, err := enter(ctx, f.addr, fmt.Sprint("greedy-", i))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	defer c.Close()
	s := packet.Subscribe{ID: 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("plant/#")})}
	pace := newPace(100)
	for pace.wait(ctx) == nil {
		if _, err := c.Write(s.Append(nil, mqtt.V5)); err != nil {
			return nil
		}
		if c.replayed(f, f.scale(manyRetained)) != nil {
			return nil
		}
	}
	return nil
}

// replayed reads until n retained messages have come, or a refusal.
func (c *raw) replayed(f *field, n int) error {
	for came := 0; came < n; {
		h, body, err := c.next()
		switch {
		case err != nil:
			return err
		case h.Type == packet.SUBACK && body[len(body)-1] >= 0x80:
			f.tell("SUBACK 0x%02X %v", body[len(body)-1], mqtt.ReasonCode(body[len(body)-1]))
			return nil
		case h.Type == packet.PUBLISH:
			if came++; came%1000 == 0 {
				f.tell("a thousand retained messages")
			}
		}
	}
	return nil
}

// bomb fills the broker's memory with topics.
var bomb = attack{
	name:  "topic-bomb",
	about: "10 clients that retain and subscribe to topics of 100 levels, no two the same, as fast as they can; max_memory is 64 MiB",
	config: `
[limits]
max_memory = "64MiB"
max_subscriptions = 1000000
`,
	strike: func(ctx context.Context, f *field) error {
		return each(ctx, 10, func(i int) error { return plant(ctx, f, i) })
	},
	judge: func(r *result) error {
		if r.heard("quota exceeded") == 0 {
			return errors.New("the attacker was not told 0x97")
		}
		// What is held, the collector's share of it, and the process itself.
		if most := int64(64+16+64+48) << 20; r.Memory.Peak > most {
			return fmt.Errorf("memory is %d MiB, want at most %d", r.Memory.Peak>>20, most>>20)
		}
		return nil
	},
}

// plant retains and subscribes until ctx ends, twenty of each at a time.
func plant(ctx context.Context, f *field, i int) error {
	c, err := enter(ctx, f.addr, fmt.Sprint("bomber-", i))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	defer c.Close()
	for ctx.Err() == nil {
		const lot = 20
		var b []byte
		for n := range lot {
			topic := []byte(fmt.Sprint("bomb/", rand.Uint64(), strings.Repeat("/x", 98)))
			m := packet.Publish{Topic: topic, QoS: 1, ID: mqtt.PacketID(n + 1), Payload: []byte("x"), Retain: true}
			b = m.Append(b, mqtt.V5)
			s := packet.Subscribe{ID: mqtt.PacketID(n + 1 + lot), Filters: packet.Filters(nil).Add(packet.Subscription{Filter: append(topic, "/+"...)})}
			b = s.Append(b, mqtt.V5)
		}
		if c.push(ctx, f, b) != nil {
			return nil
		}
		for range 2 * lot {
			h, body, err := c.next()
			switch {
			case err != nil:
				return nil
			case h.Type == packet.PUBACK:
				f.tell("%s", ack(h.Type, body))
			case h.Type == packet.SUBACK:
				f.tell("SUBACK 0x%02X %v", body[len(body)-1], mqtt.ReasonCode(body[len(body)-1]))
			}
		}
	}
	return nil
}
