package main

import "slices"

// median of at least one value; the mean of the middle two of an even number.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// A cell is what one broker came to in one workload.
type cell struct {
	value    float64 // median
	lo, hi   float64 // of the rounds
	ratio    float64 // median over the rounds of it by midge; 0: none
	rate     float64 // messages delivered a second, median; 0: not measured
	p50      float64
	faults   map[string]float64 // the worst round
	err      string             // the last round's, if none went well
	measured bool
}

// cell sums up the rounds of a workload for one broker.
func (r *results) cell(w workload, broker string) (c cell) {
	var values, ratios, rates, p50 []float64
	for _, round := range r.Runs[w.key] {
		x, ok := round[broker]
		if !ok {
			continue
		}
		v, ok := x.Figures[w.figure]
		if !ok || x.Error != "" {
			c.err = x.Error
			continue
		}
		values = append(values, v)
		if base, ok := round["midge"].Figures[w.figure]; ok && base > 0 {
			ratios = append(ratios, v/base)
		}
		if rate, ok := x.Figures["messages_per_second"]; ok {
			rates = append(rates, rate)
		}
		if v, ok := x.Figures["p50_us"]; ok {
			p50 = append(p50, v)
		}
		for k, n := range x.Faults {
			if c.faults == nil {
				c.faults = map[string]float64{}
			}
			c.faults[k] = max(c.faults[k], n)
		}
	}
	if len(values) == 0 {
		return c
	}
	return cell{median(values), slices.Min(values), slices.Max(values), median(ratios), median(rates), median(p50), c.faults, "", true}
}
