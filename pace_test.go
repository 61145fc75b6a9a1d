package midge_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A heard counts what is published, and tells how much of it by when.
type heard struct {
	n     atomic.Int64
	start time.Time
}

func (w *world) hear() *heard {
	h := &heard{start: time.Now()}
	stop, err := w.b.Subscribe("#", 2, func(mqtt.Message) { h.n.Add(1) })
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(stop)
	return h
}

// by waits until so long after the start and returns how many have come.
func (h *heard) by(d time.Duration) int {
	<-time.After(time.Until(h.start.Add(d)))
	synctest.Wait()
	return int(h.n.Load())
}

// flood sends n messages in one write, and a PINGREQ behind them.
func (p *peer) flood(n int, q mqtt.QoS, size int) {
	p.t.Helper()
	var all []byte
	for i := range n {
		m := packet.Publish{Topic: []byte("flood"), QoS: q, Payload: make([]byte, size)}
		if q > 0 {
			m.ID = mqtt.PacketID(i + 1)
		}
		all = m.Append(all, p.v)
	}
	p.write(append(all, 0xC0, 0))
}

// acks reads n acknowledgements and a PINGRESP, and counts reason codes.
func (p *peer) acks(n int) map[mqtt.ReasonCode]int {
	p.t.Helper()
	codes := map[mqtt.ReasonCode]int{}
	for pong := false; ; {
		if pong && n == 0 {
			return codes
		}
		h, body, err := p.nextBy(time.Now().Add(time.Hour))
		if err != nil {
			p.t.Fatal(err)
		}
		if h.Type == packet.PINGRESP {
			pong = true
			continue
		}
		n--
		var a packet.Ack
		if err := a.Decode(p.v, h.Type, body); err != nil {
			p.t.Fatal(err)
		}
		codes[a.Code]++
	}
}

func tick(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }

// Of what one client sends, no more gets through than a burst and the rate, and
// nothing of it is lost; its silence meanwhile is the broker's doing.
func TestClientIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldSized(t, midge.Config{ClientRate: midge.Rate{Messages: 10}, RateBurst: 2 * time.Second}, 1<<20)
		p := w.connect("p", func(c *packet.Connect) { c.KeepAlive = 1 })
		q := w.connect("q")
		h := w.hear()
		p.flood(100, 1, 10)
		for _, step := range []struct {
			at   time.Duration
			want int
		}{{tick(50), 20}, {tick(150), 21}, {tick(1050), 30}, {tick(7950), 99}, {tick(8050), 100}, {tick(9000), 100}} {
			if n := h.by(step.at); n != step.want {
				t.Errorf("%d messages by %v, want %d", n, step.at, step.want)
			}
		}
		if codes := p.acks(100); codes[mqtt.Success] != 100 {
			t.Errorf("acknowledged: %v", codes)
		}
		// Others have a rate of their own, and the burst is there again after a while.
		q.flood(20, 0, 10)
		if n := h.by(tick(9050)); n != 120 {
			t.Errorf("%d messages, want another client's 20 at once", n)
		}
		if codes := q.acks(0); len(codes) != 0 {
			t.Errorf("q: %v", codes)
		}
		h.by(30 * time.Second)
	})
}

func TestBytesAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldSized(t, midge.Config{ClientRate: midge.Rate{Bytes: 10_000}}, 1<<20)
		p := w.connect("p")
		h := w.hear()
		p.flood(100, 0, 1000-10) // packets of 1000 bytes
		for _, step := range []struct {
			at   time.Duration
			want int
		}{{tick(50), 10}, {tick(1050), 20}, {tick(8950), 99}, {tick(9150), 100}} {
			if n := h.by(step.at); n < step.want-1 || n > step.want+1 {
				t.Errorf("%d messages by %v, want %d", n, step.at, step.want)
			}
		}
		p.acks(0)
		// One that no burst has room for comes, and is paid for by those behind it.
		p.flood(1, 0, 100_000)
		p.flood(1, 0, 10)
		if n := h.by(17 * time.Second); n != 101 {
			t.Errorf("%d messages, the large one is not paid for", n)
		}
		if n := h.by(20 * time.Second); n != 102 {
			t.Errorf("%d messages", n)
		}
	})
}

// What comes in one piece, one message as long as the other, is handed on as
// one; it is paid for as what it is.
func TestRunIsPaidFor(t *testing.T) {
	for q := range mqtt.QoS(2) {
		for name, r := range map[string]midge.Rate{"messages": {Messages: 10}, "bytes": {Bytes: 10 * 100}} {
			t.Run(fmt.Sprint(name, " at QoS ", q), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorldSized(t, midge.Config{ClientRate: r}, 1<<20)
					sub, p := w.connect("sub"), w.connect("p")
					sub.subscribe("flood", q)
					start := time.Now()
					p.flood(30, q, 100-10-2*int(q)) // packets of 100 bytes
					for i := range 3 {
						<-time.After(time.Until(start.Add(time.Duration(i)*time.Second + tick(50))))
						synctest.Wait()
						if c, _ := w.b.Client("sub"); c.MessagesOut != uint64(10*(i+1)) {
							t.Errorf("%d messages after %d s, want %d", c.MessagesOut, i, 10*(i+1))
						}
					}
				})
			})
		}
	}
}

// Clients of one listener share its rate, and all clients the broker's.
func TestSharedRates(t *testing.T) {
	for name, cfg := range map[string]midge.Config{
		"listener": {ListenerRate: func(url string) midge.Rate {
			if url != "pipe://midge" {
				return midge.Rate{Messages: -1}
			}
			return midge.Rate{Messages: 10}
		}},
		"broker": {Rate: midge.Rate{Messages: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				w := newWorldSized(t, cfg, 1<<20)
				p, q := w.connect("p"), w.connect("q")
				h := w.hear()
				p.flood(50, 0, 10)
				q.flood(50, 0, 10)
				if n := h.by(tick(50)); n != 10 {
					t.Errorf("%d messages at once", n)
				}
				if n := h.by(tick(5050)); n < 59 || n > 60 {
					t.Errorf("%d messages after 5 s", n)
				}
				h.by(tick(9200))
				if len(p.acks(0))+len(q.acks(0)) != 0 || h.n.Load() != 100 {
					t.Errorf("%d messages in the end", h.n.Load())
				}
				if n := strings.Count(log.String(), "faster than they may"); n != 1 || !strings.Contains(log.String(), "rate="+name) {
					t.Errorf("the log says it %d times:\n%s", n, log.String())
				}
			})
		})
	}
}

func TestTooFastIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldSized(t, midge.Config{ClientRate: midge.Rate{Messages: 10}, OverRate: midge.Refuse}, 1<<20)
		p := w.connect("p")
		h := w.hear()
		p.flood(50, 1, 10)
		if codes := p.acks(50); codes[mqtt.Success] != 10 || codes[mqtt.QuotaExceeded] != 40 {
			t.Errorf("QoS 1: %v", codes)
		}
		h.by(time.Second)
		p.flood(50, 2, 10)
		if codes := p.acks(50); codes[mqtt.Success] != 10 || codes[mqtt.QuotaExceeded] != 40 {
			t.Errorf("QoS 2: %v", codes)
		}
		h.by(2 * time.Second)
		p.flood(50, 0, 10)
		if codes := p.acks(0); len(codes) != 0 || h.by(2500*time.Millisecond) != 30 {
			t.Errorf("%d messages, %v", h.n.Load(), codes)
		}
		// One that cannot be told is held back instead.
		old := w.connect("old", func(c *packet.Connect) { c.Version = mqtt.V311 })
		old.flood(50, 1, 10)
		if n := h.by(tick(2550)); n != 40 {
			t.Errorf("%d messages, want 10 of the older client's", n)
		}
		if codes := old.acks(50); codes[mqtt.Success] != 50 || h.by(10*time.Second) != 80 {
			t.Errorf("3.1.1: %v, %d messages", codes, h.n.Load())
		}
	})
}

// A message that comes in pieces is refused once.
func TestTooFastInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{ClientRate: midge.Rate{Messages: 1}, OverRate: midge.Refuse})
		p := w.connect("p")
		p.publish("t", "first", 1)
		p.want(packet.PUBACK)
		m := packet.Publish{Topic: []byte("t"), QoS: 1, ID: 77, Payload: make([]byte, 100)}
		for b := m.Append(nil, p.v); len(b) > 0; {
			n := min(len(b), 10)
			p.write(b[:n])
			b = b[n:]
			synctest.Wait()
		}
		p.write([]byte{0xC0, 0})
		if codes := p.acks(1); codes[mqtt.QuotaExceeded] != 1 {
			t.Errorf("%v", codes)
		}
		if n := w.b.Stats().Limited.RateRefused; n != 1 {
			t.Errorf("%d messages are counted as refused", n)
		}
	})
}

func TestTooFastIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldSized(t, midge.Config{ClientRate: midge.Rate{Messages: 10}, OverRate: midge.CutOff}, 1<<20)
		p := w.connect("p")
		h := w.hear()
		p.flood(10, 0, 10)
		p.acks(0)
		p.flood(1, 0, 10)
		p.wantEnd(mqtt.MessageRateTooHigh)
		if n := h.by(time.Second); n != 10 {
			t.Errorf("%d messages", n)
		}
	})
}

// A client that is held back can be ended, and a new rate is its rate.
func TestHeldBackIsNotOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := newWorldSized(t, midge.Config{
			ClientRate: midge.Rate{Messages: 1}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}, 1<<20)
		p, q, r := w.connect("p"), w.connect("q"), w.connect("r")
		h := w.hear()
		for _, p := range []*peer{p, q, r} {
			p.flood(1000, 0, 10)
		}
		if n := h.by(tick(5500)); n != 18 {
			t.Errorf("%d messages, want 6 of each", n)
		}
		if !w.b.Disconnect("q", mqtt.AdministrativeAction) {
			t.Error("q is not there")
		}
		q.wantEnd(mqtt.AdministrativeAction)
		again := w.connect("r")
		r.wantEnd(mqtt.SessionTakenOver)
		if took := time.Since(h.start); took > tick(5500) {
			t.Errorf("their ends took until %v", took)
		}
		if err := w.b.Adjust(midge.Config{}); err != nil {
			t.Fatal(err)
		}
		if n := h.by(tick(7000)); n != 12+1000 {
			t.Errorf("%d messages after the rate was lifted", n)
		}
		p.acks(0)
		again.flood(10, 0, 10)
		again.acks(0)
		if n := strings.Count(log.String(), "faster than they may"); n != 3 {
			t.Errorf("the log says it %d times, want once for each client:\n%s", n, log.String())
		}
		if err := w.b.Adjust(midge.Config{ClientRate: midge.Rate{Messages: 1}}); err != nil {
			t.Fatal(err)
		}
		p.flood(1000, 0, 10)
		h.by(8 * time.Second) // Close finds p held back
	})
}

func TestRatesOutOfRange(t *testing.T) {
	for _, cfg := range []midge.Config{
		{ClientRate: midge.Rate{Messages: -1}},
		{Rate: midge.Rate{Bytes: -1}},
		{RateBurst: time.Millisecond},
		{RateBurst: 2 * time.Hour},
		{OverRate: 3},
	} {
		if _, err := cfg.WithDefaults(); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
