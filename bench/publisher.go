package bench

import (
	"math"
	"sync"
)

// A publisher sends one ring's packets as fast as its budget lets it.
//
// The budget is end to end. Numbers are counted in bursts; a burst is through
// when every subscriber's stream has passed it, and at most window numbers are
// out beyond the oldest burst that is not. So the slowest subscriber sets the
// pace, and no broker is made to drop.
type publisher struct {
	// Immutable.
	c         *client
	ring      ring
	fan       uint32 // subscribers each message goes to
	burst     uint32 // numbers to a burst
	window    uint32 // end to end
	ackWindow uint32 // QoS 1 and 2; 0: none
	total     uint32 // numbers in all
	schedule         // paced: what is due counts, not window

	sending sync.Mutex // held over a write; taken before mu

	mu      sync.Mutex
	sent    uint32
	acked   uint32
	let     uint32   // numbers whose time has come
	oldest  uint32   // burst that is not through
	through []uint32 // deliveries of the bursts from oldest on: a ring
	open    bool     // may send
	idle    bool     // has no budget: whoever gives some calls
	call    chan struct{}
}

func (p *publisher) init() {
	p.burst = max(p.window/4, 1)
	p.through = make([]uint32, p.window/p.burst+2)
	p.call = make(chan struct{}, 1)
	p.idle = true
	if p.total == 0 {
		p.total = math.MaxUint32
	}
}

func (p *publisher) budgetLocked() uint32 {
	if !p.open {
		return 0
	}
	end := p.oldest*p.burst + p.window
	if p.paced() {
		end = p.let
	}
	if p.ackWindow > 0 {
		end = min(end, p.acked+p.ackWindow)
	}
	end = min(end, p.total)
	if end <= p.sent {
		return 0
	}
	return end - p.sent
}

// serve sends until done is closed. A write that fails is not told: whoever
// reads the connection knows why.
func (p *publisher) serve(done <-chan struct{}) {
	for {
		if p.pump() != nil {
			return
		}
		select {
		case <-p.call:
		case <-done:
			return
		}
	}
}

// pump sends what the budget holds.
func (p *publisher) pump() error {
	p.sending.Lock()
	defer p.sending.Unlock()
	for {
		p.mu.Lock()
		n := p.budgetLocked()
		first := p.sent
		if n == 0 {
			p.idle = true
			p.mu.Unlock()
			return nil
		}
		p.idle = false
		n = min(n, uint32(p.ring.n-int(first)%p.ring.n))
		p.sent += n
		p.mu.Unlock()

		b, _ := p.ring.cut(first, int(n), p.schedule)
		if _, err := p.c.nc.Write(b); err != nil {
			return err
		}
	}
}

// callLocked wakes serve if there is something to do for it.
func (p *publisher) callLocked() {
	if p.idle && p.budgetLocked() > 0 {
		p.idle = false
		select {
		case p.call <- struct{}{}:
		default:
		}
	}
}

// passed notes that one subscriber's stream went from one number to another.
func (p *publisher) passed(from, to uint32) {
	if p.paced() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	to = min(to, p.sent)
	from = max(from, p.oldest*p.burst) // given up on before
	for from < to {
		burst := from / p.burst
		n := min((burst+1)*p.burst, to) - from
		p.through[burst%uint32(len(p.through))] += n
		from += n
	}
	for {
		at := &p.through[p.oldest%uint32(len(p.through))]
		if *at < p.burst*p.fan {
			break
		}
		*at = 0
		p.oldest++
	}
	p.callLocked()
}

// answered notes n acknowledgements that end an exchange.
func (p *publisher) answered(n uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked += n
	p.callLocked()
}

// allow lets numbers below n go, and sends them right away.
func (p *publisher) allow(n uint32) {
	p.mu.Lock()
	p.let = n
	p.mu.Unlock()
	p.pump()
}

func (p *publisher) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = true
	p.callLocked()
}

// stop ends the sending, once a write in progress is through, and returns how
// many were sent.
func (p *publisher) stop() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = false
	return p.sent
}

// forgive gives up on everything out, so that what a broker lost does not hold
// up what follows. It reports whether there was anything.
func (p *publisher) forgive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := p.open && p.sent < p.total && p.sent > 0 && p.budgetLocked() == 0
	if held {
		clear(p.through)
		p.oldest = (p.sent + p.burst - 1) / p.burst // what is left of a burst begun is not counted
		if p.ackWindow > 0 {
			p.acked = p.sent
		}
		p.callLocked()
	}
	return held
}
