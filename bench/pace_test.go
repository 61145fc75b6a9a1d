package bench

import (
	"testing"
	"time"
)

// A message goes when it is due, neither before nor an interval later, and no
// rounding adds up.
func TestSchedule(t *testing.T) {
	for _, rate := range []int64{1, 3, 7, 1000, 9999, 10_000, 30_000, 10_000_000} {
		s := schedule{rate: rate, publishers: 1}
		for _, k := range []int64{0, 1, 2, 3, 10, 9_999, 10_000, 123_457, 4_000_000_000} {
			at := s.dueAll(k)
			if late := float64(k)/float64(rate) - float64(at)/1e9; late < -1e-6 || late > 1e-6 {
				t.Errorf("%d/s: message %d is due %v s early", rate, k, late)
			}
			if n := s.dueBy(at); n != k+1 {
				t.Errorf("%d/s: %d messages are due with message %d", rate, n, k)
			}
			if n := s.dueBy(at - 1); at > 0 && n != k {
				t.Errorf("%d/s: %d messages are due before message %d", rate, n, k)
			}
		}
	}
	// Three publishers take turns.
	for i := range int64(3) {
		s := schedule{rate: 3000, publishers: 3, index: i}
		if got, want := s.due(2), (6+i)*int64(time.Second)/3000; got != want {
			t.Errorf("publisher %d: due at %d, want %d", i, got, want)
		}
	}
	if (schedule{}).due(7) != 0 {
		t.Error("without a rate something is due")
	}
}

func TestPacerEnds(t *testing.T) {
	p, err := newPacer()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.sleep(time.Microsecond); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- p.sleep(time.Hour) }()
	p.close()
	if <-ended == nil {
		t.Error("a pacer that is closed goes on")
	}
}
