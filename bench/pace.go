package bench

import "time"

// A schedule says when a publisher's messages are due. All publishers of a load
// take turns: message k of the load, number k/publishers of publisher
// k%publishers, is due k/rate seconds after the start.
type schedule struct {
	rate       int64 // of the load, messages a second; 0: messages are due when there is room
	publishers int64
	index      int64 // of this publisher
}

func (s schedule) paced() bool { return s.rate > 0 }

// due is when a number is due, in ns since the start; 0 without a rate. Each is
// calculated on its own, so no rounding adds up.
func (s schedule) due(number uint32) int64 {
	if s.rate == 0 {
		return 0
	}
	return s.dueAll(s.index + int64(number)*s.publishers)
}

// dueAll is when message k of the load is due.
func (s schedule) dueAll(k int64) int64 {
	return k/s.rate*int64(time.Second) + k%s.rate*int64(time.Second)/s.rate
}

// dueBy is how many messages of the load are due at a time: message 0 is at 0.
func (s schedule) dueBy(ns int64) int64 {
	seconds, rest := ns/int64(time.Second), ns%int64(time.Second)
	k := seconds*s.rate + rest*s.rate/int64(time.Second)
	for s.dueAll(k) <= ns { // dueAll rounds down, so one more may be
		k++
	}
	return k
}

// pace lets messages go when they are due.
func (r *loadRun) pace() error {
	pacer, err := newPacer()
	if err != nil {
		return err
	}
	r.wg.Go(func() { <-r.done; pacer.close() })
	r.wg.Go(func() {
		s := r.pubs[0].schedule
		next := int64(0) // the message of the load that goes next
		for {
			due := s.dueBy(int64(time.Since(r.epoch)))
			for k := next; k < min(due, next+s.publishers); k++ {
				// Those of one publisher that are due together go together.
				r.pubs[k%s.publishers].allow(uint32(k/s.publishers + 1 + (due-1-k)/s.publishers))
			}
			next = max(next, due)
			// Sleeping for less than it takes to wake up is no use.
			sleep := max(s.dueAll(next)-int64(time.Since(r.epoch)), int64(20*time.Microsecond))
			if pacer.sleep(time.Duration(sleep)) != nil {
				return
			}
		}
	})
	return nil
}
