package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Each value is in a bucket whose upper end is above it by 1/128 at most, and
// the buckets stand in order.
func TestBuckets(t *testing.T) {
	for v := uint64(0); v < histMax; v += 1 + v/1000 {
		b := bucketOf(v)
		if up := valueOf(b); up < v || up > v+v/128 {
			t.Fatalf("%d is in bucket %d, which ends at %d", v, b, up)
		}
	}
	if b := bucketOf(histMax); b != histBuckets-1 || valueOf(b) != histMax {
		t.Fatal(b, valueOf(b))
	}
}

func TestQuantiles(t *testing.T) {
	var h Histogram
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	for range 10000 {
		d := time.Duration(rnd.ExpFloat64() * 1e6)
		h.Record(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, .5, .9, .99, .999, 1} {
		want := all[min(int(q*10000), 9999)]
		if got := h.Quantile(q); got < want || got > want+want/128 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if l := h.Latency(); l.Count != 10000 || len(l.Curve) != len(CurveAt) {
		t.Errorf("%+v", l)
	}
}

func TestHistogramTakesAnything(t *testing.T) {
	var h Histogram
	if h.Quantile(.5) != 0 || h.Mean() != 0 || h.Latency() != nil {
		t.Fatal("an empty histogram has values")
	}
	h.Record(-time.Second)
	h.Record(1000 * time.Hour)
	if h.Quantile(0) != 0 || h.Quantile(1) != histMax || h.Count() != 2 {
		t.Fatal(h.Quantile(0), h.Quantile(1), h.Count())
	}
}
