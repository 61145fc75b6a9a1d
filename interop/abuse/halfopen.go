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
	strike: func(ctx context.Context, f *field) error {
		var all sync.WaitGroup
		pace := newPace(5000)
		for i := range f.scale(15_000) {
			all.Go(func() { hold(ctx, f, source(i/100), pace) })
		}
		all.Wait()
		return nil
	},
	judge: func(r *result) error {
		if r.Under.Shut > 0 {
			return errors.New("newcomers were shut out")
		}
		return nil
	},
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
