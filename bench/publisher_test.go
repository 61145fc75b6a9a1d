package bench

import (
	"testing"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// A sink takes what is written, and counts it.
type sink struct {
	transport.Conn
	packets int
	size    int
	last    []byte
}

func (s *sink) Write(b []byte) (int, error) {
	s.packets += len(b) / s.size
	s.last = append(s.last[:0], b...)
	return len(b), nil
}

func newTestPublisher(q mqtt.QoS, p *publisher) (*publisher, *sink) {
	s := new(sink)
	p.c = &client{peer: &peer{nc: s, version: mqtt.V311}, pub: p}
	p.ring = newRing(0, mqtt.V311, q, false, 64, 256, func(int) string { return "t" })
	s.size = p.ring.size
	p.init()
	p.start()
	return p, s
}

func (s *sink) want(t *testing.T, p *publisher, packets int) {
	t.Helper()
	if err := p.pump(); err != nil {
		t.Fatal(err)
	}
	if s.packets != packets {
		t.Fatalf("%d packets are out, want %d", s.packets, packets)
	}
}

// The slowest of several subscribers sets the pace.
func TestWindowIsEndToEnd(t *testing.T) {
	p, s := newTestPublisher(0, &publisher{fan: 2, window: 8, total: 1000})
	s.want(t, p, 8)
	p.passed(0, 8) // the quick one has all
	s.want(t, p, 8)
	p.passed(0, 3) // a burst is two messages: one is through for both
	s.want(t, p, 10)
	p.passed(3, 8)
	p.passed(8, 10)
	s.want(t, p, 16)
}

func TestAcknowledgementsOpenTheWindow(t *testing.T) {
	p, s := newTestPublisher(1, &publisher{fan: 1, window: 80, ackWindow: 20, total: 1000})
	s.want(t, p, 20)
	p.passed(0, 20)
	s.want(t, p, 20)
	p.answered(5)
	s.want(t, p, 25)
}

func TestTotalEndsIt(t *testing.T) {
	p, s := newTestPublisher(0, &publisher{fan: 1, window: 100, total: 30})
	s.want(t, p, 30)
	p.passed(0, 30)
	s.want(t, p, 30)
}

// What a broker has lost does not hold up the rest for good.
func TestForgive(t *testing.T) {
	p, s := newTestPublisher(1, &publisher{fan: 1, window: 40, ackWindow: 10, total: 1000})
	s.want(t, p, 10)
	if !p.forgive() {
		t.Fatal("nothing was out")
	}
	s.want(t, p, 20)
	p.stop()
	if p.forgive() {
		t.Fatal("a publisher that has stopped waits for nothing")
	}
}

// A message that is sent late counts from when it was due: no coordinated
// omission.
func TestDueTimes(t *testing.T) {
	p, s := newTestPublisher(0, &publisher{fan: 1, window: 4, total: 1000, schedule: schedule{rate: 10_000_000, publishers: 10, index: 3}})
	p.allow(2)
	s.want(t, p, 2)
	p.allow(7) // five at once: the pacer was held up
	s.want(t, p, 7)
	for i := range 5 {
		got := readStamp(s.last[i*s.size+p.ring.stamp:])
		if want := int64(300 + (2+i)*1000); got.due != want {
			t.Errorf("message %d was due at %d, want %d", got.number, got.due, want)
		}
	}
}
