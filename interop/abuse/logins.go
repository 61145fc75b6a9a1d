package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// protected is what attacks on the door are met with: the defaults, but that
// loopback is no exception.
const protected = `
[protect]
exempt = []
`

// protectedBriefly is that for a few seconds.
const protectedBriefly = protected + `
failed_logins = 5
flaps = 5
takeovers = 3
`

// failedLogins guesses passwords, each guess a new one on a new connection.
var failedLogins = attack{
	name:   "failed-logins",
	about:  "10,000 wrong passwords a second, from 20 addresses",
	config: protected,
	brief:  protectedBriefly,
	strike: func(ctx context.Context, f *field) error {
		var n atomic.Uint64
		return flood(ctx, f, 10_000, 20, func(string) (id, user, password string) {
			i := n.Add(1)
			return fmt.Sprint("guess-", i), "bystander", fmt.Sprint("wrong ", i)
		})
	},
	judge: func(r *result) error {
		if r.heard("banned") == 0 && r.heard("closed") == 0 {
			return errors.New("the attacker was neither told of a ban nor turned away")
		}
		if r.heard("let in") > 0 {
			return errors.New("somebody was let in")
		}
		return nil
	},
}

// flood has rate connections a second come from a few addresses, each with a
// CONNECT whose answer is awaited for a moment: who waits for long does less.
func flood(ctx context.Context, f *field, rate, homes int, who func(home string) (id, user, password string)) error {
	pace := newPace(f.scale(rate))
	homes = f.scale(homes)
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			for pace.wait(ctx) == nil {
				home := source(i % homes)
				c, err := dialRaw(ctx, home, f.addr)
				if err != nil {
					if ctx.Err() == nil {
						f.tell("not connected")
					}
					continue
				}
				c.Write(hello(who(home)))
				f.tell("%s", c.answer(100*time.Millisecond))
				c.Close()
			}
		})
	}
	all.Wait()
	return nil
}

// heard is how often the attacker was told something with text in it.
func (r *result) heard(text string) (n uint64) {
	for what, times := range r.Told {
		if strings.Contains(what, text) {
			n += times
		}
	}
	return n
}

// A pace lets so many a second pass.
type pace struct {
	mu    sync.Mutex
	next  time.Time // guarded by mu
	every time.Duration
}

func newPace(rate int) *pace {
	return &pace{next: time.Now(), every: time.Second / time.Duration(rate)}
}

// wait waits for the next turn. What is late is made up for, ten milliseconds at
// most: no attack in bursts, unless it is meant.
func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	if late := time.Now().Add(-10 * time.Millisecond); p.next.Before(late) {
		p.next = late
	}
	turn := p.next
	p.next = turn.Add(p.every)
	p.mu.Unlock()
	if d := time.Until(turn); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}
