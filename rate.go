package midge

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// A Rate bounds what clients publish. The zero Rate bounds nothing.
type Rate struct {
	Messages int // a second, [1, 1e9]; 0: as many as come
	Bytes    int // of PUBLISH packets, a second, [1, 1<<40]; 0: as many as come
}

func (r Rate) none() bool { return r == Rate{} }

func (r Rate) check(name string) error {
	switch {
	case r.Messages < 0 || r.Messages > 1e9:
		return fmt.Errorf("%s.Messages is %d, want 0 to 1000000000", name, r.Messages)
	case r.Bytes < 0 || r.Bytes > min(1<<40, math.MaxInt):
		return fmt.Errorf("%s.Bytes is %d, want 0 to %d", name, r.Bytes, min(1<<40, math.MaxInt))
	}
	return nil
}

func (s *settings) checkRates() []error {
	errs := []error{s.ClientRate.check("ClientRate"), s.Rate.check("Rate")}
	if s.RateBurst > time.Hour {
		errs = append(errs, fmt.Errorf("RateBurst is %v, want at most 1h", s.RateBurst))
	}
	if s.OverRate > CutOff {
		errs = append(errs, fmt.Errorf("OverRate is %d, want HoldBack, Refuse or CutOff", s.OverRate))
	}
	return errs
}

// OverRate is what becomes of a message for which a [Rate] has no room yet.
type OverRate uint8

const (
	// HoldBack reads nothing more from the connection until there is room: the
	// client's own socket fills up, and nothing is lost. Its keep alive does
	// not count meanwhile.
	HoldBack OverRate = iota

	// Refuse takes the message off: at QoS 0 it is dropped, at QoS 1 and 2 a
	// client of 5.0 is told "quota exceeded". Older ones, which cannot be told,
	// are held back.
	Refuse

	// CutOff ends the connection; a client of 5.0 is told "message rate too high".
	CutOff
)

// A bucket is what a Rate has let through, as the time, ns since the broker's
// epoch, at which that would have come at no more than the rate. It never is
// further ahead than a burst and what one message may cost.
type bucket struct{ messages, bytes atomic.Int64 }

// maxDebt bounds what one message costs: one that no burst has room for keeps
// its client, or the whole listener, waiting for no longer.
const maxDebt = int64(time.Minute)

// ready returns when a message may come: no later than now if it may now.
func (k *bucket) ready(r Rate, burst, now int64) int64 {
	at := now
	if r.Messages > 0 {
		cost := int64(time.Second) / int64(r.Messages)
		at = max(at, k.messages.Load()+cost-max(burst, cost))
	}
	if r.Bytes > 0 {
		at = max(at, k.bytes.Load()-burst+1)
	}
	return at
}

// take takes a message of n bytes off.
func (k *bucket) take(r Rate, now int64, n int) {
	if r.Messages > 0 {
		add(&k.messages, now, int64(time.Second)/int64(r.Messages))
	}
	if r.Bytes > 0 {
		cost := float64(n) * float64(time.Second) / float64(r.Bytes)
		add(&k.bytes, now, max(int64(min(cost, float64(maxDebt))), 1))
	}
}

func add(at *atomic.Int64, now, cost int64) {
	for {
		old := at.Load()
		if at.CompareAndSwap(old, max(old, now)+cost) {
			return
		}
	}
}

// A listening is a listener as its connections know it.
type listening struct {
	url  string
	rate atomic.Pointer[Rate] // nil: none of its own
	over overdue
	bucket
}

// An overdue is since when somebody, or all of a listener, have been sending too
// much: the log hears of it once.
type overdue struct{ last atomic.Int64 }

// overdueFor is how long all has to be well before it is news again.
const overdueFor = int64(10 * time.Second)

// begins notes that a rate is exceeded at now, and reports whether that is news.
func (o *overdue) begins(now int64) bool {
	last := o.last.Swap(now + 1) // 0 is never
	return last == 0 || now-last > overdueFor
}

func (o *overdue) at(now int64) bool {
	last := o.last.Load()
	return last != 0 && now-last <= overdueFor
}

// setRates gives each listener the rate that it is to have.
func (b *Broker) setRates() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.listeners {
		b.setRate(l)
	}
}

func (b *Broker) setRate(l *listening) {
	var r Rate
	if b.set.ListenerRate != nil {
		r = b.set.ListenerRate(l.url)
	}
	if err := r.check("rate"); err != nil {
		b.log.Error("listener has no rate", "url", l.url, "error", err)
		r = Rate{}
	}
	if l.rate.Store(nil); !r.none() {
		l.rate.Store(&r)
	}
}
