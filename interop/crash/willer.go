package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A willer connects with a will, a new one each time, and leaves in one way or
// another, or lets the broker be killed under it.
type willer struct {
	w       *world
	id      string
	version mqtt.Version
	rng     *rand.Rand

	before *lastWord // of the connection before, which this one may call off
	gone   time.Time
	delay  time.Duration
	kills  int64
}

const mourning = 15 * time.Second // how long a willer waits to hear its will

func (w *willer) run(ctx context.Context) {
	for n := 1; ctx.Err() == nil && !w.w.draining(); n++ {
		delay := time.Duration(0)
		expiry := uint32(forever)
		if w.version == mqtt.V5 {
			delay = time.Duration(w.rng.IntN(3)) * time.Second
		}
		if w.rng.IntN(3) == 0 {
			expiry = 0
		}
		c := hello(w.version, w.id, expiry)
		c.HasWill = true
		word := w.w.ledger.will(fmt.Sprintf("%s %d", w.id, n))
		c.Will = packet.Will{Topic: []byte("c/w/" + w.id), Payload: []byte(word.text), QoS: 2, Properties: &packet.Properties{WillDelayInterval: uint32(delay / time.Second)}}
		conn, _, err := connect(ctx, w.w.addr, c)
		if err != nil {
			w.w.failed(ctx, w.id, err)
			continue
		}
		if expiry == 0 {
			delay = 0 // the session ends with the connection, and the will is said then
		}
		w.recall()
		w.live(ctx, conn, word, delay)
	}
}

// recall settles what became of the will before, now that the client is back.
func (w *willer) recall() {
	if w.before != nil && time.Since(w.gone) < w.delay/2 && w.w.ends.Load() == w.kills {
		w.w.ledger.settle(w.before, never)
	}
	w.before = nil
}

// live holds the connection for a while and ends it.
func (w *willer) live(ctx context.Context, conn *wire, word *lastWord, delay time.Duration) {
	defer conn.close()
	kills := w.w.ends.Load()
	stay := between{0, 600 * time.Millisecond}.pick(w.rng)
	manner := w.rng.IntN(4)
	if manner == 0 {
		stay = mourning // until the broker is killed
	}
	var clean bool
	alone := conn.listen(func(packet.Header, []byte) error { return nil })
	t := time.NewTimer(stay)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return
	case <-alone:
	case <-w.w.stopping:
	case <-t.C:
		if manner == 1 {
			d := packet.Disconnect{}
			clean = conn.send(d.Append(nil, conn.v)) == nil
		}
	}
	if !clean {
		conn.close()
	}
	<-alone
	switch {
	case clean:
		// The broker is given time to learn of it for good.
		w.w.rest(ctx, 500*time.Millisecond)
		if w.w.ends.Load() == kills {
			w.w.ledger.settle(word, never)
		}
	case manner == 2 && delay > 0:
		w.before, w.gone, w.delay, w.kills = word, time.Now(), delay, kills
	default:
		w.w.ledger.settle(word, must)
		w.mourn(ctx, word)
	}
}

// mourn stays away until the will has been heard.
func (w *willer) mourn(ctx context.Context, word *lastWord) {
	for end := time.Now().Add(mourning); time.Now().Before(end) && ctx.Err() == nil; {
		if w.w.ledger.heard(word) {
			return
		}
		w.w.pause(ctx, 50*time.Millisecond)
	}
}

// will notes a will that is about to be left.
func (l *ledger) will(text string) *lastWord {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &lastWord{text: text, from: l.now()}
	l.wills[text] = w
	return w
}

// settle decides a will's fate. What was left before anybody listened need not
// be heard.
func (l *ledger) settle(w *lastWord, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.due = f; f == must && (len(l.wake.on) == 0 || w.from < l.wake.on[0].from) {
		w.due = open
	}
}

func (l *ledger) heard(w *lastWord) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return w.said > 0
}

// said takes note of a will. False is some other message.
func (l *ledger) said(topic string, payload []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.wills[string(payload)]
	if w == nil || len(topic) < 4 || topic[:4] != "c/w/" {
		return false
	}
	l.active = time.Now()
	w.said++
	return true
}
