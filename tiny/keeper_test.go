package tiny

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// flashSim is flash in memory that behaves as flash does: a byte can be written
// once after an erase, in fours. With fail above 0 that many operations more
// succeed half and then all fail, until fail is 0 again; cut does the same to a
// number of bytes.
type flashSim struct {
	sectors [][]byte
	erases  int
	writes  int
	bytes   int
	fail    int
	cut     int // bytes that still go through; below 0: no limit
}

var errFlash = errors.New("flash is worn out")

func newFlash(count, size int) *flashSim {
	f := &flashSim{cut: -1}
	for range count {
		s := make([]byte, size)
		for i := range s {
			s[i] = 0xFF
		}
		f.sectors = append(f.sectors, s)
	}
	return f
}

func (f *flashSim) Sectors() (count, size int) { return len(f.sectors), len(f.sectors[0]) }

func (f *flashSim) Read(sector, at int, p []byte) error {
	copy(p, f.sectors[sector][at:at+len(p)])
	return nil
}

func (f *flashSim) Erase(sector int) error {
	if f.fail == 1 || f.cut == 0 {
		return errFlash
	}
	f.fail = max(f.fail-1, 0)
	f.erases++
	for i := range f.sectors[sector] {
		f.sectors[sector][i] = 0xFF
	}
	return nil
}

func (f *flashSim) Write(sector, at int, p []byte) error {
	if at%4 != 0 || len(p)%4 != 0 {
		return fmt.Errorf("%d bytes at %d", len(p), at)
	}
	if f.fail == 1 {
		return errFlash
	}
	f.fail = max(f.fail-1, 0)
	f.writes++
	for i, c := range p {
		if f.cut == 0 {
			return errFlash
		}
		f.cut--
		f.bytes++
		b := &f.sectors[sector][at+i]
		if *b != 0xFF {
			return fmt.Errorf("byte %d of sector %d is written twice", at+i, sector)
		}
		*b = c
	}
	return nil
}

// restored is what a fresh broker finds in flash.
func restored(t *testing.T, f Flash, l Limits) map[string]string {
	t.Helper()
	r := newRig(t, l, Hooks{})
	if _, err := r.b.Restore(f); err != nil {
		t.Fatal(err)
	}
	check(t, r.b)
	return r.b.kepts()
}

// kepts are the retained messages.
func (b *Broker) kepts() map[string]string {
	m := map[string]string{}
	for i := range b.retained {
		if r := &b.retained[i]; r.msg != 0 && !r.gone {
			v := b.view(r.msg)
			m[string(v.topic)] = string(v.payload)
		}
	}
	return m
}

func same2(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

var keeping = Limits{Retained: 8, RetainedBytes: 1024, KeepDelay: 5}

func TestRetainedOutliveARestart(t *testing.T) {
	f := newFlash(2, 4096)
	r := newRig(t, keeping, Hooks{})
	if n, err := r.b.Restore(f); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	for i := range 5 {
		r.own("t/%d", i, "value")
	}
	r.own("t/%d", 3, "") // deleted before it was ever written
	r.pass(4 * time.Second)
	if f.bytes != 0 {
		t.Errorf("%d bytes were written at once", f.bytes)
	}
	r.pass(time.Second)
	if got := restored(t, f, keeping); !same2(got, r.b.kepts()) || len(got) != 4 {
		t.Errorf("restored %v, want %v", got, r.b.kepts())
	}
	written := f.bytes
	r.own("t/%d", 1, "value") // the same again
	r.pass(time.Minute)
	if f.bytes != written {
		t.Error("flash was written for a message that did not change")
	}
	r.own("t/%d", 1, "")
	r.pass(time.Minute)
	if got := restored(t, f, keeping); len(got) != 3 || got["t/1"] != "" {
		t.Errorf("restored %v after a deletion", got)
	}
	if st := r.b.Stats(); int(st.FlashBytes) != f.bytes || int(st.FlashErase) != f.erases {
		t.Errorf("counted %d bytes and %d erases, flash says %d and %d", st.FlashBytes, st.FlashErase, f.bytes, f.erases)
	}
}

// own publishes a retained message of the program's own.
func (r *rig) own(topic string, i int, payload string) {
	r.t.Helper()
	m := Message{Topic: fmt.Appendf(nil, topic, i), Payload: []byte(payload), QoS: mqtt.AtLeastOnce, Retain: true}
	if err := r.b.Publish(&m); err != nil {
		r.t.Fatal(err)
	}
	check(r.t, r.b)
}

// What changes often is written seldom, and a sector is erased only when it is
// full: wear in numbers.
func TestFlashIsSpared(t *testing.T) {
	f := newFlash(2, 4096)
	r := newRig(t, keeping, Hooks{})
	r.b.Restore(f)
	const changes = 10_000
	for i := range changes { // one a second, over four topics
		r.own("t/%d", i%4, fmt.Sprint("value ", i))
		r.pass(time.Second)
	}
	perHour := float64(f.erases) / (changes / 3600.0)
	t.Logf("%d changes, %d bytes written, %d erases: %.0f erases an hour", changes, f.bytes, f.erases, perHour)
	if f.bytes > changes/5*5*48 || f.erases > f.bytes/(4096/2) {
		t.Errorf("%d bytes, %d erases for %d changes", f.bytes, f.erases, changes)
	}
	if got := restored(t, f, keeping); len(got) != 4 {
		t.Errorf("restored %v", got)
	}
}

// Power goes at every byte of a long history: what comes back is some state
// between the last one that was surely written and the one that was being
// written, message by message, and writing goes on from there.
func TestPowerCuts(t *testing.T) {
	step := 7
	if brief(t) {
		step = 101
	}
	for cut := 0; cut < 6000; cut += step {
		f := newFlash(3, 1200)
		r := newRig(t, keeping, Hooks{})
		r.b.Restore(f)
		f.cut = cut
		sure, now := map[string]string{}, map[string]string{}
		for i := range 200 {
			value := fmt.Sprint("value ", i)
			if i%11 == 10 {
				value = ""
			}
			r.own("t/%d", i%6, value)
			r.pass(6 * time.Second)
			now = r.b.kepts()
			if f.cut == 0 {
				break
			}
			sure = now
		}
		got := restored(t, f, keeping)
		for k := range union(sure, now, got) {
			if got[k] != sure[k] && got[k] != now[k] {
				t.Fatalf("cut after %d bytes: %s is %q, want %q or %q", cut, k, got[k], sure[k], now[k])
			}
		}
		f.cut = -1
		again := newRig(t, keeping, Hooks{})
		again.b.Restore(f)
		again.own("new/%d", 0, "after the cut")
		again.b.Keep()
		if got := restored(t, f, keeping); !same2(got, again.b.kepts()) {
			t.Fatalf("cut after %d bytes, then: %v, want %v", cut, got, again.b.kepts())
		}
	}
}

func union(maps ...map[string]string) map[string]bool {
	all := map[string]bool{}
	for _, m := range maps {
		for k := range m {
			all[k] = true
		}
	}
	return all
}

// Flash that fails for a while costs nothing but the while.
func TestFlashFails(t *testing.T) {
	f := newFlash(2, 2048)
	r := newRig(t, keeping, Hooks{})
	r.b.Restore(f)
	f.fail = 1
	r.own("t/%d", 1, "kept")
	r.pass(10 * time.Second)
	if st := r.b.Stats(); st.FlashError == 0 || st.Retained != 1 {
		t.Errorf("%+v", st)
	}
	f.fail = 0
	r.pass(10 * time.Second)
	if got := restored(t, f, keeping); got["t/1"] != "kept" {
		t.Errorf("restored %v", got)
	}
	if _, err := newRig(t, keeping, Hooks{}).b.Restore(newFlash(1, 4096)); err != ErrFlash {
		t.Error("one sector is enough:", err)
	}
	if _, err := newRig(t, keeping, Hooks{}).b.Restore(newFlash(2, 512)); err != ErrFlash {
		t.Error("512 bytes are enough:", err)
	}
}

// A Message Expiry Interval goes on after a restart, by what was left of it.
func TestExpirySurvivesARestart(t *testing.T) {
	f := newFlash(2, 2048)
	r := newRig(t, keeping, Hooks{})
	r.b.Restore(f)
	w := r.connect("pub", mqtt.V5)
	p := packet.Publish{Topic: []byte("t"), Payload: []byte("short-lived"), Retain: true, Properties: &packet.Properties{MessageExpiryInterval: 100}}
	w.send(p.Append(nil, mqtt.V5))
	r.pass(40 * time.Second)
	r.b.Keep()
	again := newRig(t, keeping, Hooks{})
	again.pass(1000 * time.Second) // another clock
	if n, err := again.b.Restore(f); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	again.pass(20 * time.Second)
	sub := again.connect("sub", mqtt.V5)
	sub.subscribe("t", 0)
	if m := sub.wantMessage("t", "short-lived"); m.Properties.MessageExpiryInterval != 100-40-20 {
		t.Errorf("%d seconds are left, want what was left when flash was written, less 20", m.Properties.MessageExpiryInterval)
	}
}
