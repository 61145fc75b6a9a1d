package admin

import (
	"context"
	"sync"
	"time"

	"github.com/midgemq/midge"
)

// A watch knows what passed lately: it keeps what each connection had counted
// when it was last asked, and forgets that when nobody asks. So rates cost
// nothing until somebody wants them; then, some 100 bytes a client.
type watch struct {
	// Immutable.
	b    *midge.Broker
	free chan struct{} // holds one place: who is in it looks

	mu     sync.Mutex
	before *sample     // guarded by mu; what rates are compared with
	last   *sample     // guarded by mu
	forget *time.Timer // guarded by mu
}

const (
	moment = time.Second // rates are over this at least
	stale  = time.Minute // and over this at most
)

// A sample is what connections had counted at one time. Immutable once kept.
type sample struct {
	at     time.Time
	counts map[string]counts // by client identifier
}

type counts struct {
	since                  int64 // tells one connection of a client from the next
	in, out                uint64
	messagesIn, messageOut uint64
}

// each calls visit for every session, with its rates. The first to ask waits
// for a moment; so may who asks while another does.
func (w *watch) each(ctx context.Context, visit func(*midge.ClientStats, *Rates)) error {
	select {
	case w.free <- struct{}{}:
		defer func() { <-w.free }()
	case <-ctx.Done():
		return ctx.Err()
	}
	before := w.base()
	if before == nil {
		before = w.look(nil, nil)
		w.keep(before)
		t := time.NewTimer(moment)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.keep(w.look(before, visit))
	return nil
}

// base is the youngest sample that is a moment old, nil if there is none that
// is not stale.
func (w *watch) base() *sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for _, s := range []*sample{w.last, w.before} {
		if s == nil {
			continue
		}
		if age := now.Sub(s.at); age >= moment && age < stale {
			return s
		}
	}
	return nil
}

// keep makes s the last, unless the last is too young to be compared with.
func (w *watch) keep(s *sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil || s.at.Sub(w.last.at) >= moment {
		w.before, w.last = w.last, s
	}
	if w.forget != nil {
		w.forget.Stop()
	}
	w.forget = time.AfterFunc(stale, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.before, w.last = nil, nil
	})
}

// look goes through the sessions.
func (w *watch) look(before *sample, visit func(*midge.ClientStats, *Rates)) *sample {
	s := &sample{at: time.Now(), counts: map[string]counts{}}
	for c := range w.b.Sessions() {
		var rates Rates
		if c.Connected {
			n := counts{c.Since.UnixNano(), c.BytesIn, c.BytesOut, c.MessagesIn, c.MessagesOut}
			s.counts[c.ClientID] = n
			if before != nil {
				rates = n.over(before, &c, s.at)
			}
		}
		if visit != nil {
			visit(&c, &rates)
		}
	}
	return s
}

// over is what has passed since before, or since the connection began.
func (n counts) over(before *sample, c *midge.ClientStats, now time.Time) Rates {
	was, from := before.counts[c.ClientID], before.at
	if was.since != n.since {
		was, from = counts{}, c.Since
	}
	span := max(now.Sub(from), moment).Seconds()
	return Rates{
		MessagesIn: float64(n.messagesIn-was.messagesIn) / span, MessagesOut: float64(n.messageOut-was.messageOut) / span,
		BytesIn: float64(n.in-was.in) / span, BytesOut: float64(n.out-was.out) / span,
	}
}
