package main

import (
	"testing"

	"github.com/midgemq/midge/packet"
)

// A little world: one stream at QoS 2, one recipient with a right to it.
func little() (*ledger, *stream, *recipient, *right) {
	l := newLedger()
	s := l.stream("a/b", 2, false)
	r := l.recipient("r", false)
	return l, s, r, l.right(r, "a/+", 2)
}

func (l *ledger) subscribe(x *right, yes bool) {
	l.asked(x, yes)
	l.granted(x, yes)
}

func (l *ledger) publish(s *stream) int {
	n, _ := l.next(s)
	l.acknowledged(s, n)
	return n
}

// Each way to break a promise is seen, and what breaks none is not.
func TestLedger(t *testing.T) {
	for name, c := range map[string]struct {
		history func(*ledger, *stream, *recipient, *right)
		want    faults
	}{
		"all well": {func(l *ledger, s *stream, r *recipient, x *right) {
			l.subscribe(x, true)
			l.came(r, s.topic, s.payload(l.publish(s)), false)
		}, faults{}},
		"lost": {func(l *ledger, s *stream, r *recipient, x *right) {
			l.subscribe(x, true)
			l.publish(s)
		}, faults{Lost: 1}},
		"never acknowledged": {func(l *ledger, s *stream, r *recipient, x *right) {
			l.subscribe(x, true)
			l.next(s)
		}, faults{}},
		"SUBSCRIBE not answered": {func(l *ledger, s *stream, r *recipient, x *right) {
			l.asked(x, true)
			l.publish(s)
		}, faults{}},
		"UNSUBSCRIBE between PUBLISH and its acknowledgement": {func(l *ledger, s *stream, r *recipient, x *right) {
			l.subscribe(x, true)
			n, _ := l.next(s)
			l.asked(x, false)
			l.acknowledged(s, n)
		}, faults{}},
		"ended by its client": {func(l *ledger, s *stream, r *recipient, x *right) {
			l.subscribe(x, true)
			l.publish(s)
			l.abandon(r)
		}, faults{}},
		"doubled": {func(l *ledger, s *stream, r *recipient, x *right) {
			l.subscribe(x, true)
			n := l.publish(s)
			l.came(r, s.topic, s.payload(n), false)
			l.came(r, s.topic, s.payload(n), false)
		}, faults{Doubled: 1}},
		"twice at QoS 1": {func(l *ledger, s *stream, r *recipient, x *right) {
			x.qos = 1
			l.subscribe(x, true)
			n := l.publish(s)
			l.came(r, s.topic, s.payload(n), false)
			l.came(r, s.topic, s.payload(n), false)
		}, faults{}},
		"out of order": {func(l *ledger, s *stream, r *recipient, x *right) {
			l.subscribe(x, true)
			a, b := l.publish(s), l.publish(s)
			l.came(r, s.topic, s.payload(b), false)
			l.came(r, s.topic, s.payload(a), false)
		}, faults{Disordered: 1}},
		"retained, never sent": {func(l *ledger, s *stream, r *recipient, x *right) {
			s.retained = true
			l.publish(s)
			l.subscribe(x, true)
		}, faults{Lost: 1}},
		"retained, and replaced before it was sent": {func(l *ledger, s *stream, r *recipient, x *right) {
			s.retained = true
			l.publish(s)
			l.subscribe(x, true)
			l.came(r, s.topic, s.payload(l.publish(s)), false)
		}, faults{}},
		"retained, and cleared while SUBSCRIBE was under way": {func(l *ledger, s *stream, r *recipient, x *right) {
			s.retained = true
			for range 6 {
				l.publish(s)
			}
			l.asked(x, true)
			l.next(s) // #7, which clears
			l.granted(x, true)
		}, faults{}},
		"retained, and cleared too late": {func(l *ledger, s *stream, r *recipient, x *right) {
			s.retained = true
			for range 6 {
				l.publish(s)
			}
			l.subscribe(x, true)
			l.next(s)
		}, faults{Lost: 1}},
		"retained, and sent twice": {func(l *ledger, s *stream, r *recipient, x *right) {
			s.retained = true
			n := l.publish(s)
			l.subscribe(x, true)
			l.came(r, s.topic, s.payload(n), true)
			l.came(r, s.topic, s.payload(n), true)
		}, faults{Doubled: 1}},
		"retained, and sent for a second subscription": {func(l *ledger, s *stream, r *recipient, x *right) {
			s.retained = true
			n := l.publish(s)
			for range 2 {
				l.subscribe(x, true)
				l.came(r, s.topic, s.payload(n), true)
				l.subscribe(x, false)
			}
		}, faults{}},
		"sent before SUBSCRIBE, and again behind a later one": {func(l *ledger, s *stream, r *recipient, x *right) {
			a, _ := l.next(s)
			b, _ := l.next(s)
			l.subscribe(x, true)
			l.came(r, s.topic, s.payload(b), false)
			l.came(r, s.topic, s.payload(a), false)
		}, faults{}},
		"after UNSUBACK": {func(l *ledger, s *stream, r *recipient, x *right) {
			l.subscribe(x, true)
			l.subscribe(x, false)
			l.came(r, s.topic, s.payload(l.publish(s)), false)
		}, faults{Revived: 1}},
		"from before SUBSCRIBE": {func(l *ledger, s *stream, r *recipient, x *right) {
			n := l.publish(s)
			l.subscribe(x, true)
			l.came(r, s.topic, s.payload(n), false)
		}, faults{Revived: 1}},
		"for somebody else": {func(l *ledger, s *stream, r *recipient, x *right) {
			l.subscribe(x, true)
			n := l.publish(s)
			l.came(r, s.topic, s.payload(n), false)
			l.came(l.recipient("q", false), s.topic, s.payload(n), false)
		}, faults{Foreign: 1}},
		"other content": {func(l *ledger, s *stream, r *recipient, x *right) {
			l.publish(s)
			l.came(r, s.topic, []byte("1 hello"), false)
		}, faults{Foreign: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			l, s, r, x := little()
			c.history(l, s, r, x)
			got := l.judge().Faults
			got.Examples = nil
			if got.rows() == nil || !same(got, c.want) {
				t.Errorf("got %v, want %v", got.rows(), c.want.rows())
			}
		})
	}
}

func same(a, b faults) bool {
	x, y := a.rows(), b.rows()
	for i := range x {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

func TestLedgerOfWills(t *testing.T) {
	for name, c := range map[string]struct {
		due  fate
		said int
		want faults
	}{
		"said":          {must, 1, faults{}},
		"not said":      {must, 0, faults{WillsLost: 1}},
		"said twice":    {open, 2, faults{WillsDoubled: 1}},
		"after goodbye": {never, 1, faults{WillsWrong: 1}},
	} {
		l, _, _, wake := little()
		l.wake = wake
		l.subscribe(wake, true)
		w := l.will("x 1")
		l.settle(w, c.due)
		for range c.said {
			l.said("c/w/x", []byte("x 1"))
		}
		if got := l.judge().Faults; !same(got, c.want) {
			t.Errorf("%s: got %v", name, got.rows())
		}
	}
}

func TestLedgerOfRetained(t *testing.T) {
	l := newLedger()
	s := l.stream("c/r/a/1", 1, true)
	for n := range 3 {
		n, _ = l.next(s)
		l.acknowledged(s, n)
	}
	l.next(s) // #4, in flight
	for _, c := range []struct {
		name     string
		n        int // 0: nothing comes
		live     bool
		complete bool
		want     faults
	}{
		{"the last acknowledged", 3, false, true, faults{}},
		{"one in flight", 4, false, true, faults{}},
		{"its successor alone", 4, true, true, faults{}},
		{"an older one", 2, false, true, faults{Stale: 1}},
		{"nothing", 0, false, false, faults{Stale: 1}},
	} {
		k := &look{least: l.floors(), found: map[*stream]int{}, live: map[*stream]bool{}}
		if c.n > 0 {
			l.saw(k, &packet.Publish{Topic: []byte(s.topic), Payload: s.payload(c.n), Retain: !c.live})
		}
		if got := l.complete(k); got != c.complete {
			t.Errorf("%s: complete is %v", c.name, got)
		}
		l.faults = faults{}
		l.compareRetained(k)
		if !same(l.faults, c.want) {
			t.Errorf("%s: got %v", c.name, l.faults.rows())
		}
	}
}

func TestSessionPresent(t *testing.T) {
	for _, c := range []struct {
		p       past
		present bool
		want    faults
	}{
		{past{known: true}, true, faults{}},
		{past{known: true}, false, faults{SessionsLost: 1}},
		{past{}, true, faults{SessionsBack: 1}},
		{past{tried: true}, true, faults{}},
		{past{}, false, faults{}},
	} {
		l := newLedger()
		if l.present("x", &c.p, c.present); !same(l.faults, c.want) {
			t.Errorf("%+v, present %v: got %v", c.p, c.present, l.faults.rows())
		}
	}
}
