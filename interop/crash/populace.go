package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// populate starts all clients.
func (w *world) populate(ctx context.Context) {
	seed := uint64(0)
	rng := func() *rand.Rand { seed++; return rand.New(rand.NewPCG(w.Seed, seed)) }
	version := func(i int) mqtt.Version { return mqtt.V311 + mqtt.Version(i%2) }
	start := func(run func(context.Context)) { w.clients.Go(func() { run(ctx) }) }

	var subscribers []*subscriber
	for i, h := range habits {
		v := version(i)
		if h.expiry != forever {
			v = mqtt.V5 // the older one knows no expiry
		}
		s := &subscriber{w: w, id: fmt.Sprintf("s%d-%s", i, h.name), version: v, habit: h, rng: rng()}
		s.wishes = []*wish{{filter: "c/to/" + s.id + "/+", qos: 2, fixed: true}}
		for p := range publisherCount {
			q := mqtt.QoS(1 + (i+p)%2)
			s.wishes = append(s.wishes,
				&wish{filter: fmt.Sprintf("c/b/p%d/+", p), qos: q, fixed: !h.toggles && p%2 == 0},
				&wish{filter: fmt.Sprintf("c/q/p%d/+", p), qos: q})
		}
		subscribers = append(subscribers, s)
	}
	group := w.ledger.recipient("group", true)
	for i := range 4 {
		s := &subscriber{w: w, id: fmt.Sprintf("m%d", i), version: version(i), habit: member, rng: rng(), group: group}
		s.wishes = []*wish{{filter: "$share/g/c/g/#", qos: 2, fixed: true}}
		subscribers = append(subscribers, s)
	}
	watcher := &subscriber{w: w, id: "watcher", version: mqtt.V5, rng: rng(), hear: w.ledger.said, habit: habits[2]}
	watcher.habit.toggles = false
	watcher.wishes = []*wish{{filter: "c/w/+", qos: 2, fixed: true}}
	watcher.renew()
	w.ledger.wake = watcher.wishes[0].right
	for _, s := range append(subscribers, watcher) {
		start(s.run)
	}
	for i := range publisherCount {
		p := &publisher{w: w, id: fmt.Sprintf("p%d", i), version: version(i), rng: rng(), pace: time.Second * publisherCount / time.Duration(w.Rate)}
		p.streams = w.streams(p.id, subscribers[:len(habits)])
		w.publishers = append(w.publishers, p)
		start(p.run)
	}
	for i := range willerCount {
		start((&willer{w: w, id: fmt.Sprintf("w%d", i), version: version(i), rng: rng()}).run)
	}
	start((&prober{w: w}).run)
}

// streams are the topics of one publisher: for everybody, for one session
// alone, for the members of a shared subscription, retained, and retained and
// seldom renewed.
func (w *world) streams(id string, to []*subscriber) [][]*stream {
	var all [5][]*stream
	for q := mqtt.AtLeastOnce; q <= mqtt.ExactlyOnce; q++ {
		all[0] = append(all[0], w.ledger.stream(fmt.Sprintf("c/b/%s/%d", id, q), q, false))
		all[1] = append(all[1], w.ledger.stream(fmt.Sprintf("c/g/%s/%d", id, q), q, false))
		all[2] = append(all[2], w.ledger.stream(fmt.Sprintf("c/r/%s/%d", id, q), q, true))
		all[seldom] = append(all[seldom], w.ledger.stream(fmt.Sprintf("c/q/%s/%d", id, q), q, true))
	}
	for i, s := range to {
		all[3] = append(all[3], w.ledger.stream("c/to/"+s.id+"/"+id, mqtt.QoS(1+(i+len(id))%2), false))
	}
	return all[:]
}

// draining reports whether the end has come.
func (w *world) draining() bool {
	select {
	case <-w.stopping:
		return true
	default:
		return false
	}
}

// pause waits, unless the run ends.
func (w *world) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// rest waits, unless the end has come.
func (w *world) rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-w.stopping:
	case <-t.C:
	}
}

// failed is a connection that did not come about: no wonder with a broker that
// is dead half of the time, unless it has said no.
func (w *world) failed(ctx context.Context, id string, err error) {
	if errors.Is(err, errRefused) || errors.Is(err, errClosing) && w.Stops == 0 {
		w.ledger.fault(func(f *faults) *int { return &f.Refused }, "%s: %v", id, err)
	}
	w.pause(ctx, retry)
}

func (w *world) died(err error) error {
	return fmt.Errorf("%w after %d kills and stops: see %s", err, w.ends.Load(), w.server.log)
}

// touch, quiet: since when nothing has come.
func (l *ledger) touch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = time.Now()
}

func (l *ledger) quiet() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.active)
}

// progress is a few words on how much has gone by.
func (l *ledger) progress() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent, acked := 0, 0
	for _, s := range l.streams {
		sent += len(s.sent)
		acked += s.floor
	}
	return fmt.Sprintf("%d messages sent, %d acknowledged, %d faults so far", sent, acked, l.faults.total())
}
