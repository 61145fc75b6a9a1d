package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// halfOpen holds connections that never say CONNECT; one that is closed comes
// again.
var halfOpen = attack{
	name:   "half-open",
	about:  "15,000 connections without CONNECT, from 150 addresses; those given up come again",
	config: protected,
	strike: holdAll(150),
	judge: func(r *result) error {
		if r.Under.Shut > 0 {
			return errors.New("newcomers were shut out")
		}
		return nil
	},
}

// halfOpenBounded is that of fewer, who are allowed few.
var halfOpenBounded = attack{
	name:   "half-open-bounded",
	about:  "the same from 15 addresses, which may have 30 such connections each",
	config: protected + "half_open_per_address = 30\n",
	strike: holdAll(15),
	judge: func(r *result) error {
		if r.heard("closed at once") == 0 || r.Under.Shut > 0 {
			return errors.New("the attacker was not shut out, or somebody else was")
		}
		return nil
	},
}

// holdAll holds 15,000 connections of so many addresses.
func holdAll(homes int) func(ctx context.Context, f *field) error {
	return func(ctx context.Context, f *field) error {
		var all sync.WaitGroup
		pace := newPace(5000)
		for i := range f.scale(15_000) {
			all.Go(func() { hold(ctx, f, source(i%f.scale(homes)), pace) })
		}
		all.Wait()
		return nil
	}
}

// hold keeps one connection open and silent.
func hold(ctx context.Context, f *field, home string, pace *pace) {
	for pace.wait(ctx) == nil {
		c, err := dialRaw(ctx, home, f.addr)
		if err != nil {
			if ctx.Err() == nil {
				f.tell("not connected")
			}
			continue
		}
		begin := time.Now()
		over := context.AfterFunc(ctx, func() { c.Close() })
		io.Copy(io.Discard, c)
		over()
		c.Close()
		switch held := time.Since(begin); {
		case ctx.Err() != nil:
			f.tell("held to the end")
		case held < time.Second:
			f.tell("closed at once")
		default:
			f.tell("closed after %v", held.Round(time.Second))
		}
	}
}
