package bench

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A Histogram counts durations in buckets no wider than 1/128 of their value,
// from a nanosecond to 18 minutes (HDR: high dynamic range). Any goroutine may
// record; the zero value is ready, and takes 36 KB.
type Histogram struct {
	n       atomic.Uint64
	sum     atomic.Int64
	max     atomic.Int64
	buckets [histBuckets]atomic.Uint64
}

const (
	histSub     = 128                        // buckets to each doubling
	histMax     = 1<<40 - 1                  // ns; what is longer counts as that
	histBuckets = (40-8)*histSub + 2*histSub // one more than bucketOf(histMax)
)

// bucketOf counts linearly up to 256, and from there in 128 steps to each
// power of two.
func bucketOf(v uint64) int {
	e := max(bits.Len64(v)-8, 0)
	return e*histSub + int(v>>e)
}

// valueOf is the upper end of a bucket.
func valueOf(b int) uint64 {
	e := max(b/histSub-1, 0)
	return (uint64(b-e*histSub)+1)<<e - 1
}

// Record counts d; what is negative counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = min(max(d, 0), histMax)
	h.buckets[bucketOf(uint64(d))].Add(1)
	h.n.Add(1)
	h.sum.Add(int64(d))
	for {
		m := h.max.Load()
		if int64(d) <= m || h.max.CompareAndSwap(m, int64(d)) {
			return
		}
	}
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.n.Load() }

// Quantile returns the duration that the share q of all, [0, 1], do not exceed,
// to within 0.8 % above; 0 if nothing was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	n := h.n.Load()
	if n == 0 {
		return 0
	}
	rank := min(uint64(q*float64(n)), n-1) // how many are below it
	for b := range h.buckets {
		k := h.buckets[b].Load()
		if k > rank {
			return min(time.Duration(valueOf(b)), time.Duration(h.max.Load()))
		}
		rank -= k
	}
	return time.Duration(h.max.Load())
}

// Mean returns the mean, exact; 0 if nothing was recorded.
func (h *Histogram) Mean() time.Duration {
	if h.n.Load() == 0 {
		return 0
	}
	return time.Duration(h.sum.Load() / int64(h.n.Load()))
}

// Latency is the short of a histogram, in microseconds.
type Latency struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean_us"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p99_9_us"`
	Max   float64 `json:"max_us"`

	// Curve has the latency at the quantiles of CurveAt, for drawing.
	Curve []float64 `json:"curve_us"`
}

// CurveAt are the quantiles of Latency.Curve.
var CurveAt = []float64{0, .1, .2, .3, .4, .5, .6, .7, .8, .9, .95, .99, .995, .999, .9999, .99999}

// Latency returns the short of h, nil if nothing was recorded.
func (h *Histogram) Latency() *Latency {
	if h.Count() == 0 {
		return nil
	}
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	l := &Latency{
		Count: h.Count(), Mean: us(h.Mean()), Max: us(h.Quantile(1)),
		P50: us(h.Quantile(.5)), P90: us(h.Quantile(.9)), P99: us(h.Quantile(.99)), P999: us(h.Quantile(.999)),
	}
	for _, q := range CurveAt {
		l.Curve = append(l.Curve, us(h.Quantile(q)))
	}
	return l
}
