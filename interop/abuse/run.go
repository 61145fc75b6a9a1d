package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/midgemq/midge/bench"
)

// A setting is how an attack is run.
type setting struct {
	midge, dir string
	span       time.Duration
	size       float64
	short      bool // brief configurations, and passwords that are hashed at once
	say        func(format string, args ...any)
}

// A result is how it went.
type result struct {
	Attack  string            `json:"attack"`
	About   string            `json:"about"`
	Seconds float64           `json:"seconds"`
	Done    uint64            `json:"done"` // attempts
	Told    map[string]uint64 `json:"told"` // by what the attacker was told
	Before  watch             `json:"before"`
	Under   watch             `json:"under"`
	Memory  memory            `json:"memory"`
	Fault   string            `json:"fault,omitempty"`
}

// A watch is what the bystander saw.
type watch struct {
	Sent   uint64         `json:"sent"`
	Lost   uint64         `json:"lost"`
	Trips  *bench.Latency `json:"trips"`  // from when a message was due until it was back
	Enters *bench.Latency `json:"enters"` // a newcomer's, from dial to CONNACK
	Shut   uint64         `json:"shut"`   // newcomers that did not get in
}

// memory is that of the broker, in bytes of RSS.
type memory struct {
	Start int64 `json:"start"`
	Peak  int64 `json:"peak"`
}

// quiet is how long the bystander is watched before the attack.
const quiet = 3 * time.Second

// run attacks a broker of its own.
func run(ctx context.Context, a attack, s setting) (r result, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return r, err
	}
	config := a.config
	if s.short && a.brief != "" {
		config = a.brief
	}
	srv, err := startServer(ctx, s, config)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, srv.stop()) }()
	s.say("%s: prepares", a.name)
	striker, err := hire(ctx, a, srv.addr, s.size)
	if err != nil {
		return r, err
	}
	b, err := newBystander(ctx, srv.addr)
	if err != nil {
		return r, err
	}
	defer b.close()
	r = result{Attack: a.name, About: a.about, Seconds: s.span.Seconds()}
	alone := min(quiet, s.span/2)
	s.say("%s: the bystander alone, for %v", a.name, alone)
	r.Before = b.watch(ctx, alone)
	r.Memory.Start = srv.forgetPeak()
	s.say("%s: under way, for %v", a.name, s.span)
	if err := striker.begin(); err != nil {
		return r, err
	}
	r.Under = b.watch(ctx, s.span)
	r.Memory.Peak = srv.peak()
	w, err := striker.end()
	r.Done, r.Told = w.Done, w.Told
	if err != nil {
		return r, err
	}
	if err := r.judge(a); err != nil {
		r.Fault = err.Error()
	}
	return r, nil
}

func (r *result) judge(a attack) error {
	switch {
	case r.Under.Trips == nil:
		return errors.New("the bystander heard nothing")
	case r.Under.Lost > 0:
		return fmt.Errorf("the bystander lost %d of %d messages", r.Under.Lost, r.Under.Sent)
	case r.Done == 0:
		return errors.New("the attacker did nothing")
	case a.judge != nil:
		return a.judge(r)
	}
	return nil
}
