package tiny

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// Bytes is, to the byte, what the heap shows.
func TestBytesIsWhatTheHeapShows(t *testing.T) {
	for _, l := range []Limits{
		{},
		{ReceiveBuffer: -1},
		{Clients: 4, Filters: 8, MaxPacket: 128, Queue: 2, Inflight: 2, Retained: -1, Slab: 2048, MaxQoS: -1},
		{Clients: 100, Sessions: 200, Filters: 1000, MaxPacket: 2000, Queue: 10, Inflight: 10, Retained: 100, Slab: 100_000},
	} {
		var b *Broker
		heap := heapOf(func() { b, _ = New(l, Hooks{}) })
		if b == nil {
			t.Fatalf("%+v is refused", l)
		}
		if heap != l.Bytes() || heap != b.Limits().Bytes() {
			t.Errorf("%+v: the heap shows %d bytes, Bytes says %d and %d", l, heap, l.Bytes(), b.Limits().Bytes())
		}
		t.Logf("Bytes %d, heap %d", l.Bytes(), heap)
	}
}

// heapOf returns the bytes f takes from the heap: the least of a few tries, for
// the runtime may take some of its own meanwhile.
func heapOf(f func()) int {
	least := math.MaxInt
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, int(after.TotalAlloc-before.TotalAlloc))
	}
	return least
}

// The plan of the brokers there are, QoS 2 and MQTT 5 included, takes at most
// 16 KiB, rounding and all.
func TestThePlanFits(t *testing.T) {
	var b *Broker
	heap := heapOf(func() { b, _ = New(Limits{}, Hooks{}) })
	if got := b.Limits().Bytes(); got > 16<<10 || heap > 16<<10 {
		t.Errorf("Bytes %d, heap %d; want at most %d", got, heap, 16<<10)
	}
	for _, i := range b.Limits().Bill() {
		t.Logf("%-26s %4d x %5d = %6d", i.Name, i.Count, i.Each, i.Bytes())
	}
	t.Logf("total %d, heap %d", b.Limits().Bytes(), heap)
}

func TestLimitsAreChecked(t *testing.T) {
	for field, l := range map[string]Limits{
		"Clients": {Clients: 251}, "Sessions": {Clients: 5, Sessions: 4}, "MaxPacket": {MaxPacket: 63},
		"ReceiveBuffer": {ReceiveBuffer: 100}, "Queue": {Queue: -1}, "Slab": {Slab: 500}, "RetainedBytes": {RetainedBytes: 1 << 20},
		"MaxQoS": {MaxQoS: 3}, "KeepDelay": {KeepDelay: -1}, "Retained": {Retained: 1025}, "Filters": {Filters: 5000},
	} {
		_, err := New(l, Hooks{})
		var e *LimitError
		if !errors.As(err, &e) || e.Field != field {
			t.Errorf("%+v: %v, want a *LimitError about %s", l, err, field)
		}
	}
	if _, err := NewIn(make([]byte, 100), Limits{}, Hooks{}); err == nil {
		t.Error("100 bytes are enough for everything")
	}
	l := Limits{}.withDefaults()
	if _, err := NewIn(make([]byte, l.Slab+l.buffers()), Limits{}, Hooks{}); err != nil {
		t.Error(err)
	}
}

// The bill in the package comment is the bill.
func TestBillInTheComment(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("SKIPPED: the comment is about 64-bit machines")
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{fmt.Sprintf("//\t%-26s %23d\n", "total", Limits{}.Bytes())}
	for _, i := range (Limits{}).Bill() {
		lines = append(lines, fmt.Sprintf("//\t%-26s %5d x %5d = %7d\n", i.Name, i.Count, i.Each, i.Bytes()))
	}
	for _, line := range lines {
		if !strings.Contains(string(doc), line) {
			t.Errorf("doc.go lacks %q", line)
		}
	}
}
